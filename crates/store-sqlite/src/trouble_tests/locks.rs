//! Another process holds the database's lock.

use super::{LONG, SHORT, because, put, run, store};
use crate::writer::ONE_TRY;
use futures::FutureExt;
use std::time::Duration;

#[tokio::test]
async fn a_lock_that_goes_is_waited_for() {
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let b = store(LONG).await;
        let mut other = b.another().await;
        run(&mut other, lock).await;
        let waiting = {
            let writer = b.store.writer.clone();
            tokio::spawn(async move { writer.write(|c| put(c, "a", 1).boxed()).await })
        };
        // Several tries of SQLite's own long.
        tokio::time::sleep(ONE_TRY * 3).await;
        assert!(!waiting.is_finished(), "nothing is answered before the commit");
        assert!(b.names().await.is_empty(), "reading goes on");
        run(&mut other, "ROLLBACK").await;
        waiting.await.expect("no panic").expect("stored");
        assert_eq!(b.names().await, ["a"]);
    }
}

#[tokio::test]
async fn a_lock_that_stays_is_told_and_the_writer_goes_on_by_itself() {
    let b = store(SHORT).await;
    let mut other = b.another().await;
    run(&mut other, "BEGIN EXCLUSIVE").await;
    for name in ["a", "b", "c"] {
        let answer = b.put(name).await;
        assert!(because(&answer, "another process holds the database's lock"), "{answer:?}");
    }
    assert!(b.names().await.is_empty(), "what was refused is not stored");
    run(&mut other, "COMMIT").await;
    b.put("d").await.expect("stored");
    assert_eq!(b.names().await, ["d"]);
}

#[tokio::test]
async fn many_who_wait_behind_a_lock_are_told_soon() {
    let b = store(SHORT).await;
    let mut other = b.another().await;
    run(&mut other, "BEGIN IMMEDIATE").await;
    let began = tokio::time::Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    // More than two transactions take.
    for _ in 0..600 {
        let writer = b.store.writer.clone();
        waiting.spawn(async move { writer.write(|c| put(c, "same", 1).boxed()).await });
    }
    while let Some(answer) = waiting.join_next().await {
        let answer = answer.expect("no panic");
        assert!(because(&answer, "lock"), "{answer:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
