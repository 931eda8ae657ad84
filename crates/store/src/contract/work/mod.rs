//! Stories about suites and the queue, a file a topic. Here: the stores to tell
//! them to, and the words they are told in.

pub mod claims;
pub mod cleaning;
pub mod counting;
pub mod ends;
pub mod judging_again;
pub mod judging;
pub mod life;
pub mod reading;
pub mod starts;

use crate::StoreError;
use crate::cleaning::CleanStore;
use crate::queue::{Claim, QueueStore};
use crate::rows::{EvaluationRow, Frozen, ModelRef, RunRow};
use crate::suites::{NewRun, NewSuite, SuiteStore};
use crate::transition::{Change, Final, Lease};
use domain::{
    AgentId, AgentRef, ConnectionId, Evaluation, EvaluationId, RunStatus, ScenarioId, ScenarioRef,
    SpaceId, Speaker, SuiteId, Timestamp, Turn, UserId,
};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A store of suites and of the queue, with the users 1 and 2.
pub struct QueueFixture {
    pub suites: Arc<dyn SuiteStore>,
    pub queue: Arc<dyn QueueStore>,
    pub retention: Arc<dyn CleanStore>,
    /// What must live as long as the store, such as a temporary folder.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl QueueFixture {
    /// All aggregates of one store.
    pub fn new<S: SuiteStore + QueueStore + CleanStore>(
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

/// A suite `n` of user `owner` with `runs` runs.
pub fn suite(n: u128, owner: u128, runs: u128) -> NewSuite {
    let model = ModelRef { connection_id: ConnectionId(id(7)), model: "m".into() };
    NewSuite {
        id: SuiteId(id(n)),
        space_id: space(owner),
        user_id: user(owner),
        agent: AgentRef { id: AgentId(id(900 + n)), revision: 1, name: "Agent".into() },
        frozen: Frozen::all(&model),
        concurrency: 3,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        runs: (0..runs).map(|i| new_run(n * 100 + i)).collect(),
        allow_parallel: false,
        queue_per_user: 500,
        key: None,
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
    Claim { owner: "worker".into(), runs_per_user: 8, max_wait, most, holds: Vec::new(), now }
}

pub fn turns(messages: &[&str]) -> Change {
    let turns = messages.iter().map(|message| Turn::said(Speaker::User, *message, T0)).collect();
    Change { turns, ..Change::default() }
}

pub fn finish(finish: Final) -> Change {
    Change { finish: Some(finish), ..Change::default() }
}

pub fn passed() -> Final {
    Final { status: RunStatus::Passed, score: Some(100.0), error: None }
}

pub fn lost<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}

/// A suite whose runs are over.
pub async fn over(
    suites: &dyn SuiteStore,
    queue: &dyn QueueStore,
    new: NewSuite,
) -> Vec<RunRow> {
    let (count, mut over) = (new.runs.len(), Vec::new());
    suites.create_suite(new).await.unwrap();
    while over.len() < count {
        for run in queue.claim(claim(9, T0)).await.unwrap() {
            let lease = Lease { run_id: run.id, attempt: run.attempt };
            over.push(queue.commit(&lease, finish(passed()), at(1)).await.unwrap());
        }
    }
    over
}

pub fn again(run: &RunRow, n: u128) -> EvaluationRow {
    let view = Evaluation::asked(EvaluationId(id(8000 + n)), "m", 1, at(2));
    EvaluationRow::asked_for(run, run.frozen.judge.clone(), view)
}
