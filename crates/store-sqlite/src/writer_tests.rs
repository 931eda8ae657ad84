//! The writer's promises: one commit for what is queued, and each change on
//! its own.

use crate::trouble::DbResult;
use super::SqliteStore;
use store::StoreError;
use futures::FutureExt;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

async fn store() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (SqliteStore::open(&folder.path().join("test.db")).await.expect("opens"), folder)
}

async fn put(c: &mut SqliteConnection, name: &'static str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO facts (name, value) VALUES (?, x'00')").bind(name).execute(c).await.db()?;
    Ok(())
}

async fn names(store: &SqliteStore) -> Vec<String> {
    sqlx::query_scalar("SELECT name FROM facts ORDER BY name").fetch_all(&store.read).await.unwrap()
}

/// Keeps the writer busy until the sender is used, so that what is queued
/// meanwhile shares the next transaction.
async fn busy(store: &SqliteStore) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (go, wait) = oneshot::channel::<()>();
    let (begun, began) = oneshot::channel();
    let writer = store.writer.clone();
    let task = tokio::spawn(async move {
        let held = writer.write(move |_| {
            async move {
                let _ = begun.send(());
                let _ = wait.await;
                Ok(())
            }
            .boxed()
        });
        held.await.unwrap();
    });
    began.await.unwrap();
    (go, task)
}

#[tokio::test]
async fn a_failed_change_undoes_itself_and_not_its_neighbours() {
    let (store, _folder) = store().await;
    let (go, held) = busy(&store).await;
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
    go.send(()).unwrap();
    held.await.unwrap();
    let [a, b, c] = futures::future::join_all(changes).await.try_into().unwrap();
    assert!(a.unwrap().is_ok() && c.unwrap().is_ok());
    assert!(matches!(b.unwrap(), Err(StoreError::LeaseLost)), "each hears its own error");
    assert_eq!(names(&store).await, ["a", "c"]);
}

#[tokio::test]
async fn a_panic_in_a_change_takes_nothing_else_down() {
    let (store, _folder) = store().await;
    let broken = store.writer.write::<(), _>(|_| async { panic!("a fault of ours") }.boxed());
    // A fault of ours: nobody has to try it again.
    assert!(matches!(broken.await, Err(StoreError::Fault(_))));
    store.writer.write(|c| put(c, "after").boxed()).await.unwrap();
    assert_eq!(names(&store).await, ["after"]);
}

#[tokio::test]
async fn what_is_queued_is_stored_though_nobody_waits_any_more() {
    let (store, _folder) = store().await;
    let (go, held) = busy(&store).await;
    // Queued, and then its caller is gone.
    assert!(store.writer.write(|c| put(c, "orphan").boxed()).now_or_never().is_none());
    go.send(()).unwrap();
    held.await.unwrap();
    store.close().await;
    let again = SqliteStore::open(&_folder.path().join("test.db")).await.unwrap();
    assert_eq!(names(&again).await, ["orphan"]);
}

#[tokio::test]
async fn the_answer_comes_after_the_commit() {
    let (store, _folder) = store().await;
    for name in ["a", "b", "c", "d"] {
        store.writer.write(move |c| put(c, name).boxed()).await.unwrap();
        // Another connection sees it: it is committed.
        assert!(names(&store).await.contains(&name.to_owned()));
    }
}
