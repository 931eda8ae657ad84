//! Quotas of one user, close to their limits.

use super::SqliteStore;
use crate::testing::open;
use domain::{
    AgentId, AgentSpec, ConnectionId, Draft, SavedFormId, ScenarioId, ScenarioSpec, limits,
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use store::accounts::AccountStore;
use store::catalog::{
    AgentStore, ConnectionStore, ImportStore, NewDocument, ScenarioStore, SettingStore,
};
use store::contract::{self, ANNA, BEN, at, person};
use store::{StoreError, StoreResult};
use uuid::Uuid;

async fn open_with_users() -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open().await;
    for (n, email) in [(1, "anna@example.org"), (2, "ben@example.org")] {
        store.create_user(&person(n, email), false).await.unwrap();
    }
    (folder, store)
}

/// Inserts `count` rows for Anna; `columns` and `values` are those after the id and the
/// space.
async fn fill(store: &SqliteStore, table: &str, columns: &str, values: &str, count: u32) {
    let sql = format!(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO {table} (id, space_id, {columns}) SELECT randomblob(16), ?, {values} FROM n"
    );
    store.writer.execute(sqlx::query(AssertSqlSafe(sql)).bind(ANNA.0)).await.unwrap();
}

fn agent() -> AgentSpec {
    let draft = json!({"name": "Desk", "system_prompt": "Help.", "model": "m",
        "connection_id": Uuid::from_u128(5).to_string()});
    AgentSpec::parse(&Draft(draft)).unwrap()
}

fn scenario() -> ScenarioSpec {
    let draft = json!({"name": "Call", "category": "booking",
        "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
    ScenarioSpec::parse(&Draft(draft)).unwrap()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: StoreResult<T>, objects: &str) {
    match result {
        Err(StoreError::QuotaExceeded { objects: refused, .. }) => assert_eq!(refused, objects),
        other => panic!("{objects}: {other:?}"),
    }
}

#[tokio::test]
async fn number_of_agents_and_scenarios_is_limited_per_user_also_for_imports() {
    let (_folder, store) = open_with_users().await;
    let columns = "name, connection_id, revision, created_at";
    fill(&store, "agents", columns, "'A', x'05', 1, 1", limits::AGENTS_PER_USER - 1).await;
    let columns = "name, description, category, difficulty, tags, is_active, revision, created_at";
    let values = "'S', '', 'booking', 0, '[]', 1, 1, 1";
    fill(&store, "scenarios", columns, values, limits::SCENARIOS_PER_USER - 1).await;

    let id = |n| Uuid::from_u128(n);
    let agents = |from: u128| {
        let new = |n| NewDocument::Agent(AgentId(id(n)), Box::new(agent()));
        vec![new(from), new(from + 1)]
    };
    assert_refused(store.save_all(ANNA, agents(10), at(0)).await, "agents");
    store.save_all(BEN, agents(10), at(0)).await.unwrap();
    store.create_agent(ANNA, AgentId(id(20)), &agent(), at(0)).await.unwrap();
    assert_refused(store.create_agent(ANNA, AgentId(id(21)), &agent(), at(0)).await, "agents");
    // A deleted one makes room.
    store.delete_agent(ANNA, AgentId(id(20)), at(1)).await.unwrap();
    store.create_agent(ANNA, AgentId(id(21)), &agent(), at(0)).await.unwrap();

    let new = |n| NewDocument::Scenario(ScenarioId(id(n)), Box::new(scenario()));
    store.save_all(ANNA, vec![new(30)], at(0)).await.unwrap();
    assert_refused(store.save_all(ANNA, vec![new(31)], at(0)).await, "scenarios");
    let refused = store.create_scenario(ANNA, ScenarioId(id(31)), &scenario(), at(0)).await;
    assert_refused(refused, "scenarios");
    store.create_scenario(BEN, ScenarioId(id(31)), &scenario(), at(0)).await.unwrap();
}

#[tokio::test]
async fn number_of_connections_is_limited_per_user() {
    let (_folder, store) = open_with_users().await;
    let connection =
        |n: u32, space| contract::connection(ConnectionId(Uuid::from_u128(u128::from(n))), space);
    for n in 0..limits::CONNECTIONS_PER_USER {
        store.create_connection(&connection(n, ANNA)).await.unwrap();
    }
    assert_refused(store.create_connection(&connection(900, ANNA)).await, "connections");
    store.create_connection(&connection(900, BEN)).await.unwrap();
}

#[tokio::test]
async fn oldest_saved_forms_make_room_for_new_ones() {
    let (_folder, store) = open_with_users().await;
    let id = |n: u32| SavedFormId(Uuid::from_u128(u128::from(n)));
    let kept =
        async |space, n| store.saved_form(Some(space), id(n), at(0)).await.unwrap().is_some();
    store.put_saved_form(Some(BEN), id(9999), "ben", at(0)).await.unwrap();
    let max = limits::SAVED_FORMS_PER_USER;
    for n in 1..=max + 2 {
        store.put_saved_form(Some(ANNA), id(n), "short", at(u64::from(n))).await.unwrap();
    }
    assert!(!kept(ANNA, 2).await && kept(ANNA, 3).await && kept(ANNA, max + 2).await);
    // Few large ones take as much space as many small ones.
    let large = "x".repeat(limits::SAVED_FORM_BYTES_PER_USER as usize / 3);
    for n in 1..=4 {
        store
            .put_saved_form(Some(ANNA), id(1000 + n), &large, at(1000 + u64::from(n)))
            .await
            .unwrap();
    }
    assert!(!kept(ANNA, 1001).await && kept(ANNA, 1002).await && kept(ANNA, 1004).await);
    assert!(kept(BEN, 9999).await, "the form of another user");
}
