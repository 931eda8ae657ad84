//! Stories about browser sessions.

use crate::testing::open as open_sqlite;
use store::contract::at;
use clock::Clock;
use crate::SqliteStore;
use crate::sessions::SqliteSessions;
use domain::Timestamp;
use serde_json::json;
use sqlx::Row;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl Hands {
    fn show(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

async fn sessions() -> (tempfile::TempDir, SqliteStore, SqliteSessions, Arc<Hands>) {
    let (folder, store) = open_sqlite().await;
    let hands = Arc::new(Hands::default());
    hands.show(at(0));
    let sessions = SqliteSessions::new(store.clone(), hands.clone());
    (folder, store, sessions, hands)
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
async fn a_session_is_made_changed_read_and_ended() {
    let (_folder, store, sessions, _) = sessions().await;
    let mut made = record(7, at(100));
    sessions.create(&mut made).await.unwrap();
    assert_eq!(sessions.load(&made.id).await.unwrap(), Some(made.clone()));
    let row = sqlx::query("SELECT id_hash, data FROM sessions").fetch_one(&store.read).await;
    let row = row.unwrap();
    let (hash, data): (Vec<u8>, String) = (row.get("id_hash"), row.get("data"));
    assert_eq!(hash.len(), 32);
    assert!(!data.contains(&made.id.to_string()), "the id stands nowhere in the row");

    made.data.insert("theme".into(), json!("dark"));
    sessions.save(&made).await.unwrap();
    assert_eq!(sessions.load(&made.id).await.unwrap(), Some(made.clone()));
    sessions.delete(&made.id).await.unwrap();
    assert_eq!(sessions.load(&made.id).await.unwrap(), None);
    sessions.save(&made).await.unwrap();
    assert_eq!(sessions.load(&made.id).await.unwrap(), None, "a late save brings nothing back");
}

#[tokio::test]
async fn a_taken_id_is_not_given_twice() {
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
async fn a_session_is_touched_at_most_every_five_minutes() {
    let (_folder, _store, sessions, _) = sessions().await;
    let mut made = record(7, at(1000));
    sessions.create(&mut made).await.unwrap();
    let until = async || sessions.load(&Id(7)).await.unwrap().unwrap().expiry_date;
    sessions.save(&record(7, at(1299))).await.unwrap();
    assert_eq!(until().await, made.expiry_date, "299 s later is not worth a commit");
    let later = record(7, at(1300));
    sessions.save(&later).await.unwrap();
    assert_eq!(until().await, later.expiry_date);
}

#[tokio::test]
async fn expired_sessions_are_gone_and_swept() {
    let (_folder, store, sessions, hands) = sessions().await;
    for id in 0..250 {
        sessions.create(&mut record(id, at(100))).await.unwrap();
    }
    let left = async || {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM sessions").fetch_one(&store.read).await;
        row.unwrap().get::<i64, _>("n")
    };
    hands.show(at(100));
    assert_eq!(sessions.load(&Id(1)).await.unwrap(), None);
    assert_eq!(left().await, 250);
    sessions.create(&mut record(1000, at(200))).await.unwrap();
    assert_eq!(left().await, 151, "one step of 100, and the new one");
    assert_eq!(sessions.sweep().await.unwrap(), 150);
    assert!(sessions.load(&Id(1000)).await.unwrap().is_some());
}
