//! Corrupt rows, which only a database can have.

use crate::SqliteStore;
use crate::sqlite_error::DbResult;
use crate::testing::{open as open_sqlite, other_connection};
use domain::services::HistoryFilter;
use domain::{
    AgentId, AgentSpec, ConnectionId, Draft, ErrorKind, EvaluationStatus, RunId, RunStatus,
    ScenarioFilter, ScenarioId, ScenarioSpec, SuiteId, SuiteStatus,
};
use serde_json::json;
use store::accounts::AccountStore;
use store::catalog::{AgentStore, ConnectionStore, NameCursor, ScenarioStore};
use store::contract::queue::{T0, claim, finished_runs, rejudge, suite};
use store::contract::{self, ANNA, at, person};
use store::queue::QueueStore;
use store::suites::{NewRejudge, SuiteStore};
use store::transition::{LEASE_DURATION, Lease};
use store::{StoreError, StoreResult};
use uuid::Uuid;

async fn open_with_user() -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open_sqlite().await;
    store.create_user(&person(1, "anna@example.org"), true).await.unwrap();
    (folder, store)
}

/// Damages a row as another process does.
async fn sql(store: &SqliteStore, statement: &'static str, id: Uuid) -> StoreResult<()> {
    let mut other = other_connection(store).await;
    sqlx::query(statement).bind(id).execute(&mut other).await.db().map(|_| ())
}

#[tokio::test]
async fn corrupt_agent_does_not_hide_others() {
    let (_folder, store) = open_with_user().await;
    let spec = |name: &str| {
        let draft = json!({"name": name, "system_prompt": "Help.", "model": "m",
            "connection_id": Uuid::from_u128(5).to_string()});
        AgentSpec::parse(&Draft(draft)).unwrap()
    };
    for (n, name) in (1..).zip(["Ash", "Birch", "Cedar", "Elm", "Fir"]) {
        let id = AgentId(Uuid::from_u128(n));
        store.create_agent(ANNA, id, &spec(name), at(0)).await.unwrap();
    }
    for (n, how) in [
        (2, "UPDATE agent_revisions SET body = '{' WHERE agent_id = ?"),
        (3, "DELETE FROM agent_revisions WHERE agent_id = ?"),
    ] {
        sql(&store, how, Uuid::from_u128(n)).await.unwrap();
        let read = store.agent(ANNA, AgentId(Uuid::from_u128(n))).await;
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.agents(ANNA, after.take(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(NameCursor { key: last.spec.name.clone(), id: last.id.0 });
        seen.push(page.iter().map(|agent| agent.spec.name.clone()).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec!["Ash", "Elm"], vec!["Fir"]], "pages are filled with the next rows");
    // Saving repairs a corrupt agent.
    let id = AgentId(Uuid::from_u128(2));
    store.update_agent(ANNA, id, 1, &spec("Birch"), at(1)).await.unwrap().unwrap();
    assert_eq!(store.agent(ANNA, id).await.unwrap().unwrap().revision, 2);
}

#[tokio::test]
async fn corrupt_scenario_does_not_hide_others() {
    let (_folder, store) = open_with_user().await;
    let spec = |name: &str| {
        let draft = json!({"name": name, "category": "booking", "tags": ["all"],
            "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
        ScenarioSpec::parse(&Draft(draft)).unwrap()
    };
    let key = |n| ScenarioId(Uuid::from_u128(n));
    for (n, name) in (1..).zip(["Ash", "Birch", "Cedar"]) {
        store.create_scenario(ANNA, key(n), &spec(name), at(0)).await.unwrap();
    }
    store.put_built_in("hello", key(9), &spec("Hello"), at(0)).await.unwrap();
    let names = async |filter: &ScenarioFilter| {
        let found = store.scenarios(ANNA, filter, None, 50).await.unwrap();
        found.into_iter().map(|scenario| scenario.spec.name).collect::<Vec<_>>()
    };
    sql(&store, "UPDATE scenario_revisions SET body = 'x' WHERE scenario_id = ?", key(2).0)
        .await
        .unwrap();
    sql(&store, "UPDATE scenarios SET tags = 'x' WHERE id = ?", key(3).0).await.unwrap();
    assert_eq!(names(&ScenarioFilter::default()).await, ["Ash", "Cedar", "Hello"]);
    let tagged = ScenarioFilter { tag: Some("all".into()), ..ScenarioFilter::default() };
    assert_eq!(names(&tagged).await, ["Ash", "Hello"]);

    // The next start repairs a corrupt built-in scenario.
    sql(&store, "UPDATE scenario_revisions SET body = 'x' WHERE scenario_id = ?", key(9).0)
        .await
        .unwrap();
    store.put_built_in("hello", key(10), &spec("Hello"), at(1)).await.unwrap();
    assert_eq!(store.scenario(ANNA, key(9)).await.unwrap().unwrap().revision, 2);
}

#[tokio::test]
async fn corrupt_evaluation_ends_as_error_without_holding_up_others() {
    let (_folder, store) = open_with_user().await;
    let runs = finished_runs(&store, &store, suite(1, 1, 5)).await;
    let mut ids = Vec::new();
    for (n, run) in (1..).zip(&runs) {
        let row = rejudge(run, n);
        ids.push(row.evaluation.id);
        store.create_rejudge(NewRejudge { row, key: None }).await.unwrap();
    }
    let corrupt = async |n: usize, how| sql(&store, how, ids[n].0).await.unwrap();
    let failed_at = async |n: usize| {
        let evaluation = store.evaluations(runs[n].id).await.unwrap().remove(0).evaluation;
        assert_eq!((evaluation.id, evaluation.status), (ids[n], EvaluationStatus::Error));
        assert!(evaluation.error.unwrap().message.contains("damaged"));
        evaluation.finished_at
    };

    corrupt(0, "UPDATE evaluations SET body = '{' WHERE id = ?").await;
    corrupt(1, "UPDATE evaluations SET judge = 'x' WHERE id = ?").await;
    let claimed = store.claim_rejudges(claim(2, at(3))).await.unwrap();
    let claimed: Vec<_> = claimed.iter().map(|row| row.evaluation.id).collect();
    assert_eq!(claimed, ids[2..4], "corrupt ones do not count against the limit");
    assert_eq!([failed_at(0).await, failed_at(1).await], [Some(at(3)); 2]);

    // The reaper and the recovery at boot find one that was corrupted while leased.
    corrupt(2, "UPDATE evaluations SET body = '{' WHERE id = ?").await;
    let expired = at(3).plus(LEASE_DURATION * 2);
    store.reap(expired).await.unwrap();
    assert_eq!(failed_at(2).await, Some(expired));
    let claimed = store.claim_rejudges(claim(9, expired)).await.unwrap();
    let claimed: Vec<_> = claimed.iter().map(|row| (row.evaluation.id, row.recoveries)).collect();
    assert_eq!(claimed, [(ids[3], 1), (ids[4], 0)], "the other one was recovered");
    corrupt(3, "UPDATE evaluations SET judge = '{' WHERE id = ?").await;
    store.recover_at_boot(at(90)).await.unwrap();
    assert_eq!(failed_at(3).await, Some(at(90)));
    let claimed = store.claim_rejudges(claim(9, at(91))).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].evaluation.id), (1, ids[4]));
}

#[tokio::test]
async fn connection_of_unfinished_suite_cannot_be_deleted() {
    let (_folder, store) = open_with_user().await;
    let id = ConnectionId(Uuid::from_u128(5));
    store.create_connection(&contract::connection(id, ANNA)).await.unwrap();
    // Corrupt JSON in another suite must not break the check.
    for model_snapshot in ["{", &judge_at(id)] {
        let insert = sqlx::query(
            "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, \
                     agent_name, model_snapshot, status, total, concurrency, repeats, note, seq, \
                     created_at) VALUES (?, ?, ?, x'00', 1, 'A', ?, 'running', 1, 1, 1, '', 0, 0)",
        )
        .bind(Uuid::from_u128(model_snapshot.len() as u128))
        .bind(ANNA.0)
        .bind(Uuid::from_u128(1))
        .bind(model_snapshot);
        store.writer.execute(insert).await.unwrap();
    }
    let result = store.delete_connection(ANNA, id).await;
    assert!(matches!(result, Err(StoreError::InUse(_))), "{result:?}");
    sql(&store, "UPDATE suites SET status = 'finished' WHERE space_id = ?", ANNA.0).await.unwrap();
    assert!(store.delete_connection(ANNA, id).await.unwrap());
}

/// The models of a suite whose judge uses this connection.
fn judge_at(id: ConnectionId) -> String {
    use store::rows::{ModelRef, ModelSnapshot};
    let other = ModelRef { connection_id: ConnectionId(Uuid::from_u128(6)), model: "m".into() };
    let judge = ModelRef { connection_id: id, model: "m".into() };
    let model_snapshot = ModelSnapshot { judge: judge.into(), ..ModelSnapshot::all(&other) };
    serde_json::to_string(&model_snapshot).unwrap()
}

async fn status(store: &SqliteStore, run: RunId) -> (RunStatus, Option<ErrorKind>) {
    let row = store.run(ANNA, run).await.unwrap().unwrap();
    (row.status, row.error.as_ref().map(|error| error.kind))
}

const FAILED: (RunStatus, Option<ErrorKind>) = (RunStatus::Error, Some(ErrorKind::InvalidScenario));

#[tokio::test]
async fn suite_with_corrupt_models_fails_alone() {
    let (_folder, store) = open_with_user().await;
    let (bad, good) = (suite(1, 1, 2), suite(2, 1, 2));
    let (bad_id, good_id) = (bad.id, good.id);
    store.create_suite(bad).await.unwrap();
    store.create_suite(good).await.unwrap();
    sql(&store, "UPDATE suites SET model_snapshot = '{' WHERE id = ?", bad_id.0).await.unwrap();
    let claimed = store.claim(claim(9, T0)).await.unwrap();
    let suites: Vec<SuiteId> = claimed.iter().map(|run| run.suite_id).collect();
    assert_eq!(suites, [good_id, good_id], "the other suite starts");
    let (row, runs) = store.suite(ANNA, bad_id).await.unwrap().unwrap();
    assert_eq!(
        (row.state.status(), runs.len()),
        (SuiteStatus::Finished, 2),
        "it finished, and pages can show it"
    );
    for run in runs {
        assert_eq!(status(&store, run.id).await, FAILED);
    }
    let events = store.events_after(bad_id, 0, 10).await.unwrap();
    assert_eq!(events.len(), 3, "two runs and the suite: {events:?}");
}

#[tokio::test]
async fn run_corrupted_while_leased_fails_when_its_lease_ends() {
    let (_folder, store) = open_with_user().await;
    store.create_suite(suite(1, 1, 3)).await.unwrap();
    let runs = store.claim(claim(3, T0)).await.unwrap();
    let corrupt = "UPDATE runs SET waiting = '{' WHERE id = ?";
    sql(&store, corrupt, runs[0].id.0).await.unwrap();
    sql(&store, corrupt, runs[1].id.0).await.unwrap();
    // Only the lease holder can release it.
    let stale = Lease { lease_epoch: 0, ..runs[0].lease() };
    assert!(store.release(&stale, T0).await.is_err());
    store.release(&runs[0].lease(), T0).await.unwrap();
    assert_eq!(status(&store, runs[0].id).await, FAILED);
    let reaped = store.reap(T0.plus(LEASE_DURATION * 2)).await.unwrap();
    assert_eq!((reaped.ended, reaped.recovered), (1, 1));
    assert_eq!(status(&store, runs[1].id).await, FAILED);
    // The recovery at boot fails it too.
    let last = store.claim(claim(3, T0)).await.unwrap().remove(0);
    sql(&store, corrupt, last.id.0).await.unwrap();
    assert_eq!(store.recover_at_boot(T0).await.unwrap().ended, 1);
    assert_eq!(status(&store, last.id).await, FAILED);
    let (row, _) = store.suite(ANNA, last.suite_id).await.unwrap().unwrap();
    assert_eq!(row.state.status(), SuiteStatus::Finished);
}

#[tokio::test]
async fn cancelled_orphans_end_at_next_reap() {
    let (_folder, store) = open_with_user().await;
    store.create_suite(suite(1, 1, 3)).await.unwrap();
    let runs = store.claim(claim(3, T0)).await.unwrap();
    sql(&store, "UPDATE runs SET waiting = '{' WHERE id = ?", runs[2].id.0).await.unwrap();
    // As an older server left them.
    let left = "UPDATE runs SET lease_owner = NULL, lease_until = NULL, cancel_requested_at = 1 WHERE id = ?";
    for run in &runs {
        sql(&store, left, run.id.0).await.unwrap();
    }
    assert_eq!(store.reap(T0).await.unwrap().ended, 3);
    for run in &runs[..2] {
        assert_eq!(status(&store, run.id).await, (RunStatus::Cancelled, None));
    }
    assert_eq!(status(&store, runs[2].id).await, FAILED);
}

#[tokio::test]
async fn suite_with_corrupt_concurrency_fails_alone() {
    let (_folder, store) = open_with_user().await;
    let (bad, good) = (suite(1, 1, 2), suite(2, 1, 2));
    let (bad_id, good_id) = (bad.id, good.id);
    store.create_suite(bad).await.unwrap();
    store.create_suite(good).await.unwrap();
    sql(&store, "UPDATE suites SET concurrency = -1 WHERE id = ?", bad_id.0).await.unwrap();
    let result = store.suite(ANNA, bad_id).await;
    assert!(
        matches!(&result, Err(StoreError::Corrupt { table: "suites", row, column: "concurrency" })
        if *row == bad_id.to_string()),
        "{result:?}"
    );
    let claimed = store.claim(claim(9, T0)).await.unwrap();
    let suites: Vec<SuiteId> = claimed.iter().map(|run| run.suite_id).collect();
    assert_eq!(suites, [good_id, good_id], "the other suite starts");
    let runs = store.runs(ANNA, &HistoryFilter::default(), None, 9).await.unwrap();
    let failed = runs.iter().filter(|run| run.suite_id == bad_id);
    assert_eq!(failed.filter(|run| run.status == RunStatus::Error).count(), 2);
    let suites = store.suites(ANNA, &HistoryFilter::default(), None, 9).await.unwrap();
    assert_eq!(suites.len(), 1, "lists show the other suite");
}

#[tokio::test]
async fn cancelled_suite_ends_with_its_corrupt_run() {
    let (_folder, store) = open_with_user().await;
    let new = suite(1, 1, 2);
    let (id, runs) = (new.id, [new.runs[0].id, new.runs[1].id]);
    store.create_suite(new).await.unwrap();
    sql(&store, "UPDATE runs SET repetition = -1 WHERE id = ?", runs[0].0).await.unwrap();
    store.cancel_suite(ANNA, id, T0).await.unwrap().unwrap();
    assert_eq!(status(&store, runs[0]).await, FAILED);
    assert_eq!(status(&store, runs[1]).await, (RunStatus::Cancelled, None));
    let (row, _) = store.suite(ANNA, id).await.unwrap().unwrap();
    assert_eq!(row.state.status(), SuiteStatus::Cancelled);
}

#[tokio::test]
async fn evaluation_with_corrupt_lease_epoch_ends_as_error_at_heartbeat() {
    let (_folder, store) = open_with_user().await;
    let runs = finished_runs(&store, &store, suite(1, 1, 2)).await;
    for (n, run) in (1..).zip(&runs) {
        let row = rejudge(run, n);
        store.create_rejudge(NewRejudge { row, key: None }).await.unwrap();
    }
    let order = claim(2, at(3));
    let claimed = store.claim_rejudges(order.clone()).await.unwrap();
    let (bad, good) = (claimed[0].id(), claimed[1].id());
    sql(&store, "UPDATE evaluations SET lease_epoch = -1 WHERE id = ?", bad.0).await.unwrap();
    let heartbeat = store.heartbeat(&order.owner, at(4)).await.unwrap();
    assert_eq!(heartbeat.rejudges, [(good, claimed[1].lease_epoch)]);
    let stored = store.evaluations(claimed[0].run_id).await.unwrap().remove(0);
    assert_eq!((stored.id(), stored.evaluation.status), (bad, EvaluationStatus::Error));
}
