//! One call: its slot among the calls at once, its waits, and its stop.
//!
//! The HTTP future is dropped when the run has to stop. What is written to
//! the database meanwhile runs in a task of its own: a database future is
//! never dropped half-way.

use super::Shared;
use super::patience::Patience;
use super::registry::{Stop, Stopper};
use super::slots::Slot;
use llm::outbound::{CallLimits, CallTimes, CallWatcher, Route, Scope};
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint};
use store::StoreError;
use store::transition::{Change, Lease};
use domain::{ConnectionId, ErrorKind, RunError, Timestamp, UserId, Waiting, WaitingOn};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// Waits shorter than this are told to nobody.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// Between two looks for a free place after parking.
const UNPARK_EVERY: Duration = Duration::from_millis(250);

/// Why there is no answer.
pub(super) enum Cut {
    /// It had to stop.
    Stopped(Stop),
    /// The store did not say where the call goes, as long as it could hold on.
    Store(StoreError),
    /// The call failed for good.
    Failed(CallError),
}

/// Who calls, and what it may use.
pub(super) struct Line<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) stopper: &'a Stopper,
    pub(super) user_id: UserId,
    /// The run whose waits are stored; `None` for a re-evaluation.
    pub(super) lease: Option<Lease>,
    /// After it somebody else ends it anyway.
    pub(super) deadline: Option<Timestamp>,
    /// What is left of its active time.
    pub(super) active_left: Duration,
    /// What is left of its time parked.
    pub(super) wait_left: Duration,
    /// What is left of its time behind open circuits.
    pub(super) circuit_left: Duration,
}

impl Line<'_> {
    /// Asks the model, and adds what it took to `times`.
    pub(super) async fn ask(
        &self,
        connection: ConnectionId,
        request: &ChatRequest,
        times: &mut CallTimes,
    ) -> Result<ChatReply, Cut> {
        let lookup = Lookup { line: self, connection, failed: Mutex::new(None) };
        let watcher = Watcher { line: self, slot: Mutex::new(None) };
        let scope = Scope { user_id: self.user_id, probe: false };
        tokio::select! {
            biased;
            why = self.stopper.told() => Err(Cut::Stopped(why)),
            answer = async {
                let waited = watcher.first_slot().await?;
                times.parked += waited;
                let limits = CallLimits {
                    call_timeout: self.shared.settings.call_timeout,
                    active_left: self.active_left,
                    max_wait: self.wait_left.saturating_sub(waited),
                    circuit_wait: self.circuit_left,
                };
                let outbound = &self.shared.outbound;
                outbound.call(&scope, &lookup, request, &limits, &watcher, times).await
            } => answer.map_err(|error| match lookup.failed.lock().take() {
                Some(error) => Cut::Store(error),
                None => Cut::Failed(error),
            }),
        }
    }

    /// Stores that it waits, in a task of its own; answers whether it is stored.
    async fn store(&self, change: Change) -> bool {
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

/// Where the calls over a connection go at this moment.
struct Lookup<'a> {
    line: &'a Line<'a>,
    connection: ConnectionId,
    /// Why the store did not say it.
    failed: Mutex<Option<StoreError>>,
}

#[async_trait]
impl Route for Lookup<'_> {
    fn connection_id(&self) -> ConnectionId {
        self.connection
    }

    async fn endpoint(&self) -> Result<Endpoint, CallError> {
        let Line { shared, stopper, deadline, .. } = *self.line;
        let ask = || async {
            let (endpoints, connection) = (shared.endpoints.clone(), self.connection);
            let read = async move { endpoints.endpoint(connection).await };
            let read = tokio::spawn(read.in_current_span()).await;
            read.unwrap_or_else(|error| {
                tracing::error!(%error, "looking up a connection failed");
                let message = "The connection could not be read.";
                Ok(Err(RunError::new(ErrorKind::Internal, message)))
            })
        };
        let error = match (Patience { shared, stopper, deadline }).hold_on(ask).await {
            Ok(Ok(endpoint)) => return Ok(endpoint),
            Ok(Err(error)) => error,
            Err(error) => {
                let message = "The connection could not be read.";
                *self.failed.lock() = Some(error);
                RunError::new(ErrorKind::Internal, message)
            }
        };
        Err(CallError::new(Decision::GiveUp(error.kind), error.message))
    }
}

/// Gives the slots back while a call waits, and takes them again.
struct Watcher<'a> {
    line: &'a Line<'a>,
    slot: Mutex<Option<Slot>>,
}

impl Watcher<'_> {
    /// Waits for a slot to begin with; answers how long that took.
    async fn first_slot(&self) -> Result<Duration, CallError> {
        let began = tokio::time::Instant::now();
        let acquire = self.line.shared.slots.acquire(self.line.user_id);
        tokio::pin!(acquire);
        let slot = match tokio::time::timeout(WORTH_TELLING, &mut acquire).await {
            Ok(slot) => slot,
            Err(_) => {
                let waiting = Waiting { what: WaitingOn::Slot, until: None };
                self.line.store(Change { waiting: Some(Some(waiting)), ..Change::default() }).await;
                let left = self.line.wait_left.saturating_sub(began.elapsed());
                let slot = tokio::time::timeout(left, acquire).await.map_err(|_| {
                    let message = "It waited too long for a free place among the calls of this server. Run it again.";
                    CallError::new(Decision::GiveUp(ErrorKind::RateLimited), message)
                })?;
                self.line.store(Change { waiting: Some(None), ..Change::default() }).await;
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
            Change { waiting: Some(Some(waiting)), parked: Some(true), ..Change::default() };
        self.line.store(change).await;
        self.line.shared.wake.notify_one();
    }

    async fn resumed(&self) {
        let shared = self.line.shared;
        if let Some(lease) = self.line.lease.clone() {
            let mut marked = false;
            loop {
                let (shared, lease) = (shared.clone(), lease.clone());
                let most = shared.settings.runs_per_user;
                let unpark =
                    async move { shared.queue.unpark(&lease, most, shared.clock.now()).await };
                let unparked = tokio::spawn(unpark.in_current_span());
                match unparked.await {
                    // Nothing free yet: parked for a place, the next one is its own.
                    Ok(Ok(false)) if !marked => {
                        let waiting = Waiting { what: WaitingOn::Slot, until: None };
                        let change = Change { waiting: Some(Some(waiting)), ..Change::default() };
                        marked = self.line.store(change).await;
                    }
                    // The store is away: it holds on.
                    Ok(Ok(false) | Err(StoreError::Unavailable(_))) => {}
                    // Free again, or lost: the next commit says so.
                    _ => break,
                }
                tokio::time::sleep(UNPARK_EVERY).await;
            }
        }
        let slot = shared.slots.acquire(self.line.user_id).await;
        *self.slot.lock() = Some(slot);
    }
}
