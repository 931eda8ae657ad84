//! Users, suites and turns as the server creates them.

use anyhow::{Result, ensure};
use clock::{Clock, SystemClock};
use domain::{
    AgentId, AgentRef, ConnectionId, FinishReason, NanoUsd, RunId, ScenarioId, ScenarioRef,
    SpaceId, Speaker, SuiteId, Timestamp, Turn, Usage, UserId,
};
use std::time::Duration;
use store::accounts::{AccountStore, UserRow};
use store::queue::Claim;
use store::rows::{CallDone, Intent, ModelRef, ModelSnapshot, Role};
use store::schedule::Capacity;
use store::spending::SuiteBudget;
use store::suites::{CreateOutcome, NewRun, NewSuite, SuiteStore};
use store::transition::RunChange;
use store_sqlite::SqliteStore;
use uuid::Uuid;

/// Creates a user with a personal space.
pub(crate) async fn create_user(store: &SqliteStore, n: u128) -> Result<(UserId, SpaceId)> {
    let (id, space_id) = (UserId(Uuid::from_u128(n)), SpaceId(Uuid::from_u128(1000 + n)));
    let email = format!("{n}@example.org");
    let created_at = SystemClock.now();
    let row = UserRow {
        id,
        space_id,
        email,
        password_hash: "hash".into(),
        created_at,
        sessions_valid_from: Timestamp(0),
    };
    store.create_user(&row, false).await?;
    Ok((id, space_id))
}

/// Creates a suite with `runs` pending runs.
pub(crate) async fn create_suite(
    store: &SqliteStore,
    (user_id, space_id): (UserId, SpaceId),
    runs: u32,
    at: Timestamp,
) -> Result<SuiteId> {
    let model = ModelRef {
        connection_id: ConnectionId(Uuid::from_u128(7)),
        model: "provider-model-1".into(),
    };
    let run = |n: u32| NewRun {
        id: RunId(SystemClock.uuid()),
        scenario: ScenarioRef {
            id: ScenarioId(Uuid::from_u128(50_000 + u128::from(n))),
            revision: 1,
            name: format!("Refund of order {n}"),
        },
        repetition: 1,
        timeout_ms: 300_000,
        user_turns_planned: 5,
        source_run_id: None,
        error: None,
    };
    let id = SuiteId(SystemClock.uuid());
    let agent = AgentRef { id: AgentId(Uuid::from_u128(9)), revision: 1, name: "Desk".into() };
    let new = NewSuite {
        id,
        space_id,
        user_id,
        agent,
        model_snapshot: ModelSnapshot::all(&model),
        profile: None,
        variables_at: Some(at),
        concurrency: 64,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        part_of: None,
        runs: (0..runs).map(run).collect(),
        allow_parallel: true,
        queue_per_user: 1_000_000,
        key: None,
        budget: SuiteBudget::default(),
        at,
    };
    ensure!(store.create_suite(new).await? == CreateOutcome::New, "the suite was not created");
    Ok(id)
}

pub(crate) fn claim(most: u32, runs_per_user: u32) -> Claim {
    Claim {
        owner: "bench".into(),
        runs_per_user,
        max_wait: Duration::from_secs(600),
        most,
        admission_limits: Vec::new(),
        capacity: Capacity::unlimited(),
        now: SystemClock.now(),
    }
}

/// The commit after an agent's reply: its turn, the outcome of its call, and the
/// intent of the next call; with `with_user_turn` also the next user turn.
pub(crate) fn agent_turn(done: Uuid, next: Uuid, turn: u32, with_user_turn: bool) -> RunChange {
    let now = SystemClock.now();
    let agent = Turn {
        finish: Some(FinishReason::Stop),
        latency_ms: Some(900),
        input_tokens: Some(900),
        output_tokens: Some(80),
        ..Turn::text(Speaker::Agent, "I can help with that refund right away. ".repeat(8), now)
    };
    let mut turns = vec![agent];
    if with_user_turn {
        turns.push(Turn::text(Speaker::User, "And when will the money be there? ".repeat(2), now));
    }
    let mut usage = Usage::default();
    usage.agent.add(900, 80);
    let outcome = "ok".to_owned();
    RunChange {
        turns,
        calls_done: vec![CallDone {
            id: done,
            outcome,
            attempts: 1,
            latency_ms: Some(900),
            cost: Some(NanoUsd(9_000)),
        }],
        intents: vec![Intent { id: next, role: Role::Agent, turn: turn + 1 }],
        active: Duration::from_millis(900),
        usage: Some(usage),
        ..RunChange::default()
    }
}
