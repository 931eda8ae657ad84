//! Another process holds the database's lock.

use super::{LONG, SHORT, is_unavailable, put, run, store};
use crate::writer::BUSY_TIMEOUT;
use futures::FutureExt;
use std::time::Duration;

#[tokio::test]
async fn writer_waits_for_lock() {
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let b = store(LONG).await;
        let mut other = b.other_connection().await;
        run(&mut other, lock).await;
        let waiting = {
            let writer = b.store.writer.clone();
            tokio::spawn(async move { writer.write(|c| put(c, "a", 1).boxed()).await })
        };
        // Several busy timeouts of SQLite.
        tokio::time::sleep(BUSY_TIMEOUT * 3).await;
        assert!(!waiting.is_finished(), "no result before the commit");
        assert!(b.names().await.is_empty(), "reads succeed");
        run(&mut other, "ROLLBACK").await;
        waiting.await.expect("no panic").expect("stored");
        assert_eq!(b.names().await, ["a"]);
    }
}

#[tokio::test]
async fn writer_reports_lock_timeout_and_recovers() {
    let b = store(SHORT).await;
    let mut other = b.other_connection().await;
    run(&mut other, "BEGIN EXCLUSIVE").await;
    for name in ["a", "b", "c"] {
        let result = b.put(name).await;
        assert!(is_unavailable(&result, "another process holds the database's lock"), "{result:?}");
    }
    assert!(b.names().await.is_empty(), "failed changes are not stored");
    run(&mut other, "COMMIT").await;
    b.put("d").await.expect("stored");
    assert_eq!(b.names().await, ["d"]);
}

#[tokio::test]
async fn many_callers_behind_lock_fail_soon() {
    let b = store(SHORT).await;
    let mut other = b.other_connection().await;
    run(&mut other, "BEGIN IMMEDIATE").await;
    let began = tokio::time::Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    // More than fit into two transactions.
    for _ in 0..600 {
        let writer = b.store.writer.clone();
        waiting.spawn(async move { writer.write(|c| put(c, "same", 1).boxed()).await });
    }
    while let Some(result) = waiting.join_next().await {
        let result = result.expect("no panic");
        assert!(is_unavailable(&result, "lock"), "{result:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
