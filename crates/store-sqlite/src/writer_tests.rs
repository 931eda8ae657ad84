//! The writer commits queued changes together and undoes each failed one alone.

use super::SqliteStore;
use crate::sqlite_error::RunStatement;
use crate::testing::open;
use domain::SuiteId;
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::{StoreError, StoreResult};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

async fn put(c: &mut SqliteConnection, name: &'static str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO facts (name, value) VALUES (?, x'00')").bind(name).run(c).await
}

async fn names(store: &SqliteStore) -> Vec<String> {
    sqlx::query_scalar("SELECT name FROM facts ORDER BY name").fetch_all(&store.read).await.unwrap()
}

/// A change that blocks the writer, so that changes queued meanwhile share the next
/// transaction.
pub(crate) struct Blocker {
    unblock: oneshot::Sender<()>,
    change: JoinHandle<StoreResult<()>>,
}

impl Blocker {
    /// Returns when the change is running.
    pub(crate) async fn start(store: &SqliteStore) -> Self {
        let (unblock, unblocked) = oneshot::channel::<()>();
        let (entered, blocked) = oneshot::channel();
        let writer = store.writer.clone();
        let change = tokio::spawn(async move {
            let change = writer.write(move |_| {
                async move {
                    let _ = entered.send(());
                    let _ = unblocked.await;
                    Ok(())
                }
                .boxed()
            });
            change.await
        });
        blocked.await.expect("the change runs");
        Self { unblock, change }
    }

    pub(crate) async fn release(self) {
        self.unblock.send(()).expect("the change waits");
        self.change.await.expect("no panic").expect("stored");
    }
}

#[tokio::test]
async fn failed_change_is_undone_alone() {
    let (_folder, store) = open().await;
    let blocker = Blocker::start(&store).await;
    let write = |name: &'static str, fail: bool| {
        let writer = store.writer.clone();
        tokio::spawn(async move {
            let change = writer.write(move |c| {
                async move {
                    put(c, name).await?;
                    if fail { Err(StoreError::LeaseLost) } else { Ok(()) }
                }
                .boxed()
            });
            change.await
        })
    };
    let changes = [write("a", false), write("b", true), write("c", false)];
    tokio::task::yield_now().await;
    blocker.release().await;
    let [a, b, c] = futures::future::join_all(changes).await.try_into().unwrap();
    assert!(a.unwrap().is_ok() && c.unwrap().is_ok());
    assert!(matches!(b.unwrap(), Err(StoreError::LeaseLost)), "each caller receives its own error");
    assert_eq!(names(&store).await, ["a", "c"]);
}

#[tokio::test]
async fn panic_in_a_change_does_not_stop_the_writer() {
    let (_folder, store) = open().await;
    let broken = store.writer.write::<(), _>(|_| async { panic!("bug") }.boxed());
    assert!(matches!(broken.await, Err(StoreError::Internal(_))));
    store.writer.write(|c| put(c, "after").boxed()).await.unwrap();
    assert_eq!(names(&store).await, ["after"]);
}

#[tokio::test]
async fn queued_change_is_stored_after_its_caller_is_gone() {
    let (folder, store) = open().await;
    let blocker = Blocker::start(&store).await;
    // Polled once, then dropped.
    assert!(store.writer.write(|c| put(c, "dropped").boxed()).now_or_never().is_none());
    blocker.release().await;
    store.close().await;
    let reopened = SqliteStore::open(&folder.path().join("test.db")).await.unwrap();
    assert_eq!(names(&reopened).await, ["dropped"]);
}

#[tokio::test]
async fn result_is_returned_after_the_commit() {
    let (_folder, store) = open().await;
    for name in ["a", "b", "c", "d"] {
        store.writer.write(move |c| put(c, name).boxed()).await.unwrap();
        // Another connection reads it, so it is committed.
        assert!(names(&store).await.contains(&name.to_owned()));
    }
}

#[tokio::test]
async fn effects_are_published_after_their_caller_is_gone() {
    let (_folder, store) = open().await;
    let suite = SuiteId(Uuid::from_u128(1));
    let mut latest = store.event_notifier.watch(suite);
    let blocker = Blocker::start(&store).await;
    let change = store.writer.transaction(move |tx| {
        async move {
            tx.effects.add_events(suite, 7, Vec::new(), Vec::new());
            Ok(())
        }
        .boxed()
    });
    // Polled once, then dropped.
    assert!(change.now_or_never().is_none());
    blocker.release().await;
    latest.changed().await.unwrap();
    assert_eq!(latest.borrow().seq, 7);
}
