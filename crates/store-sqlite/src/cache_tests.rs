//! What is kept in memory equals what is stored.

use crate::SqliteStore;
use crate::testing::{open, other_connection};
use domain::{
    AuthScheme, ConnectionId, ConnectionKind, EndReason, SpaceId, SuiteId, ToolCall, Turn,
};
use futures::FutureExt;
use serde_json::json;
use sqlx::Connection;
use store::accounts::AccountStore;
use store::catalog::{ConnectionRow, ConnectionStore, KeyEdit};
use store::contract::person;
use store::contract::queue::{T0, at, claim, finish, id, passed, suite, turns};
use store::queue::QueueStore;
use store::rows::StoredEvent;
use store::suites::SuiteStore;
use store::transition::RunChange;
use uuid::Uuid;

async fn store_with_user() -> (tempfile::TempDir, SqliteStore, SpaceId) {
    let (folder, store) = open().await;
    let anna = person(1, "anna@example.org");
    store.create_user(&anna, true).await.unwrap();
    (folder, store, anna.space_id)
}

#[tokio::test]
async fn events_in_memory_equal_the_stored_ones() {
    let (_folder, store, _) = store_with_user().await;
    let new = SuiteId(id(1));
    let _reader = store.watch(new);
    store.create_suite(suite(1, 1, 2)).await.unwrap();
    for run in store.claim(claim(2, at(1))).await.unwrap() {
        let lease = run.lease();
        let call = ToolCall { id: "1".into(), name: "book".into(), arguments: json!({"day": 2.5}) };
        let said = turns(&["Hello", "One moment."]).turns.into_iter();
        let said = said.map(|turn| Turn { tool_calls: vec![call.clone()], ..turn });
        let change = RunChange { turns: said.collect(), ..RunChange::default() };
        store.commit(&lease, change, at(2)).await.unwrap();
        let over = RunChange { end_reason: Some(EndReason::ScriptFinished), ..turns(&["Bye"]) };
        store.commit(&lease, over, at(3)).await.unwrap();
        store.commit(&lease, finish(passed()), at(4)).await.unwrap();
    }
    let stored = store.read_stored_events(new, 0, 100).await.unwrap();
    assert_eq!(stored.len(), 13, "two starts, six turns, two ends of conversations and three ends");
    let kept = store.event_notifier.events_after(new, 0, 100).expect("all are kept");
    assert_eq!(kept, stored);
    let without: Vec<StoredEvent> = store.events_after(new, 12, 100).await.unwrap();
    assert_eq!(without, stored[12..]);
}

fn connection(n: u128, space: SpaceId) -> ConnectionRow {
    ConnectionRow {
        id: ConnectionId(Uuid::from_u128(n)),
        space_id: space,
        name: format!("Connection {n}"),
        kind: ConnectionKind::OpenAi,
        base_url: "https://one.example.org".into(),
        headers: [].into(),
        secret_headers: None,
        auth: AuthScheme::Bearer.into(),
        query: [].into(),
        secret_query: None,
        timeout_seconds: None,
        preset: None,
        models: Vec::new(),
        key_ciphertext: None,
        key_last4: None,
        created_at: T0,
        updated_at: T0,
    }
}

async fn base_url(store: &SqliteStore, id: ConnectionId) -> Option<String> {
    store.connection_for_engine(id).await.unwrap().map(|row| row.base_url)
}

#[tokio::test]
async fn edit_of_a_connection_is_seen_at_once() {
    let (_folder, store, space) = store_with_user().await;
    let row = connection(1, space);
    assert_eq!(base_url(&store, row.id).await, None);
    store.create_connection(&row).await.unwrap();
    assert_eq!(base_url(&store, row.id).await.as_deref(), Some("https://one.example.org"));
    let edited = ConnectionRow { base_url: "https://two.example.org".into(), ..row.clone() };
    store.update_connection(&edited, KeyEdit::Replace, None).await.unwrap().expect("it exists");
    assert_eq!(base_url(&store, row.id).await.as_deref(), Some("https://two.example.org"));
    assert!(store.delete_connection(space, row.id).await.unwrap());
    assert_eq!(base_url(&store, row.id).await, None);
}

#[tokio::test]
async fn edit_by_another_process_is_seen_after_the_next_commit() {
    let (_folder, store, space) = store_with_user().await;
    let row = connection(1, space);
    store.create_connection(&row).await.unwrap();
    assert!(base_url(&store, row.id).await.is_some());
    let mut other = other_connection(&store).await;
    let edit = "UPDATE connections SET base_url = 'https://two.example.org'";
    sqlx::query(edit).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    // As small as a commit: it says itself that it edits no connection.
    store.writer.saving_transaction(|_| async { Ok(()) }.boxed()).await.unwrap();
    assert_eq!(base_url(&store, row.id).await.as_deref(), Some("https://two.example.org"));
}

#[tokio::test]
async fn read_that_an_edit_overtook_is_not_kept() {
    let (_folder, store, space) = store_with_user().await;
    let row = connection(1, space);
    let cache = &store.connection_cache;
    let version = cache.get(row.id).unwrap_err();
    cache.clear();
    cache.insert(&row, version);
    let version = cache.get(row.id).expect_err("it was edited after it was read");
    cache.insert(&row, version);
    assert_eq!(cache.get(row.id), Ok(row));
}
