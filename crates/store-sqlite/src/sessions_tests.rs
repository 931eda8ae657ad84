//! Browser sessions.

use crate::SqliteStore;
use crate::sessions::SqliteSessions;
use crate::testing::open as open_sqlite;
use clock::Clock;
use domain::Timestamp;
use serde_json::json;
use sqlx::Row;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::contract::at;
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

#[derive(Default)]
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl ManualClock {
    fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

async fn sessions() -> (tempfile::TempDir, SqliteStore, SqliteSessions, Arc<ManualClock>) {
    let (folder, store) = open_sqlite().await;
    let clock = Arc::new(ManualClock::default());
    clock.set(at(0));
    let sessions = SqliteSessions::new(store.clone(), clock.clone());
    (folder, store, sessions, clock)
}

fn record(id: i128, until: Timestamp) -> Record {
    let nanos = i128::from(until.0) * 1_000_000;
    Record {
        id: Id(id),
        data: HashMap::from([("user".to_owned(), json!("anna"))]),
        expiry_date: OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap(),
    }
}

#[tokio::test]
async fn session_is_created_changed_loaded_and_deleted() {
    let (_folder, store, sessions, _) = sessions().await;
    let mut session = record(7, at(100));
    sessions.create(&mut session).await.unwrap();
    assert_eq!(sessions.load(&session.id).await.unwrap(), Some(session.clone()));
    let row = sqlx::query("SELECT id_hash, data FROM sessions").fetch_one(&store.read).await;
    let row = row.unwrap();
    let (hash, data): (Vec<u8>, String) = (row.get("id_hash"), row.get("data"));
    assert_eq!(hash.len(), 32);
    assert!(!data.contains(&session.id.to_string()), "the row does not contain the id");

    session.data.insert("theme".into(), json!("dark"));
    sessions.save(&session).await.unwrap();
    assert_eq!(sessions.load(&session.id).await.unwrap(), Some(session.clone()));
    sessions.delete(&session.id).await.unwrap();
    assert_eq!(sessions.load(&session.id).await.unwrap(), None);
    sessions.save(&session).await.unwrap();
    assert_eq!(sessions.load(&session.id).await.unwrap(), None, "a late save brings nothing back");
}

#[tokio::test]
async fn duplicate_session_id_is_replaced() {
    let (_folder, _store, sessions, _) = sessions().await;
    let (mut one, mut two) = (record(7, at(100)), record(7, at(100)));
    two.data.insert("user".into(), json!("ben"));
    sessions.create(&mut one).await.unwrap();
    sessions.create(&mut two).await.unwrap();
    assert_ne!(one.id, two.id);
    assert_eq!(sessions.load(&one.id).await.unwrap(), Some(one));
    assert_eq!(sessions.load(&two.id).await.unwrap(), Some(two));
}

#[tokio::test]
async fn session_is_extended_at_most_every_five_minutes() {
    let (_folder, _store, sessions, _) = sessions().await;
    let mut session = record(7, at(1000));
    sessions.create(&mut session).await.unwrap();
    let until = async || sessions.load(&Id(7)).await.unwrap().unwrap().expiry_date;
    sessions.save(&record(7, at(1299))).await.unwrap();
    assert_eq!(until().await, session.expiry_date, "299 s later is not worth a commit");
    let later = record(7, at(1300));
    sessions.save(&later).await.unwrap();
    assert_eq!(until().await, later.expiry_date);
}

#[tokio::test]
async fn expired_sessions_are_not_loaded_and_are_deleted() {
    let (_folder, store, sessions, clock) = sessions().await;
    for id in 0..250 {
        sessions.create(&mut record(id, at(100))).await.unwrap();
    }
    let left = async || {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM sessions").fetch_one(&store.read).await;
        row.unwrap().get::<i64, _>("n")
    };
    clock.set(at(100));
    assert_eq!(sessions.load(&Id(1)).await.unwrap(), None);
    assert_eq!(left().await, 250);
    sessions.create(&mut record(1000, at(200))).await.unwrap();
    assert_eq!(left().await, 151, "one step of 100, and the new one");
    assert_eq!(sessions.delete_expired().await.unwrap(), 150);
    assert!(sessions.load(&Id(1000)).await.unwrap().is_some());
}
