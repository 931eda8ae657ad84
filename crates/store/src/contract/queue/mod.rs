//! Suites and the queue, one file per topic, and the fixture of these tests.

pub mod cancel_and_deadline;
pub mod claims;
pub mod create_suite;
pub mod lists;
pub mod outages;
pub mod queue_metrics;
pub mod rejudge_limits;
pub mod rejudges;
pub mod retention;
pub mod run_lifecycle;
pub mod spending;

use crate::StoreError;
use crate::queue::{Claim, QueueStore};
use crate::retention::RetentionStore;
use crate::rows::{EvaluationRow, ModelRef, ModelSnapshot, RunRow};
use crate::schedule::Capacity;
use crate::spending::SuiteBudget;
use crate::suites::{NewRun, NewSuite, SuiteStore};
use crate::transition::{RunChange, RunOutcome};
use domain::{
    AgentId, AgentRef, ConnectionId, Evaluation, EvaluationId, RunStatus, ScenarioId, ScenarioRef,
    SpaceId, Speaker, SuiteId, Timestamp, Turn, UserId,
};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The stores of suites, queue and retention, with the users 1 and 2.
pub struct QueueFixture {
    pub suites: Arc<dyn SuiteStore>,
    pub queue: Arc<dyn QueueStore>,
    pub retention: Arc<dyn RetentionStore>,
    /// Dropped with the store, such as a temporary folder.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl QueueFixture {
    pub fn new<S: SuiteStore + QueueStore + RetentionStore>(
        store: S,
        guard: impl Any + Send + Sync,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            suites: store.clone(),
            queue: store.clone(),
            retention: store,
            guard: Box::new(guard),
        }
    }

    /// Claims the run that starts next.
    pub async fn claim_run(&self, now: Timestamp) -> RunRow {
        self.queue.claim(claim(1, now)).await.unwrap().remove(0)
    }

    /// The only run of suite 1, leased at [`T0`].
    pub async fn leased_run(&self) -> RunRow {
        self.suites.create_suite(suite(1, 1, 1)).await.unwrap();
        self.claim_run(T0).await
    }
}

pub fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}
pub fn space(n: u128) -> SpaceId {
    SpaceId(Uuid::from_u128(100 + n))
}
pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(1000 + n)
}
pub const T0: Timestamp = Timestamp(1_700_000_000_000);
pub fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

/// Suite `n` of user `owner` with `runs` runs.
pub fn suite(n: u128, owner: u128, runs: u128) -> NewSuite {
    let model = ModelRef { connection_id: ConnectionId(id(7)), model: "m".into() };
    NewSuite {
        id: SuiteId(id(n)),
        space_id: space(owner),
        user_id: user(owner),
        agent: AgentRef { id: AgentId(id(900 + n)), revision: 1, name: "Agent".into() },
        model_snapshot: ModelSnapshot::all(&model),
        profile: None,
        variables_at: Some(T0),
        concurrency: 3,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        part_of: None,
        runs: (0..runs).map(|i| new_run(n * 100 + i)).collect(),
        allow_parallel: false,
        queue_per_user: 500,
        key: None,
        budget: SuiteBudget::default(),
        at: T0,
    }
}

pub fn new_run(n: u128) -> NewRun {
    NewRun {
        id: id(n).into(),
        scenario: ScenarioRef { id: ScenarioId(id(5000 + n)), revision: 1, name: format!("S{n}") },
        repetition: 1,
        timeout_ms: 300_000,
        user_turns_planned: 3,
        source_run_id: None,
        error: None,
    }
}

pub fn claim(most: u32, now: Timestamp) -> Claim {
    let max_wait = Duration::from_secs(600);
    Claim {
        owner: "worker".into(),
        runs_per_user: 8,
        max_wait,
        most,
        admission_limits: Vec::new(),
        capacity: Capacity::unlimited(),
        now,
    }
}

pub fn turns(messages: &[&str]) -> RunChange {
    let turns = messages.iter().map(|message| Turn::text(Speaker::User, *message, T0)).collect();
    RunChange { turns, ..RunChange::default() }
}

pub fn finish(finish: RunOutcome) -> RunChange {
    RunChange { finish: Some(finish), ..RunChange::default() }
}

pub fn passed() -> RunOutcome {
    RunOutcome { status: RunStatus::Passed, score: Some(100.0), error: None }
}

pub fn lost<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}

/// Creates a suite and passes all of its runs.
pub async fn finished_runs(
    suites: &dyn SuiteStore,
    queue: &dyn QueueStore,
    new: NewSuite,
) -> Vec<RunRow> {
    let (count, mut finished) = (new.runs.len(), Vec::new());
    suites.create_suite(new).await.unwrap();
    while finished.len() < count {
        for run in queue.claim(claim(9, T0)).await.unwrap() {
            finished.push(queue.commit(&run.lease(), finish(passed()), at(1)).await.unwrap());
        }
    }
    finished
}

/// Rejudge `n` of a run.
pub fn rejudge(run: &RunRow, n: u128) -> EvaluationRow {
    let evaluation = Evaluation::pending(EvaluationId(id(8000 + n)), "m", 1, at(2));
    EvaluationRow::requested(run, run.model_snapshot.judge.clone(), evaluation)
}
