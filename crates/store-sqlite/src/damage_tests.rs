//! What only a database can suffer: rows damaged from outside, and unfinished
//! suites that hold a connection.

use crate::trouble::DbResult;
use store::contract::work::{T0, again, claim, over, suite};
use crate::testing::open as open_sqlite;
use store::contract::{ANNA, at, person};
use store::accounts::AccountStore;
use store::catalog::{After, AgentStore, ConnectionRow, ConnectionStore, ScenarioStore};
use store::queue::QueueStore;
use store::rows::RunRow;
use crate::SqliteStore;
use store::suites::{NewEvaluation, SuiteStore};
use store::transition::{LEASE, Lease};
use store::{StoreError, Stored};
use domain::{
    AgentId, AgentSpec, ConnectionId, ConnectionKind, Draft, ErrorKind, EvaluationStatus, RunId,
    RunStatus, ScenarioFilter, ScenarioId, ScenarioSpec, SuiteId, SuiteStatus,
};
use futures::FutureExt;
use serde_json::json;
use uuid::Uuid;

async fn lived_in() -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open_sqlite().await;
    store.create_user(&person(1, "anna@example.org"), true).await.unwrap();
    (folder, store)
}

async fn sql(store: &SqliteStore, statement: &'static str, id: Uuid) -> Stored<()> {
    let written = store.writer.write(move |c| {
        async move {
            sqlx::query(statement).bind(id).execute(c).await.db()?;
            Ok(())
        }
        .boxed()
    });
    written.await
}

#[tokio::test]
async fn a_damaged_agent_hides_no_other() {
    let (_folder, store) = lived_in().await;
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
        assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.agents(ANNA, after.take(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(After { key: last.spec.name.clone(), id: last.id.0 });
        seen.push(page.iter().map(|agent| agent.spec.name.clone()).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec!["Ash", "Elm"], vec!["Fir"]], "pages are filled from what follows");
    // Saving over a damaged one repairs it.
    let id = AgentId(Uuid::from_u128(2));
    store.update_agent(ANNA, id, 1, &spec("Birch"), at(1)).await.unwrap().unwrap();
    assert_eq!(store.agent(ANNA, id).await.unwrap().unwrap().revision, 2);
}

#[tokio::test]
async fn a_damaged_scenario_hides_no_other() {
    let (_folder, store) = lived_in().await;
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

    // A damaged built-in one is repaired by the next start.
    sql(&store, "UPDATE scenario_revisions SET body = 'x' WHERE scenario_id = ?", key(9).0)
        .await
        .unwrap();
    store.put_built_in("hello", key(10), &spec("Hello"), at(1)).await.unwrap();
    assert_eq!(store.scenario(ANNA, key(9)).await.unwrap().unwrap().revision, 2);
}

#[tokio::test]
async fn a_damaged_judging_ends_and_holds_up_no_other() {
    let (_folder, store) = lived_in().await;
    let runs = over(&store, &store, suite(1, 1, 5)).await;
    let mut asked = Vec::new();
    for (n, run) in (1..).zip(&runs) {
        let row = again(run, n);
        asked.push(row.view.id);
        store.create_evaluation(NewEvaluation { row, key: None }).await.unwrap();
    }
    let breaks = async |n: usize, how| sql(&store, how, asked[n].0).await.unwrap();
    let ended = async |n: usize| {
        let view = store.evaluations(runs[n].id).await.unwrap().remove(0).view;
        assert_eq!((view.id, view.status), (asked[n], EvaluationStatus::Error));
        assert!(view.error.unwrap().message.contains("damaged"));
        view.finished_at
    };

    breaks(0, "UPDATE evaluations SET body = '{' WHERE id = ?").await;
    breaks(1, "UPDATE evaluations SET judge = 'x' WHERE id = ?").await;
    let claimed = store.claim_evaluations(claim(2, at(3))).await.unwrap();
    let claimed: Vec<_> = claimed.iter().map(|row| row.view.id).collect();
    assert_eq!(claimed, asked[2..4], "they take nobody's place");
    assert_eq!([ended(0).await, ended(1).await], [Some(at(3)); 2]);

    // Damaged in a worker's hands: found by the reaper, and at a start.
    breaks(2, "UPDATE evaluations SET body = '{' WHERE id = ?").await;
    let lapsed = at(3).plus(LEASE * 2);
    store.reap(lapsed).await.unwrap();
    assert_eq!(ended(2).await, Some(lapsed));
    let claimed = store.claim_evaluations(claim(9, lapsed)).await.unwrap();
    let claimed: Vec<_> = claimed.iter().map(|row| (row.view.id, row.recoveries)).collect();
    assert_eq!(claimed, [(asked[3], 1), (asked[4], 0)], "its neighbour was taken up again");
    breaks(3, "UPDATE evaluations SET judge = '{' WHERE id = ?").await;
    store.take_over(at(90)).await.unwrap();
    assert_eq!(ended(3).await, Some(at(90)));
    let claimed = store.claim_evaluations(claim(9, at(91))).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].view.id), (1, asked[4]));
}

#[tokio::test]
async fn a_connection_is_held_by_unfinished_suites_alone() {
    let (_folder, store) = lived_in().await;
    let id = ConnectionId(Uuid::from_u128(5));
    let row = ConnectionRow {
        id,
        space_id: ANNA,
        name: "Mine".into(),
        kind: ConnectionKind::Demo,
        base_url: String::new(),
        headers: std::collections::BTreeMap::new(),
        key_ciphertext: None,
        key_last4: None,
        created_at: at(0),
        updated_at: at(0),
    };
    store.create_connection(&row).await.unwrap();
    // Damaged JSON in a neighbour must not stand in the way of the look.
    for frozen in ["{", &judged_over(id)] {
        let frozen = frozen.to_owned();
        let written = store.writer.write(move |c| {
            async move {
                sqlx::query(
                    "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, \
                     agent_name, frozen, status, total, concurrency, repeats, note, seq, \
                     created_at) VALUES (?, ?, ?, x'00', 1, 'A', ?, 'running', 1, 1, 1, '', 0, 0)",
                )
                .bind(Uuid::from_u128(frozen.len() as u128))
                .bind(ANNA.0)
                .bind(Uuid::from_u128(1))
                .bind(frozen)
                .execute(c)
                .await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await.unwrap();
    }
    let held = store.delete_connection(ANNA, id).await;
    assert!(matches!(held, Err(StoreError::InUse(_))), "{held:?}");
    sql(&store, "UPDATE suites SET status = 'finished' WHERE space_id = ?", ANNA.0).await.unwrap();
    assert!(store.delete_connection(ANNA, id).await.unwrap());
}

/// What a suite froze whose judge is reached over `id`.
fn judged_over(id: ConnectionId) -> String {
    use store::rows::{Frozen, ModelRef};
    let other = ModelRef { connection_id: ConnectionId(Uuid::from_u128(6)), model: "m".into() };
    let judge = ModelRef { connection_id: id, model: "m".into() };
    let frozen = Frozen { judge, ..Frozen::all(&other) };
    serde_json::to_string(&frozen).unwrap()
}

/// How a run stands: its status, and the kind of its error.
async fn stands(store: &SqliteStore, run: RunId) -> (RunStatus, Option<ErrorKind>) {
    let row = store.run(ANNA, run).await.unwrap().unwrap();
    (row.status, row.error.map(|error| error.kind))
}

const BURIED: (RunStatus, Option<ErrorKind>) = (RunStatus::Error, Some(ErrorKind::InvalidScenario));

fn lease(run: &RunRow) -> Lease {
    Lease { run_id: run.id, attempt: run.attempt }
}

#[tokio::test]
async fn a_suite_whose_models_are_damaged_ends_alone() {
    let (_folder, store) = lived_in().await;
    let (bad, good) = (suite(1, 1, 2), suite(2, 1, 2));
    let (bad_id, good_id) = (bad.id, good.id);
    store.create_suite(bad).await.unwrap();
    store.create_suite(good).await.unwrap();
    sql(&store, "UPDATE suites SET frozen = '{' WHERE id = ?", bad_id.0).await.unwrap();
    let claimed = store.claim(claim(9, T0)).await.unwrap();
    let suites: Vec<SuiteId> = claimed.iter().map(|run| run.suite_id).collect();
    assert_eq!(suites, [good_id, good_id], "the neighbours work");
    let (row, runs) = store.suite(ANNA, bad_id).await.unwrap().unwrap();
    assert_eq!((row.status, runs.len()), (SuiteStatus::Finished, 2), "it ended, and is shown");
    for run in runs {
        assert_eq!(stands(&store, run.id).await, BURIED);
    }
    let told = store.events_after(bad_id, 0, 10).await.unwrap();
    assert_eq!(told.len(), 3, "two ends and the suite's: {told:?}");
}

#[tokio::test]
async fn what_is_damaged_while_it_is_held_ends_with_its_lease() {
    let (_folder, store) = lived_in().await;
    store.create_suite(suite(1, 1, 3)).await.unwrap();
    let runs = store.claim(claim(3, T0)).await.unwrap();
    let hurt = "UPDATE runs SET waiting = '{' WHERE id = ?";
    sql(&store, hurt, runs[0].id.0).await.unwrap();
    sql(&store, hurt, runs[1].id.0).await.unwrap();
    // Only who holds it gives it back.
    let stale = Lease { attempt: 0, ..lease(&runs[0]) };
    assert!(store.hand_back(&stale, T0).await.is_err());
    store.hand_back(&lease(&runs[0]), T0).await.unwrap();
    assert_eq!(stands(&store, runs[0].id).await, BURIED);
    let reaped = store.reap(T0.plus(LEASE * 2)).await.unwrap();
    assert_eq!((reaped.ended, reaped.recovered), (1, 1));
    assert_eq!(stands(&store, runs[1].id).await, BURIED);
    // So it is at boot.
    let last = store.claim(claim(3, T0)).await.unwrap().remove(0);
    sql(&store, hurt, last.id.0).await.unwrap();
    assert_eq!(store.take_over(T0).await.unwrap().ended, 1);
    assert_eq!(stands(&store, last.id).await, BURIED);
    let (row, _) = store.suite(ANNA, last.suite_id).await.unwrap().unwrap();
    assert_eq!(row.status, SuiteStatus::Finished);
}

#[tokio::test]
async fn what_is_to_stop_and_held_by_nobody_ends_at_the_next_look() {
    let (_folder, store) = lived_in().await;
    store.create_suite(suite(1, 1, 3)).await.unwrap();
    let runs = store.claim(claim(3, T0)).await.unwrap();
    sql(&store, "UPDATE runs SET waiting = '{' WHERE id = ?", runs[2].id.0).await.unwrap();
    // As it was left by an older server.
    let left = "UPDATE runs SET lease_owner = NULL, lease_until = NULL, cancel_requested_at = 1 WHERE id = ?";
    for run in &runs {
        sql(&store, left, run.id.0).await.unwrap();
    }
    assert_eq!(store.reap(T0).await.unwrap().ended, 3);
    for run in &runs[..2] {
        assert_eq!(stands(&store, run.id).await, (RunStatus::Cancelled, None));
    }
    assert_eq!(stands(&store, runs[2].id).await, BURIED);
}
