//! Browser sessions.

use crate::SqliteStore;
use crate::sessions::SqliteSessions;
use crate::testing::open as open_sqlite;
use clock::Clock;
use domain::{Timestamp, UserId};
use serde_json::json;
use sqlx::Row;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::accounts::{AccountStore, session_fields};
use store::contract::{at, person};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use uuid::Uuid;

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

/// A session of a user as a sign-in writes it.
fn session_of(id: i128, user: UserId, used: Timestamp) -> Record {
    let mut session = record(id, at(1000));
    let fields = [
        (session_fields::USER, json!(user)),
        (session_fields::SIGNED_IN_AT, json!(at(1).0)),
        (session_fields::TOUCHED_AT, json!(used.0)),
        (session_fields::ADDRESS, json!("203.0.113.9")),
        (session_fields::BROWSER, json!("Firefox")),
    ];
    session.data = fields.map(|(name, value)| (name.to_owned(), value)).into();
    session
}

#[tokio::test]
async fn sessions_of_a_user_are_listed_and_end_together() {
    let (_folder, store, sessions, _) = sessions().await;
    for (n, email) in [(1, "anna@example.org"), (2, "ben@example.org")] {
        store.create_user(&person(n, email), false).await.unwrap();
    }
    let (anna, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    for (id, user, used) in [(1, anna, 10), (2, anna, 20), (3, ben, 30)] {
        sessions.create(&mut session_of(id, user, at(used))).await.unwrap();
    }
    // A visitor who signs in later gets a user.
    sessions.create(&mut record(4, at(1000))).await.unwrap();
    sessions.save(&session_of(4, anna, at(5))).await.unwrap();
    let listed = store.sessions(anna, at(40)).await.unwrap();
    let used: Vec<_> = listed.iter().map(|session| session.last_used_at).collect();
    assert_eq!(used, [at(20), at(10), at(5)]);
    assert_eq!(
        (listed[0].address.as_str(), listed[0].browser.as_str()),
        ("203.0.113.9", "Firefox")
    );
    assert_eq!(listed[0].signed_in_at, at(1));
    assert!(store.sessions(anna, at(1000)).await.unwrap().is_empty(), "they expired");

    // One of them ends alone, and only for its user.
    let newest = &listed[0].id;
    assert!(!store.end_session(ben, newest).await.unwrap(), "of another user");
    assert!(!store.end_session(anna, "00").await.unwrap(), "unknown");
    assert!(store.end_session(anna, newest).await.unwrap());
    assert!(!store.end_session(anna, newest).await.unwrap(), "it has ended already");
    let left = store.sessions(anna, at(40)).await.unwrap();
    assert_eq!(left, listed[1..]);
    assert_eq!(sessions.load(&Id(2)).await.unwrap(), None);
    assert!(sessions.load(&Id(1)).await.unwrap().is_some());

    store.set_password(anna, "a new hash", at(50)).await.unwrap();
    assert!(store.sessions(anna, at(50)).await.unwrap().is_empty());
    for id in [1, 2, 4] {
        assert_eq!(sessions.load(&Id(id)).await.unwrap(), None, "{id}");
    }
    assert!(sessions.load(&Id(3)).await.unwrap().is_some(), "the session of another user");
    store.end_sessions(ben, at(60)).await.unwrap();
    assert_eq!(sessions.load(&Id(3)).await.unwrap(), None);
}
