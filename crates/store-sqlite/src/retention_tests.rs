//! Retention over SQLite: steps are small, and partly deleted suites are hidden.

use super::SqliteStore;
use crate::sqlite_error::RunStatement;
use crate::testing::open;
use domain::services::HistoryFilter;
use domain::{RunId, SpaceId, SuiteId, Timestamp};
use futures::FutureExt;
use store::contract::queue::{new_run, rejudge, suite};
use store::retention::{Expired, RetentionStore};
use store::suites::{CreateOutcome, NewRejudge, NewRun, NewSuite, SuiteStore};
use uuid::Uuid;

async fn sql(store: &SqliteStore, statements: &'static [&'static str]) {
    let written = store.writer.write(move |c| {
        async move {
            for statement in statements {
                sqlx::query(*statement).run(c).await?;
            }
            Ok(())
        }
        .boxed()
    });
    written.await.expect("runs");
}

async fn count(store: &SqliteStore, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&store.read).await.expect("counts")
}

/// One finished suite of one run with 3,000 turns, calls and events.
const LONG_SUITE: &[&str] = &[
    "INSERT INTO users (id, email, password_hash, created_at) VALUES (x'00000000000000000000000000000001', 'a@example.org', 'h', 0)",
    "INSERT INTO spaces (id, user_id, created_at) VALUES (x'00000000000000000000000000000002', x'00000000000000000000000000000001', 0)",
    "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, agent_name, model_snapshot, status, total, \
     concurrency, repeats, note, seq, created_at, finished_at) VALUES (x'00000000000000000000000000000003', \
     x'00000000000000000000000000000002', x'00000000000000000000000000000001', x'00000000000000000000000000000004', \
     1, 'A', '{\"agent\":{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"}, \
     \"judge\":{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"}, \
     \"simulated_user\":{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"}}', \
     'finished', 1, 1, 1, '', 3000, 1, 10)",
    "INSERT INTO runs (id, suite_id, space_id, user_id, agent_id, agent_revision, scenario_id, scenario_revision, \
     scenario_name, repetition, position, timeout_ms, user_turns_planned, status, parked, lease_epoch, recoveries, \
     recoveries_without_progress, active_ms, parked_ms, created_at, finished_at, usage, user_turns, turns) \
     VALUES (x'00000000000000000000000000000005', x'00000000000000000000000000000003', \
     x'00000000000000000000000000000002', x'00000000000000000000000000000001', x'00000000000000000000000000000004', \
     1, x'00000000000000000000000000000006', 1, 'S', 1, 0, 1, 1, 'passed', 0, 1, 0, 0, 0, 0, 1, 10, \
     '{\"agent\":{\"calls\":1,\"input_tokens\":0,\"output_tokens\":0},\"simulated_user\":{\"calls\":1,\"input_tokens\":0,\"output_tokens\":0},\"judge\":{\"calls\":1,\"input_tokens\":0,\"output_tokens\":0}}', 1, 3000)",
    "WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999) \
     INSERT INTO turns (run_id, idx, speaker, message, at) \
     SELECT x'00000000000000000000000000000005', i, 'user', 'words', 1 FROM n",
    "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
     INSERT INTO calls (id, run_id, lease_epoch, role, turn, created_at) \
     SELECT randomblob(16), x'00000000000000000000000000000005', 1, 'agent', i, 1 FROM n",
    "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
     INSERT INTO events (suite_id, seq, kind, run_id, turn, at) \
     SELECT x'00000000000000000000000000000003', i, 'turn', x'00000000000000000000000000000005', i - 1, 1 FROM n",
];

#[tokio::test]
async fn deleted_suite_is_hidden_at_once_and_deleted_in_small_steps() {
    let (_folder, store) = open().await;
    sql(&store, LONG_SUITE).await;
    let id = |n| Uuid::from_u128(n);
    let (space, suite, run) = (SpaceId(id(2)), SuiteId(id(3)), RunId(id(5)));
    let filter = HistoryFilter::default();
    assert_eq!(store.suites(space, &filter, None, 9).await.unwrap().len(), 1);
    assert_eq!(store.runs(space, &filter, None, 9).await.unwrap().len(), 1);
    let mut steps = 0;
    loop {
        let step = store.delete_expired(Expired::Suites, Timestamp(10), 500).await.unwrap();
        assert!(step.total() <= 502, "a step is small: {step:?}");
        steps += 1;
        assert!(store.suites(space, &filter, None, 9).await.unwrap().is_empty());
        assert!(store.runs(space, &filter, None, 9).await.unwrap().is_empty());
        assert!(store.suite(space, suite).await.unwrap().is_none());
        assert!(store.run(space, run).await.unwrap().is_none());
        assert!(!store.owns(space, suite).await.unwrap());
        assert!(store.events_after(suite, 0, 9).await.unwrap().is_empty());
        if !step.more {
            break;
        }
    }
    assert!(steps >= 18, "{steps} steps");
    for rows in [
        "SELECT COUNT(*) FROM turns",
        "SELECT COUNT(*) FROM calls",
        "SELECT COUNT(*) FROM events",
        "SELECT COUNT(*) FROM runs",
        "SELECT COUNT(*) FROM suites",
    ] {
        assert_eq!(count(&store, rows).await, 0, "{rows}");
    }
    store.optimize().await.unwrap();
}

#[tokio::test]
async fn run_of_deleted_suite_is_neither_copied_nor_rejudged() {
    let (_folder, store) = open().await;
    sql(&store, LONG_SUITE).await;
    let id = |n| Uuid::from_u128(n);
    let space = SpaceId(id(2));
    let source = store.run(space, RunId(id(5))).await.unwrap().unwrap();
    let step = store.delete_expired(Expired::Suites, Timestamp(10), 500).await.unwrap();
    assert!(step.more, "its turns still exist");
    let run = NewRun { id: RunId(id(50)), source_run_id: Some(source.id), ..new_run(1) };
    let copy = NewSuite {
        space_id: space,
        user_id: source.user_id,
        agent: source.agent.clone(),
        runs: vec![run],
        ..suite(30, 1, 0)
    };
    assert_eq!(store.create_suite(copy).await.unwrap(), CreateOutcome::New);
    let copy = store.run(space, RunId(id(50))).await.unwrap().unwrap();
    assert_eq!((copy.source_run_id, copy.turns, copy.user_turns), (None, 0, 0));
    assert!(
        store.transcript(copy.id).await.unwrap().is_empty(),
        "no partial conversation is copied"
    );
    let new = NewRejudge { row: rejudge(&source, 60), key: None };
    let judged = store.create_rejudge(new).await.unwrap();
    assert_eq!(judged, CreateOutcome::Gone);
}

#[tokio::test]
async fn unfinished_suite_is_never_deleted() {
    let (_folder, store) = open().await;
    sql(&store, LONG_SUITE).await;
    sql(&store, &["UPDATE suites SET finished_at = NULL, status = 'running'"]).await;
    for what in [Expired::Events, Expired::Suites] {
        let step = store.delete_expired(what, Timestamp(i64::MAX), 500).await.unwrap();
        assert_eq!((step.total(), step.more), (0, false));
    }
    assert_eq!(count(&store, "SELECT COUNT(*) FROM events").await, 3000);
}

#[tokio::test]
async fn saved_forms_and_sessions_are_deleted_by_age() {
    let (_folder, store) = open().await;
    sql(
        &store,
        &[
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700) \
             INSERT INTO drafts (id, body, created_at) SELECT randomblob(16), '{}', i FROM n",
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700) \
             INSERT INTO sessions (id_hash, data, expires_at) SELECT randomblob(32), '{}', i FROM n",
        ],
    )
    .await;
    for (what, left) in [
        (Expired::SavedForms, "SELECT COUNT(*) FROM drafts"),
        (Expired::Sessions, "SELECT COUNT(*) FROM sessions"),
    ] {
        let first = store.delete_expired(what, Timestamp(600), 500).await.unwrap();
        assert_eq!((first.total(), first.more), (500, true));
        let second = store.delete_expired(what, Timestamp(600), 500).await.unwrap();
        assert_eq!((second.total(), second.more), (100, false));
        assert_eq!(count(&store, left).await, 100, "{what:?}");
    }
}

/// Deleted objects with the revisions 1 to 3. Runs refer to revision 2, in the agent's
/// case through their suite.
const DELETED_OBJECTS: &[&str] = &[
    "UPDATE suites SET agent_revision = 2, profile_revision = 2, \
     profile_id = x'00000000000000000000000000000007'",
    "UPDATE runs SET agent_revision = 2, scenario_revision = 2",
    "INSERT INTO agents (id, space_id, name, connection_id, revision, created_at, deleted_at) VALUES \
     (x'00000000000000000000000000000004', x'00000000000000000000000000000002', 'A', x'09', 3, 1, 50), \
     (x'00000000000000000000000000000014', x'00000000000000000000000000000002', 'B', x'09', 3, 1, 50), \
     (x'00000000000000000000000000000024', x'00000000000000000000000000000002', 'C', x'09', 3, 1, 90), \
     (x'00000000000000000000000000000034', x'00000000000000000000000000000002', 'D', x'09', 3, 1, NULL)",
    "INSERT INTO agent_revisions (agent_id, revision, body, created_at) \
     SELECT id, n, '{}', 1 FROM agents, (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3)",
    "INSERT INTO scenarios (id, space_id, name, description, category, difficulty, tags, is_active, \
     revision, created_at, deleted_at) VALUES \
     (x'00000000000000000000000000000006', x'00000000000000000000000000000002', 'S', '', 'booking', 0, '[]', 1, 3, 1, 50), \
     (x'00000000000000000000000000000016', x'00000000000000000000000000000002', 'T', '', 'booking', 0, '[]', 1, 3, 1, 50)",
    "INSERT INTO scenario_revisions (scenario_id, revision, body, created_at) \
     SELECT id, n, '{}', 1 FROM scenarios, (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3)",
    "INSERT INTO profiles (id, space_id, name, revision, created_at, deleted_at) VALUES \
     (x'00000000000000000000000000000007', x'00000000000000000000000000000002', 'P', 3, 1, 50), \
     (x'00000000000000000000000000000017', x'00000000000000000000000000000002', 'Q', 3, 1, 50)",
    "INSERT INTO profile_revisions (profile_id, revision, body, secrets, created_at) \
     SELECT id, n, '{}', x'01', 1 FROM profiles, (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3)",
];

#[tokio::test]
async fn unused_revisions_of_deleted_objects_are_deleted() {
    let (_folder, store) = open().await;
    sql(&store, LONG_SUITE).await;
    sql(&store, DELETED_OBJECTS).await;
    let clean = async |before| {
        let mut steps = 0;
        loop {
            let step = store.delete_expired(Expired::DeletedObjects, Timestamp(before), 2).await;
            let step = step.unwrap();
            assert!(step.total() <= 3, "a step is small: {step:?}");
            steps += 1;
            assert!(steps < 50, "it ends");
            if !step.more {
                break;
            }
        }
    };
    let agent_revisions = "SELECT COUNT(*) FROM agent_revisions";
    let scenario_revisions = "SELECT COUNT(*) FROM scenario_revisions";
    let profile_revisions = "SELECT COUNT(*) FROM profile_revisions";
    clean(60).await;
    assert_eq!(count(&store, agent_revisions).await, 1 + 3 + 3, "used, deleted later, and not");
    assert_eq!(count(&store, scenario_revisions).await, 1);
    assert_eq!(count(&store, profile_revisions).await, 1);
    assert_eq!(count(&store, "SELECT SUM(revision) FROM profile_revisions").await, 2);
    let kept = "SELECT SUM(revision) FROM agent_revisions WHERE agent_id = \
                x'00000000000000000000000000000004'";
    assert_eq!(count(&store, kept).await, 2);
    assert_eq!(count(&store, "SELECT COUNT(*) FROM agents").await, 3);
    assert_eq!(count(&store, "SELECT COUNT(*) FROM scenarios").await, 1);

    // When the suite is gone, the rest goes at the next check, a day later.
    while store.delete_expired(Expired::Suites, Timestamp(10), 5000).await.unwrap().more {}
    clean(100).await;
    let first = "SELECT COUNT(*) FROM agents WHERE id = x'00000000000000000000000000000004'";
    assert_eq!(count(&store, first).await, 1, "checked once a day");
    clean(60 + 24 * 3600 * 1000).await;
    assert_eq!(count(&store, agent_revisions).await, 3, "of the agent that is not deleted");
    assert_eq!(count(&store, "SELECT COUNT(*) FROM agents").await, 1);
    let profiles = "SELECT COUNT(*) FROM profiles";
    let scenarios = "SELECT COUNT(*) FROM scenarios";
    for table in [scenario_revisions, scenarios, profile_revisions, profiles] {
        assert_eq!(count(&store, table).await, 0, "{table}");
    }
}

const TOOL_TURN: &[&str] =
    &["INSERT INTO turns (run_id, idx, speaker, message, tool_calls, tool, at) VALUES \
     (x'00000000000000000000000000000005', 3000, 'tool', 'a\u{fc}', '[1]', '{}', 1)"];

#[tokio::test]
async fn transcript_bytes_follow_the_turns() {
    let (_folder, store) = open().await;
    sql(&store, LONG_SUITE).await;
    let space = SpaceId(Uuid::from_u128(2));
    assert_eq!(store.stored_bytes(space).await.unwrap(), 3000 * 5);
    sql(&store, TOOL_TURN).await;
    assert_eq!(store.stored_bytes(space).await.unwrap(), 3000 * 5 + 3 + 3 + 2);
    assert_eq!(store.stored_bytes(SpaceId(Uuid::from_u128(9))).await.unwrap(), 0);
    while store.delete_expired(Expired::Suites, Timestamp(10), 5000).await.unwrap().more {}
    assert_eq!(store.stored_bytes(space).await.unwrap(), 0);
}

const TOKENS: &[&str] =
    &["INSERT INTO tokens (id, user_id, name, hash, created_at, expires_at) VALUES \
     (x'01', x'00000000000000000000000000000001', 'a', x'01', 1, 10), \
     (x'02', x'00000000000000000000000000000001', 'b', x'02', 1, 11), \
     (x'03', x'00000000000000000000000000000001', 'c', x'03', 1, NULL)"];

#[tokio::test]
async fn expired_tokens_are_deleted() {
    let (_folder, store) = open().await;
    sql(&store, LONG_SUITE).await;
    sql(&store, TOKENS).await;
    store.delete_expired(Expired::Tokens, Timestamp(10), 500).await.unwrap();
    assert_eq!(count(&store, "SELECT COUNT(*) FROM tokens").await, 2);
}
