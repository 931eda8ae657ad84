//! Stories about suites and the queue, a file a topic. Here: the stores to tell
//! them to, and the words they are told in.

mod claims;
mod cleaning;
mod counting;
mod ends;
mod judging_again;
mod life;
mod reading;
mod starts;

use crate::store::StoreError;
use crate::store::cleaning::CleanStore;
use crate::store::memory::work::{Documents, MemoryWork};
use crate::store::queue::{Claim, QueueStore};
use crate::store::rows::{EvaluationRow, Frozen, ModelRef, RunRow};
use crate::store::sqlite::SqliteStore;
use crate::store::suites::{NewRun, NewSuite, SuiteStore};
use crate::store::transition::{Change, Final, Lease};
use app::domain::{
    AgentId, AgentRef, ConnectionId, Evaluation, EvaluationId, RunStatus, ScenarioId, ScenarioRef,
    SpaceId, Speaker, SuiteId, Timestamp, Turn, UserId,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A store to tell stories to, with two users in it.
struct Bench {
    suites: Arc<dyn SuiteStore>,
    queue: Arc<dyn QueueStore>,
    dust: Arc<dyn CleanStore>,
    _folder: Option<tempfile::TempDir>,
}

struct NoDocuments;

impl Documents for NoDocuments {
    fn agent(&self, _: AgentId, _: u32) -> Option<Value> {
        Some(json!({"name": "agent"}))
    }
    fn scenario(&self, _: ScenarioId, _: u32) -> Option<Value> {
        Some(json!({"name": "scenario"}))
    }
}

async fn memory() -> Bench {
    let store = Arc::new(MemoryWork::new(Arc::new(NoDocuments)));
    Bench { suites: store.clone(), queue: store.clone(), dust: store, _folder: None }
}

async fn sqlite() -> Bench {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    store
        .writer
        .write(|c| {
            Box::pin(async move {
                for n in [1_u128, 2] {
                    let (user, space) = (user(n).0, space(n).0);
                    sqlx::query("INSERT INTO users VALUES (?, ?, 'hash', 0)")
                        .bind(user)
                        .bind(format!("{n}@example.org"))
                        .execute(&mut *c)
                        .await?;
                    sqlx::query("INSERT INTO spaces VALUES (?, ?, 0)")
                        .bind(space)
                        .bind(user)
                        .execute(&mut *c)
                        .await?;
                }
                Ok(())
            })
        })
        .await
        .expect("seeds");
    let store = Arc::new(store);
    Bench { suites: store.clone(), queue: store.clone(), dust: store, _folder: Some(folder) }
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}
fn space(n: u128) -> SpaceId {
    SpaceId(Uuid::from_u128(100 + n))
}
fn id(n: u128) -> Uuid {
    Uuid::from_u128(1000 + n)
}
pub(super) const T0: Timestamp = Timestamp(1_700_000_000_000);
fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

/// A suite `n` of user `owner` with `runs` runs.
pub(super) fn suite(n: u128, owner: u128, runs: u128) -> NewSuite {
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

fn new_run(n: u128) -> NewRun {
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

pub(super) fn claim(most: u32, now: Timestamp) -> Claim {
    let max_wait = Duration::from_secs(600);
    Claim { owner: "worker".into(), runs_per_user: 8, max_wait, most, holds: Vec::new(), now }
}

fn turns(messages: &[&str]) -> Change {
    let turns = messages.iter().map(|message| Turn::said(Speaker::User, *message, T0)).collect();
    Change { turns, ..Change::default() }
}

fn finish(finish: Final) -> Change {
    Change { finish: Some(finish), ..Change::default() }
}

fn passed() -> Final {
    Final { status: RunStatus::Passed, score: Some(100.0), error: None }
}

fn lost<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}

/// A suite whose runs are over.
pub(super) async fn over(
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

pub(super) fn again(run: &RunRow, n: u128) -> EvaluationRow {
    let view = Evaluation::asked(EvaluationId(id(8000 + n)), "m", 1, at(2));
    EvaluationRow::asked_for(run, run.frozen.judge.clone(), view)
}
