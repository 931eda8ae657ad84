//! The engine: takes runs from the queue and brings each to a final status.
//!
//! - `dispatcher`: claims runs and starts their tasks.
//! - `run_worker`: executes a claimed run; `run_steps`: its loop of steps;
//!   `conversation_driver`, `http_agent_driver` and `judge_driver`: the steps; `judging`: the
//!   search for quotes on a thread of its own.
//! - `rejudge_worker`: executes a claimed rejudge.
//! - `calling`: one model call, with its call slot, its waits and its cancellation.
//! - `heartbeat`, `reaper`, `gauges`: background tasks for leases and metrics.
//! - `outages`: ends pending runs of connections that fail for too long.
//! - `budgets`: what suites and users may spend on calls.
//! - `call_slots`: the concurrent calls of this process, fair between users.
//! - `store_retry`: retries while the store is unavailable.
//! - `variables`: fills in the variables of a run.
//! - `registry`: the tasks of this process, and their stop signals.

mod budgets;
mod call_slots;
mod calling;
mod conversation_driver;
mod dispatcher;
mod gauges;
mod heartbeat;
mod http_agent_driver;
mod judge_driver;
mod judging;
mod outages;
mod reaper;
mod registry;
mod rejudge_worker;
mod run_steps;
mod run_worker;
mod store_retry;
#[cfg(test)]
mod tests;
mod variables;

use async_trait::async_trait;
use budgets::Budgets;
use call_slots::CallSlots;
use clock::SharedClock;
use domain::{ConnectionId, NanoUsd, RunError, RunId, Timestamp, UserId, Waiting};
use llm::Endpoint;
use llm::outbound::Outbound;
use outages::Outages;
use registry::{Registration, Registry, StopReason, StopSignal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use store::queue::StoredProfile;
use store::rows::ModelRef;
use store::{SharedQueue, StoreResult};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Resolves a connection to its endpoint at the time of a call, and decrypts the secrets of
/// test profiles.
#[async_trait]
pub trait Endpoints: Send + Sync + 'static {
    /// The endpoint of a connection, or the error with which the run ends: the
    /// connection was deleted, or its key cannot be decrypted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](store::StoreError::Unavailable): the
    /// caller may retry.
    async fn endpoint(&self, id: ConnectionId) -> StoreResult<Result<Endpoint, RunError>>;
    /// The secret variables of a test profile by name.
    ///
    /// # Errors
    /// The error with which the run ends: they cannot be decrypted.
    fn profile_secrets(
        &self,
        profile: &StoredProfile,
    ) -> Result<BTreeMap<String, String>, RunError>;
}

/// Limits of the engine; the settings document their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// The name of this process as a lease owner.
    pub owner: String,
    /// The maximum number of concurrent runs of one user.
    pub runs_per_user: u32,
    /// The maximum number of concurrent calls of this process.
    pub max_calls: u32,
    /// The timeout of one attempt of a call: the longest time without data of its answer.
    pub call_timeout: Duration,
    /// How long one call may wait for a rate limit, counted only while the limit lets no call
    /// of the connection and model through. The deadlines of runs and rejudges contain this
    /// time once.
    pub max_wait: Duration,
    /// How long a running run may wait for open circuits, at most `max_wait`.
    pub circuit_wait: Duration,
    /// How long a connection may fail before its pending runs end.
    pub outage_wait: Duration,
    /// What a user may spend per day (UTC), unless the user chose another budget; `None` for
    /// no limit.
    pub daily_budget: Option<NanoUsd>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            owner: "engine".to_owned(),
            runs_per_user: 8,
            max_calls: 64,
            call_timeout: Duration::from_secs(120),
            max_wait: Duration::from_secs(600),
            circuit_wait: Duration::from_secs(60),
            outage_wait: Duration::from_secs(900),
            daily_budget: None,
        }
    }
}

/// The state that all tasks of the engine share.
pub(crate) struct Shared {
    queue: SharedQueue,
    outbound: Arc<Outbound>,
    endpoints: Arc<dyn Endpoints>,
    clock: SharedClock,
    settings: EngineSettings,
    registry: Registry,
    call_slots: CallSlots,
    outages: Outages,
    budgets: Budgets,
    wake: Notify,
    /// Canceled when no more runs may be claimed.
    closing: CancellationToken,
    tasks: TaskTracker,
    /// The time of the last successful heartbeat in milliseconds.
    last_heartbeat: AtomicI64,
    /// Whether the last heartbeat failed because the store was unavailable.
    store_unavailable: AtomicBool,
    /// Lets tests simulate a crash.
    #[cfg(test)]
    aborts: parking_lot::Mutex<Vec<tokio::task::AbortHandle>>,
}

impl Shared {
    /// Spawns a task on `tracker`.
    fn spawn(&self, tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
        let _handle = tracker.spawn(task);
        #[cfg(test)]
        self.aborts.lock().push(_handle.abort_handle());
    }

    /// Registers the task of a run or rejudge. During a shutdown it has to stop at once.
    fn register(&self, id: Uuid) -> (StopSignal, Registration<'_>) {
        let (stop_signal, registration) = self.registry.register(id);
        if self.closing.is_cancelled() {
            stop_signal.stop(StopReason::Shutdown);
        }
        (stop_signal, registration)
    }

    /// Waits for this time; `false` once the engine shuts down.
    async fn pause(&self, time: Duration) -> bool {
        self.closing.run_until_cancelled(tokio::time::sleep(time)).await.is_some()
    }

    fn last_heartbeat(&self) -> Timestamp {
        Timestamp(self.last_heartbeat.load(Ordering::Relaxed))
    }
}

/// A handle to the running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    background_tasks: TaskTracker,
}

impl Engine {
    /// Starts the engine. With `is_only_engine` (an embedded store), all runs that a previous
    /// process held are recovered at once.
    ///
    /// # Errors
    /// Errors of the store during the recovery.
    pub async fn start(
        queue: SharedQueue,
        outbound: Arc<Outbound>,
        endpoints: Arc<dyn Endpoints>,
        clock: SharedClock,
        settings: EngineSettings,
        is_only_engine: bool,
    ) -> StoreResult<Self> {
        let now = clock.now();
        // Runs that exceeded their deadline while no server was running end before they
        // can be claimed.
        let mut summary = queue.reap(now).await?;
        if is_only_engine {
            let recovered = queue.recover_at_boot(now).await?;
            summary.recovered += recovered.recovered;
            summary.ended += recovered.ended;
        }
        reaper::count(&summary);
        let (recovered, ended) = (summary.recovered, summary.ended);
        if recovered + ended > 0 {
            tracing::info!(recovered, ended, "recovered runs at boot");
        }
        let outages = Outages::stored(queue.outages().await?);
        let shared = Arc::new(Shared {
            queue,
            outbound,
            endpoints,
            call_slots: CallSlots::new(settings.max_calls),
            outages,
            budgets: Budgets::default(),
            registry: Registry::default(),
            wake: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            last_heartbeat: AtomicI64::new(now.0),
            store_unavailable: AtomicBool::new(false),
            #[cfg(test)]
            aborts: parking_lot::Mutex::default(),
            clock,
            settings,
        });
        let background_tasks = TaskTracker::new();
        shared.spawn(&background_tasks, dispatcher::run(shared.clone()));
        shared.spawn(&background_tasks, heartbeat::run(shared.clone()));
        shared.spawn(&background_tasks, reaper::run(shared.clone()));
        shared.spawn(&background_tasks, outages::run(shared.clone()));
        shared.spawn(&background_tasks, gauges::run(shared.clone()));
        background_tasks.close();
        Ok(Self { shared, background_tasks })
    }

    /// Looks for runs to claim now instead of at the next poll.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Stops these runs: no new call is made, and the call in flight is dropped.
    pub fn cancel(&self, runs: &[RunId]) {
        for run in runs {
            self.shared.registry.stop(*run, StopReason::Cancelled);
        }
    }

    /// What a pending run waits for if it does not start because its first call could
    /// not be made now.
    #[must_use]
    pub fn expected_wait(&self, user: UserId, agent: &ModelRef) -> Option<Waiting> {
        self.shared.outbound.expected_wait(user, agent.connection_id, &agent.model)
    }

    /// The time of the last successful heartbeat, for readiness.
    #[must_use]
    pub fn last_heartbeat(&self) -> Timestamp {
        self.shared.last_heartbeat()
    }

    /// The number of calls in flight.
    #[must_use]
    pub fn calls_in_flight(&self) -> u32 {
        self.shared.settings.max_calls.saturating_sub(self.shared.call_slots.free())
    }

    /// The number of runs and rejudges that this process executes.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.shared.registry.len()
    }

    /// Aborts all tasks, like a crash.
    #[cfg(test)]
    pub(crate) async fn kill(self) {
        for handle in self.shared.aborts.lock().drain(..) {
            handle.abort();
        }
        self.background_tasks.wait().await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Stops claiming, drops calls in flight and releases all leases.
    pub async fn shutdown(&self) {
        self.shared.closing.cancel();
        // Calls are dropped at once, whatever the background tasks wait for. A run
        // whose claim was in progress sees the shutdown when it starts.
        self.shared.registry.stop_all(StopReason::Shutdown);
        self.background_tasks.wait().await;
        self.shared.registry.stop_all(StopReason::Shutdown);
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
