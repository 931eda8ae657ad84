//! The engine: takes runs from the queue and brings each to a final status.
//!
//! - `dispatcher`: claims what may work now and starts it.
//! - `run`: one run's life; `talk`: its conversation; `judging`: its judge.
//! - `evaluation`: a re-evaluation's life.
//! - `calling`: one call, with its slot, its waits and its stop.
//! - `heartbeat`, `reaper`, `gauges`: leases and metrics, one small duty a file.
//! - `slots`: calls at once, users in turn.
//! - `patience`: holding on while the store does not answer.
//! - `registry`: what this process holds, and how it is told to stop.

mod calling;
mod dispatcher;
mod evaluation;
mod gauges;
mod heartbeat;
mod judging;
mod life;
mod patience;
mod reaper;
mod registry;
mod run;
mod slots;
mod talk;
#[cfg(test)]
mod tests;

use clock::SharedClock;
use llm::Endpoint;
use llm::outbound::Outbound;
use store::rows::ModelRef;
use store::{SharedQueue, Stored};
use domain::{ConnectionId, RunError, RunId, Timestamp, UserId, Waiting};
use async_trait::async_trait;
use registry::{Registry, Stop};
use slots::Slots;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where a connection leads, with its key, at the moment of a call.
#[async_trait]
pub trait Endpoints: Send + Sync + 'static {
    /// The endpoint of a connection, or the error with which a run ends: the
    /// connection is gone, or its key cannot be read.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](store::StoreError::Unavailable): to be
    /// asked again.
    async fn endpoint(&self, id: ConnectionId) -> Stored<Result<Endpoint, RunError>>;
}

/// Numbers of the engine; see the settings for their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Name of this process among those that share a database.
    pub owner: String,
    /// Most runs of one user at once.
    pub runs_per_user: u32,
    /// Most calls of this process at once.
    pub max_calls: u32,
    /// Longest single attempt.
    pub call_timeout: Duration,
    /// Longest time parked of a run.
    pub max_wait: Duration,
    /// The part of it that may be spent behind an open circuit.
    pub circuit_wait: Duration,
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
        }
    }
}

/// What every part of the engine works with.
pub(crate) struct Shared {
    queue: SharedQueue,
    outbound: Arc<Outbound>,
    endpoints: Arc<dyn Endpoints>,
    clock: SharedClock,
    settings: EngineSettings,
    registry: Registry,
    slots: Slots,
    wake: Notify,
    /// Claim no more.
    closing: CancellationToken,
    tasks: TaskTracker,
    /// The last heartbeat that came through, in ms.
    beat: AtomicI64,
    /// The store did not answer the last heartbeat.
    away: AtomicBool,
    /// For tests that end a process without a word.
    #[cfg(test)]
    aborts: parking_lot::Mutex<Vec<tokio::task::AbortHandle>>,
}

impl Shared {
    /// Starts a task that belongs to `tracker`.
    fn spawn(&self, tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
        let _handle = tracker.spawn(task);
        #[cfg(test)]
        self.aborts.lock().push(_handle.abort_handle());
    }
}

/// A handle to the running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    duties: TaskTracker,
}

impl Engine {
    /// Starts the engine. With `alone` (an embedded store) every run that a
    /// process of before held is taken up at once.
    ///
    /// # Errors
    /// Of the store, at the look at what was left behind.
    pub async fn start(
        queue: SharedQueue,
        outbound: Arc<Outbound>,
        endpoints: Arc<dyn Endpoints>,
        clock: SharedClock,
        settings: EngineSettings,
        alone: bool,
    ) -> Stored<Self> {
        let now = clock.now();
        // What waited too long while no server was there ends before it could
        // be begun.
        let mut left = queue.reap(now).await?;
        if alone {
            let taken = queue.take_over(now).await?;
            left.recovered += taken.recovered;
            left.ended += taken.ended;
        }
        reaper::count(&left);
        if left.recovered + left.ended > 0 {
            tracing::info!(recovered = left.recovered, ended = left.ended, "took up what was left");
        }
        let shared = Arc::new(Shared {
            queue,
            outbound,
            endpoints,
            slots: Slots::new(settings.max_calls),
            registry: Registry::default(),
            wake: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            beat: AtomicI64::new(now.0),
            away: AtomicBool::new(false),
            #[cfg(test)]
            aborts: parking_lot::Mutex::default(),
            clock,
            settings,
        });
        let duties = TaskTracker::new();
        shared.spawn(&duties, dispatcher::run(shared.clone()));
        shared.spawn(&duties, heartbeat::run(shared.clone()));
        shared.spawn(&duties, reaper::run(shared.clone()));
        shared.spawn(&duties, gauges::run(shared.clone()));
        duties.close();
        Ok(Self { shared, duties })
    }

    /// Something may begin: look now instead of in a second.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// These runs are to stop: no new call, the one in flight is dropped.
    pub fn cancel(&self, runs: &[RunId]) {
        for run in runs {
            self.shared.registry.stop(*run, Stop::Cancelled);
        }
    }

    /// For what a run would wait that is not begun because its first call
    /// could not be made now.
    #[must_use]
    pub fn held_back(&self, user: UserId, agent: &ModelRef) -> Option<Waiting> {
        self.shared.outbound.waits(user, agent.connection_id, &agent.model)
    }

    /// When the last heartbeat came through: for readiness.
    #[must_use]
    pub fn last_beat(&self) -> Timestamp {
        Timestamp(self.shared.beat.load(Ordering::Relaxed))
    }

    /// Calls that are being made, each with its place among the calls at once.
    #[must_use]
    pub fn calls_in_flight(&self) -> u32 {
        self.shared.settings.max_calls.saturating_sub(self.shared.slots.free())
    }

    /// Runs and re-evaluations that this process holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.registry.len()
    }

    /// Ends everything without a word, as a crash would.
    #[cfg(test)]
    pub(crate) async fn kill(self) {
        for handle in self.shared.aborts.lock().drain(..) {
            handle.abort();
        }
        self.duties.wait().await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Stops claiming, drops calls in flight, gives everything back.
    pub async fn shutdown(&self) {
        self.shared.closing.cancel();
        // Calls are dropped now, whatever a duty waits for. What enters after
        // the word (a claim that was under way) sees it as it enters.
        self.shared.registry.stop_all(Stop::Shutdown);
        self.duties.wait().await;
        self.shared.registry.stop_all(Stop::Shutdown);
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
