//! One model call: its call slot, its waits and its cancellation.
//!
//! The HTTP future is dropped when the run has to stop. Database writes run in
//! tasks of their own, because a database future must not be dropped halfway.

use super::Shared;
use super::budgets::CallBudget;
use super::call_slots::CallSlot;
use super::registry::{StopReason, StopSignal};
use super::store_retry::StoreRetry;
use async_trait::async_trait;
use domain::{
    ConnectionId, ErrorKind, EvaluationId, NanoUsd, RunError, Timestamp, TokenPrice, UserId,
    Waiting,
};
use futures::FutureExt;
use llm::outbound::{
    Call, CallHooks, CallLimits, CallOrder, CallOutcome, CallTimes, EndpointResolver,
};
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, HttpCall, HttpCallKind};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::queue::OutageKey;
use store::transition::{LEASE_DURATION, Lease, RunChange};
use store::{StoreError, StoreResult};
use tokio::task::JoinError;
use tracing::Instrument;
use uuid::Uuid;

/// Shorter waits are not stored.
const MIN_STORED_WAIT: Duration = Duration::from_secs(1);
/// How often a call checks again whether a slot of its user is free and whether the heartbeat
/// succeeded, and how often storing an unconfirmed call is retried.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Why a call returned no reply.
pub(super) enum CallInterrupted {
    /// The run had to stop.
    Stopped(StopReason),
    /// The endpoint could not be read, because the store stayed unavailable.
    Store(StoreError),
    /// The call failed finally.
    CallError(CallError),
}

impl From<CallError> for CallInterrupted {
    fn from(error: CallError) -> Self {
        Self::CallError(error)
    }
}

/// The lease of the caller.
pub(super) enum HeldLease {
    Run(Lease),
    Rejudge { id: EvaluationId, lease_epoch: u32 },
}

impl HeldLease {
    fn of_run(&self) -> Option<Lease> {
        match self {
            Self::Run(lease) => Some(lease.clone()),
            Self::Rejudge { .. } => None,
        }
    }
}

/// The caller of a call, and its remaining time.
pub(super) struct CallContext<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) stop_signal: &'a StopSignal,
    pub(super) user_id: UserId,
    /// The place among the waiting calls of the user.
    pub(super) order: CallOrder,
    /// The run or rejudge whose waits are stored.
    pub(super) lease: HeldLease,
    /// When the run or the rejudge was requested.
    pub(super) requested_at: Timestamp,
    /// The reaper ends the run after this time.
    pub(super) deadline: Option<Timestamp>,
    /// The remaining active time.
    pub(super) active_left: Duration,
    /// How long the call may wait for a rate limit that lets no call through.
    pub(super) max_wait: Duration,
    /// The remaining time of waits for open circuits.
    pub(super) circuit_left: Duration,
    /// A call to a deployed agent, which is stored as unconfirmed before it is sent.
    pub(super) unconfirmed_call: Option<UnconfirmedCall>,
    /// What the tokens of the called model cost; `None` if that is unknown.
    pub(super) price: Option<TokenPrice>,
    pub(super) budget: CallBudget,
}

/// A call that is stored as unconfirmed before it is sent, so that after a crash it is known
/// that the agent may have acted on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnconfirmedCall {
    pub(super) id: Uuid,
    /// Whether the request may be sent twice. If not, a call that waits for a retry was
    /// certainly not executed.
    pub(super) is_repeatable: bool,
}

impl CallContext<'_> {
    /// Calls the model, until the run has to stop.
    #[tracing::instrument(name = "provider_call", level = "debug", skip_all, fields(%connection))]
    pub(super) async fn call(
        &self,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> CallOutcome<CallInterrupted> {
        let outcome = tokio::select! {
            biased;
            why = self.stop_signal.wait_for_stop() => failed(CallInterrupted::Stopped(why)),
            outcome = self.call_within_budget(connection, request) => outcome,
        };
        match &outcome.result {
            Ok(reply) => self.budget.add(self.cost(request, reply), self.shared.clock.now()),
            Err(CallInterrupted::CallError(error)) => {
                if error.kind() == ErrorKind::BudgetExhausted {
                    self.budget.end_pending_runs(self.shared, error.message.clone());
                }
            }
            Err(_) => {}
        }
        outcome
    }

    /// What an answered call cost; `None` if that is unknown.
    pub(super) fn cost(&self, request: &ChatRequest, reply: &ChatReply) -> Option<NanoUsd> {
        // Only messages are answered by a model.
        let is_session = |http: &&HttpCall| http.kind != HttpCallKind::Message;
        match request.http.as_deref().filter(|http| is_session(http)) {
            Some(_) => Some(NanoUsd::ZERO),
            None => reply_cost(self.price.as_ref(), reply),
        }
    }

    /// Calls the model unless the budget is used up before.
    async fn call_within_budget(
        &self,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> CallOutcome<CallInterrupted> {
        if let Err(error) = self.check_budget() {
            return failed(error.into());
        }
        let is_in_flight = AtomicBool::new(false);
        tokio::select! {
            biased;
            outcome = self.call_with_call_slot(connection, request, &is_in_flight) => outcome,
            error = self.budget.wait_for_stop(self.price.as_ref(), &is_in_flight) => {
                failed(error.into())
            }
        }
    }

    /// Fails if the budget is used up.
    fn check_budget(&self) -> Result<(), CallError> {
        let refusal = self.budget.refusal(self.price.as_ref(), self.shared.clock.now());
        refusal.map_or(Ok(()), Err)
    }

    async fn call_with_call_slot(
        &self,
        connection: ConnectionId,
        request: &ChatRequest,
        is_in_flight: &AtomicBool,
    ) -> CallOutcome<CallInterrupted> {
        let hooks = CallerHooks {
            context: self,
            call_slot: Mutex::new(None),
            is_stored_as_unconfirmed: AtomicBool::new(false),
            is_in_flight,
        };
        hooks.acquire_call_slot().await;
        let limits = CallLimits {
            // The adapter of deployed agents limits its attempts by itself.
            call_timeout: request
                .http
                .as_ref()
                .map_or(self.shared.settings.call_timeout, |call| call.agent.timeouts.total() * 2),
            active_left: self.active_left,
            max_wait: self.max_wait,
            circuit_wait: self.circuit_left.min(self.outage_left(connection)),
        };
        let call = Call {
            user_id: self.user_id,
            order: self.order,
            is_manual_probe: false,
            resolver: &StoreEndpointResolver { context: self, connection },
            request,
            limits,
            hooks: &hooks,
        };
        self.shared.outbound.call(call).await
    }

    /// How long the current outage of the connection may still last.
    fn outage_left(&self, connection: ConnectionId) -> Duration {
        let (shared, now) = (self.shared, self.shared.clock.now());
        let limit = shared.settings.outage_wait;
        let key = OutageKey { user_id: self.user_id, connection_id: connection, model: None };
        let left = shared.outages.time_left(&key, self.requested_at, limit, now);
        left.unwrap_or(Duration::MAX)
    }

    /// Stores what the run waits for; see [`store`](Self::store).
    async fn store_waiting(&self, waiting: Option<Waiting>) -> bool {
        self.store(RunChange { waiting: Some(waiting), ..RunChange::default() }).await
    }

    /// Stores a change in its own task. Returns whether it was stored. If the lease is
    /// lost, it never returns, so that the run makes no further call.
    async fn store(&self, change: RunChange) -> bool {
        let Some(lease) = self.lease.of_run() else { return false };
        let shared = self.shared.clone();
        let stored = async move { shared.queue.commit(&lease, change, shared.clock.now()).await };
        self.stored_or_stop(tokio::spawn(stored.in_current_span()).await).await
    }

    /// Stores that the caller waits for a call slot of this server, or no longer.
    async fn store_call_slot_wait(&self, waits: bool) {
        match self.lease {
            HeldLease::Run(_) => {
                self.store_waiting(waits.then_some(Waiting::SLOT)).await;
            }
            HeldLease::Rejudge { id, lease_epoch } => {
                let shared = self.shared.clone();
                let stored = async move {
                    let now = shared.clock.now();
                    shared.queue.store_rejudge_wait(id, lease_epoch, waits, now).await
                };
                self.stored_or_stop(tokio::spawn(stored.in_current_span()).await).await;
            }
        }
    }

    /// Whether a change was stored. If the lease is lost, the run stops, and this never returns.
    async fn stored_or_stop<T>(&self, stored: Result<StoreResult<T>, JoinError>) -> bool {
        match stored {
            Ok(Ok(_)) => return true,
            Ok(Err(StoreError::LeaseLost)) => self.stop_without_lease().await,
            Ok(Err(error)) => tracing::debug!(%error, "a change was not stored"),
            Err(error) => tracing::error!(%error, "storing a change failed"),
        }
        false
    }

    /// Stops the run, because another worker may hold its lease. [`call`](Self::call)
    /// drops the future that waits for this.
    async fn stop_without_lease(&self) {
        self.stop_signal.stop(StopReason::Lost);
        std::future::pending().await
    }
}

/// What an answered call cost at this price; `None` if that is unknown.
pub(super) fn reply_cost(price: Option<&TokenPrice>, reply: &ChatReply) -> Option<NanoUsd> {
    price?.cost(reply.input_tokens, reply.output_tokens, reply.token_parts)
}

/// A call that failed before the outbound path was reached.
fn failed(error: CallInterrupted) -> CallOutcome<CallInterrupted> {
    CallOutcome { result: Err(error), times: CallTimes::default() }
}

/// Reads the endpoint of a connection from the store at each attempt.
struct StoreEndpointResolver<'a> {
    context: &'a CallContext<'a>,
    connection: ConnectionId,
}

#[async_trait]
impl EndpointResolver for StoreEndpointResolver<'_> {
    type Error = CallInterrupted;

    fn connection_id(&self) -> ConnectionId {
        self.connection
    }

    async fn resolve(&self) -> Result<Endpoint, CallInterrupted> {
        self.context.check_budget()?;
        let CallContext { shared, stop_signal, deadline, .. } = *self.context;
        let read = || async {
            let (endpoints, connection) = (shared.endpoints.clone(), self.connection);
            let read = async move { endpoints.endpoint(connection).await };
            let mut read = Box::pin(read.in_current_span());
            // An endpoint in memory is there at once, without a task.
            if let Some(known) = (&mut read).now_or_never() {
                return known;
            }
            let read = tokio::spawn(read).await;
            read.unwrap_or_else(|error| {
                tracing::error!(%error, "looking up a connection failed");
                let message = "The connection could not be read.";
                Ok(Err(RunError::new(ErrorKind::Internal, message)))
            })
        };
        let retry = StoreRetry { shared, stop_signal, deadline };
        let endpoint = retry.retry_while_unavailable(read).await.map_err(CallInterrupted::Store)?;
        endpoint.map_err(|error| CallError::new(Decision::GiveUp(error.kind), error.message).into())
    }
}

/// Releases the call slot and the user's slot while a call waits, and acquires them again.
struct CallerHooks<'a> {
    context: &'a CallContext<'a>,
    call_slot: Mutex<Option<CallSlot>>,
    /// Whether the call is stored as unconfirmed.
    is_stored_as_unconfirmed: AtomicBool,
    /// Whether an attempt may be with the provider.
    is_in_flight: &'a AtomicBool,
}

impl CallerHooks<'_> {
    /// Waits for a call slot of this server, however long that takes: the wait is not
    /// counted, and the deadline of the run moves by the time that it is stored.
    async fn acquire_call_slot(&self) {
        let CallContext { shared, user_id, order, .. } = *self.context;
        let acquire = shared.call_slots.acquire(user_id, order);
        tokio::pin!(acquire);
        let slot = match tokio::time::timeout(MIN_STORED_WAIT, &mut acquire).await {
            Ok(slot) => slot,
            Err(_) => {
                self.context.store_call_slot_wait(true).await;
                let slot = acquire.await;
                self.context.store_call_slot_wait(false).await;
                slot
            }
        };
        *self.call_slot.lock() = Some(slot);
    }

    /// Stores the call as unconfirmed before it is sent. Waits until that is stored.
    async fn store_as_unconfirmed(&self) {
        let Some(call) = self.context.unconfirmed_call else { return };
        while !self.is_stored_as_unconfirmed.load(Ordering::Relaxed) {
            let change =
                RunChange { unconfirmed_call: Some(Some(call.id)), ..RunChange::default() };
            if self.context.store(change).await {
                self.is_stored_as_unconfirmed.store(true, Ordering::Relaxed);
            } else {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }
}

#[async_trait]
impl CallHooks for CallerHooks<'_> {
    async fn waiting(&self, waiting: Waiting) {
        self.is_in_flight.store(false, Ordering::Relaxed);
        drop(self.call_slot.lock().take());
        let not_executed = self.context.unconfirmed_call.filter(|call| !call.is_repeatable);
        let unconfirmed_call = not_executed.map(|_| {
            self.is_stored_as_unconfirmed.store(false, Ordering::Relaxed);
            None
        });
        let change = RunChange {
            waiting: Some(Some(waiting)),
            parked: Some(true),
            unconfirmed_call,
            ..RunChange::default()
        };
        self.context.store(change).await;
        self.context.shared.wake.notify_one();
    }

    async fn resumed(&self) {
        let shared = self.context.shared;
        if let Some(lease) = self.context.lease.of_run() {
            let mut stored = false;
            loop {
                let (shared, lease) = (shared.clone(), lease.clone());
                let limit = shared.settings.runs_per_user;
                let reacquire_user_slot = async move {
                    shared.queue.reacquire_user_slot(&lease, limit, shared.clock.now()).await
                };
                let reacquired = tokio::spawn(reacquire_user_slot.in_current_span());
                match reacquired.await {
                    // Stores that the run waits for a slot of its user, so that the
                    // schedule reserves the next free one for it.
                    Ok(Ok(false)) if !stored => {
                        stored = self.context.store_waiting(Some(Waiting::SLOT)).await;
                    }
                    // The store is unavailable: retry.
                    Ok(Ok(false) | Err(StoreError::Unavailable(_))) => {}
                    Ok(Err(StoreError::LeaseLost)) => self.context.stop_without_lease().await,
                    // Acquired, or the row is corrupt, which the next commit detects.
                    _ => break,
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        self.acquire_call_slot().await;
    }

    /// The lease may have expired while the machine was paused. Then the next
    /// heartbeat decides whether the run continues.
    async fn attempt_started(&self, _: u32) {
        let CallContext { shared, stop_signal, .. } = *self.context;
        while stop_signal.stopped().is_some()
            || shared.clock.now().since(shared.last_heartbeat()) >= LEASE_DURATION
        {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.store_as_unconfirmed().await;
        self.is_in_flight.store(true, Ordering::Relaxed);
    }
}
