//! Users, suites and turns as the server would make them.

use anyhow::{Result, ensure};
use domain::{
    AgentId, AgentRef, ConnectionId, Finish, RunId, ScenarioId, ScenarioRef, SpaceId, Speaker,
    SuiteId, Timestamp, Turn, Usage, UserId,
};
use clock::{Clock, SystemClock};
use store::accounts::{AccountStore, UserRow};
use store::queue::Claim;
use store::rows::{CallDone, Frozen, Intent, ModelRef, Role};
use store_sqlite::SqliteStore;
use store::suites::{Created, NewRun, NewSuite, SuiteStore};
use store::transition::Change;
use std::time::Duration;
use uuid::Uuid;

/// A user and the personal space.
pub(crate) async fn user(store: &SqliteStore, n: u128) -> Result<(UserId, SpaceId)> {
    let (id, space_id) = (UserId(Uuid::from_u128(n)), SpaceId(Uuid::from_u128(1000 + n)));
    let email = format!("{n}@example.org");
    let created_at = SystemClock.now();
    let row = UserRow { id, space_id, email, password_hash: "hash".into(), created_at };
    store.create_user(&row, false).await?;
    Ok((id, space_id))
}

/// A suite of so many pending runs.
pub(crate) async fn suite(
    store: &SqliteStore,
    (user_id, space_id): (UserId, SpaceId),
    runs: u32,
    at: Timestamp,
) -> Result<SuiteId> {
    let model = ModelRef {
        connection_id: ConnectionId(Uuid::from_u128(7)),
        model: "a-model-of-today".into(),
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
        frozen: Frozen::all(&model),
        concurrency: 64,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        runs: (0..runs).map(run).collect(),
        allow_parallel: true,
        queue_per_user: 1_000_000,
        key: None,
        at,
    };
    ensure!(store.create_suite(new).await? == Created::New, "the suite was not made");
    Ok(id)
}

/// A claim as the engine makes it.
pub(crate) fn claim(most: u32, runs_per_user: u32) -> Claim {
    Claim {
        owner: "bench".into(),
        runs_per_user,
        max_wait: Duration::from_secs(600),
        most,
        holds: Vec::new(),
        now: SystemClock.now(),
    }
}

/// What an agent's answer leaves to be stored: the turn, the call that came
/// back, and the intent of the next; with `user`, also the script's next turn.
pub(crate) fn answer(done: Uuid, next: Uuid, turn: u32, user: bool) -> Change {
    let now = SystemClock.now();
    let agent = Turn {
        finish: Some(Finish::Stop),
        latency_ms: Some(900),
        input_tokens: Some(900),
        output_tokens: Some(80),
        ..Turn::said(Speaker::Agent, "I can help with that refund right away. ".repeat(8), now)
    };
    let mut turns = vec![agent];
    if user {
        turns.push(Turn::said(Speaker::User, "And when will the money be there? ".repeat(2), now));
    }
    let mut usage = Usage::default();
    usage.agent.add(900, 80);
    let outcome = "ok".to_owned();
    Change {
        turns,
        calls_done: vec![CallDone { id: done, outcome, attempts: 1, latency_ms: Some(900) }],
        intents: vec![Intent { id: next, role: Role::Agent, turn: turn + 1 }],
        active: Duration::from_millis(900),
        usage: Some(usage),
        ..Change::default()
    }
}
