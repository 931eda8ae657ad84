//! One model call: its slot, its waits and its cancellation.
//!
//! The HTTP future is dropped when the run has to stop. Database writes run in
//! tasks of their own, because a database future must not be dropped halfway.

use super::Shared;
use super::call_slots::Slot;
use super::registry::{Stop, StopSignal};
use super::store_retry::StoreRetry;
use async_trait::async_trait;
use domain::{ConnectionId, ErrorKind, RunError, Timestamp, UserId, Waiting};
use llm::outbound::{
    Call, CallLimits, CallOrder, CallOutcome, CallTimes, CallWatcher, EndpointResolver,
};
use llm::{CallError, ChatRequest, Decision, Endpoint};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::transition::{Lease, RunChange};
use tracing::Instrument;

/// Shorter waits are not stored.
const MIN_STORED_WAIT: Duration = Duration::from_secs(1);
/// The poll interval for a free user slot after parking.
const SLOT_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Why a call returned no reply.
pub(super) enum CallInterrupted {
    /// The run had to stop.
    Stopped(Stop),
    /// The endpoint could not be read, because the store stayed unavailable.
    Store(StoreError),
    /// The call failed finally.
    Failed(CallError),
}

impl From<CallError> for CallInterrupted {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

/// The caller of a call, and its remaining time.
pub(super) struct CallContext<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) stop_signal: &'a StopSignal,
    pub(super) user_id: UserId,
    /// The place among the waiting calls of the user.
    pub(super) order: CallOrder,
    /// The run whose waits are stored; `None` for a rejudge.
    pub(super) lease: Option<Lease>,
    /// The reaper ends the run after this time.
    pub(super) deadline: Option<Timestamp>,
    /// The remaining active time.
    pub(super) active_left: Duration,
    /// The remaining parked time.
    pub(super) wait_left: Duration,
    /// The remaining time behind open circuits.
    pub(super) circuit_left: Duration,
}

impl CallContext<'_> {
    /// Calls the model, until the run has to stop.
    #[tracing::instrument(name = "provider_call", level = "debug", skip_all, fields(%connection))]
    pub(super) async fn call(
        &self,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> CallOutcome<CallInterrupted> {
        tokio::select! {
            biased;
            why = self.stop_signal.wait_for_stop() => failed(CallInterrupted::Stopped(why)),
            outcome = self.call_with_slot(connection, request) => outcome,
        }
    }

    async fn call_with_slot(
        &self,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> CallOutcome<CallInterrupted> {
        let watcher = Watcher { context: self, slot: Mutex::new(None) };
        let waited = match watcher.first_slot().await {
            Ok(waited) => waited,
            Err(error) => return failed(error.into()),
        };
        let limits = CallLimits {
            call_timeout: self.shared.settings.call_timeout,
            active_left: self.active_left,
            max_wait: self.wait_left.saturating_sub(waited),
            circuit_wait: self.circuit_left,
        };
        let call = Call {
            user_id: self.user_id,
            order: self.order,
            probe: false,
            resolver: &StoredEndpoint { context: self, connection },
            request,
            limits,
            watcher: &watcher,
        };
        let CallOutcome { result, times } = self.shared.outbound.call(call).await;
        CallOutcome { result, times: CallTimes { parked: times.parked + waited, ..times } }
    }

    /// Stores what the run waits for; see [`store`](Self::store).
    async fn store_waiting(&self, waiting: Option<Waiting>) -> bool {
        self.store(RunChange { waiting: Some(waiting), ..RunChange::default() }).await
    }

    /// Stores a change in its own task. Returns whether it was stored.
    async fn store(&self, change: RunChange) -> bool {
        let Some(lease) = self.lease.clone() else { return false };
        let shared = self.shared.clone();
        let stored = tokio::spawn(
            async move { shared.queue.commit(&lease, change, shared.clock.now()).await }
                .in_current_span(),
        );
        match stored.await {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => tracing::debug!(%error, "a wait was not stored"),
            Err(error) => tracing::error!(%error, "storing a wait failed"),
        }
        false
    }
}

/// A call that failed before the outbound path was reached.
fn failed(error: CallInterrupted) -> CallOutcome<CallInterrupted> {
    CallOutcome { result: Err(error), times: CallTimes::default() }
}

/// Reads the endpoint of a connection from the store at each attempt.
struct StoredEndpoint<'a> {
    context: &'a CallContext<'a>,
    connection: ConnectionId,
}

#[async_trait]
impl EndpointResolver for StoredEndpoint<'_> {
    type Error = CallInterrupted;

    fn connection_id(&self) -> ConnectionId {
        self.connection
    }

    async fn resolve(&self) -> Result<Endpoint, CallInterrupted> {
        let CallContext { shared, stop_signal, deadline, .. } = *self.context;
        let read = || async {
            let (endpoints, connection) = (shared.endpoints.clone(), self.connection);
            let read = async move { endpoints.endpoint(connection).await };
            let read = tokio::spawn(read.in_current_span()).await;
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

/// Releases the slots while a call waits, and acquires them again.
struct Watcher<'a> {
    context: &'a CallContext<'a>,
    slot: Mutex<Option<Slot>>,
}

impl Watcher<'_> {
    /// Waits for the first call slot. Returns the time waited.
    async fn first_slot(&self) -> Result<Duration, CallError> {
        let began = tokio::time::Instant::now();
        let acquire = self.context.shared.slots.acquire(self.context.user_id);
        tokio::pin!(acquire);
        let slot = match tokio::time::timeout(MIN_STORED_WAIT, &mut acquire).await {
            Ok(slot) => slot,
            Err(_) => {
                self.context.store_waiting(Some(Waiting::SLOT)).await;
                let left = self.context.wait_left.saturating_sub(began.elapsed());
                let slot = tokio::time::timeout(left, acquire).await.map_err(|_| {
                    let message = "Gave up waiting for a free call slot of this server. Re-run it.";
                    CallError::new(Decision::GiveUp(ErrorKind::RateLimited), message)
                })?;
                self.context.store_waiting(None).await;
                slot
            }
        };
        *self.slot.lock() = Some(slot);
        Ok(began.elapsed())
    }
}

#[async_trait]
impl CallWatcher for Watcher<'_> {
    async fn waiting(&self, waiting: Waiting) {
        drop(self.slot.lock().take());
        let change =
            RunChange { waiting: Some(Some(waiting)), parked: Some(true), ..RunChange::default() };
        self.context.store(change).await;
        self.context.shared.wake.notify_one();
    }

    async fn resumed(&self) {
        let shared = self.context.shared;
        if let Some(lease) = self.context.lease.clone() {
            let mut stored = false;
            loop {
                let (shared, lease) = (shared.clone(), lease.clone());
                let limit = shared.settings.runs_per_user;
                let reacquire_slot = async move {
                    shared.queue.reacquire_slot(&lease, limit, shared.clock.now()).await
                };
                let reacquired = tokio::spawn(reacquire_slot.in_current_span());
                match reacquired.await {
                    // Stores that the run waits for a slot, so that the scheduler
                    // reserves the next free one for it.
                    Ok(Ok(false)) if !stored => {
                        stored = self.context.store_waiting(Some(Waiting::SLOT)).await;
                    }
                    // The store is unavailable: retry.
                    Ok(Ok(false) | Err(StoreError::Unavailable(_))) => {}
                    // Acquired, or the lease is lost, which the next commit detects.
                    _ => break,
                }
                tokio::time::sleep(SLOT_POLL_INTERVAL).await;
            }
        }
        let slot = shared.slots.acquire(self.context.user_id).await;
        *self.slot.lock() = Some(slot);
    }
}
