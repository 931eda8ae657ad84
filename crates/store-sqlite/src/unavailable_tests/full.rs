//! The disk is full, or SQLite rolls a transaction back: no change is stored partly.

use super::{LONG, TestStore, is_unavailable, put, run, store};
use crate::writer_tests::Blocker;
use futures::FutureExt;
use store::StoreError;

/// Runs changes in one transaction. Each stores two names with their sizes in
/// bytes, in two statements.
async fn together(
    b: &TestStore,
    changes: Vec<(&'static str, &'static str, i64, i64)>,
) -> Vec<(&'static str, &'static str, Result<(), StoreError>)> {
    let blocker = Blocker::start(&b.store).await;
    let mut results = Vec::new();
    for (one, two, first, second) in changes {
        let writer = b.store.writer.clone();
        let mut change = Box::pin(async move {
            let change = writer.write(move |c| {
                async move {
                    put(c, one, first).await?;
                    put(c, two, second).await
                }
                .boxed()
            });
            (one, two, change.await)
        });
        // Queued at the first poll, in this order.
        assert!((&mut change).now_or_never().is_none());
        results.push(change);
    }
    blocker.release().await;
    futures::future::join_all(results).await
}

#[tokio::test]
async fn full_disk_in_batch_stores_no_partial_change() {
    let b = store(LONG).await;
    b.pragma("PRAGMA max_page_count = 200").await;
    let big = 4096 * 400;
    let all = |n| {
        ["a", "b", "c", "d", "e", "f"]
            .map(|name: &str| -> &'static str { Box::leak(format!("{name}{n}").into_boxed_str()) })
    };
    // The failing change is the first, the middle and the last of its transaction.
    for place in 0..3 {
        let [a1, a2, b1, b2, c1, c2] = all(place);
        let mut changes = vec![(a1, a2, 1, 1), (b1, b2, 1, 1)];
        changes.insert(place, (c1, c2, 1, big));
        let results = together(&b, changes).await;
        let names = b.names().await;
        for (one, two, result) in results {
            let stored = (names.iter().any(|n| n == one), names.iter().any(|n| n == two));
            match &result {
                Ok(()) => assert_eq!(stored, (true, true), "{one}"),
                Err(StoreError::Unavailable(why)) => {
                    assert_eq!(stored, (false, false), "{one} at {place}: {why}");
                    assert!(why.contains("the disk is full") || one != c1, "{why}");
                }
                Err(other) => panic!("{other:?}"),
            }
            assert!(one != c1 || result.is_err(), "it does not fit");
        }
    }
    b.pragma("PRAGMA max_page_count = 100000").await;
    b.put("after").await.expect("recovers by itself");
    assert!(b.names().await.contains(&"after".to_owned()));
}

#[tokio::test]
async fn full_disk_is_reported_for_single_change() {
    let b = store(LONG).await;
    b.pragma("PRAGMA max_page_count = 200").await;
    let result = b
        .store
        .writer
        .write(|c| {
            async move {
                put(c, "first", 1).await?;
                put(c, "second", 4096 * 400).await
            }
            .boxed()
        })
        .await;
    assert!(is_unavailable(&result, "the disk is full"), "{result:?}");
    assert!(b.store.writer.is_failing(), "readiness reports it");
    assert!(b.names().await.is_empty(), "the first statement is rolled back");
    b.put("small").await.expect("it fits");
    assert!(!b.store.writer.is_failing());
}

#[tokio::test]
async fn batch_of_failed_changes_marks_writer_as_failing() {
    let b = store(LONG).await;
    let blocker = Blocker::start(&b.store).await;
    // SQLite rolls back the statement only; the transaction stays open.
    let full = || {
        let why = "the disk is full".to_owned();
        b.store
            .writer
            .write::<(), _>(move |_| async move { Err(StoreError::Unavailable(why)) }.boxed())
    };
    let (one, two) = (full(), full());
    tokio::pin!(one, two);
    assert!((&mut one).now_or_never().is_none());
    assert!((&mut two).now_or_never().is_none());
    blocker.release().await;
    assert!(is_unavailable(&one.await, "the disk is full"));
    assert!(is_unavailable(&two.await, "the disk is full"));
    // The results go out within the transaction; the next waits for its end.
    let writer = b.store.writer.clone();
    let is_failing = b.store.writer.write(move |_| async move { Ok(writer.is_failing()) }.boxed());
    assert!(is_failing.await.expect("stored"));
    // A stored change ends the failing state.
    assert!(!b.store.writer.is_failing());
}

#[tokio::test]
async fn transaction_rolled_back_by_sqlite_fails_all_changes() {
    let b = store(LONG).await;
    let blocker = Blocker::start(&b.store).await;
    let before = b.store.writer.write(|c| put(c, "before", 1).boxed());
    // As after an I/O error or a full disk: the whole transaction is rolled back.
    let gone = b.store.writer.write::<(), _>(|c| {
        async move {
            run(c, "ROLLBACK").await;
            Err(StoreError::Unavailable("the disk does not read or write".into()))
        }
        .boxed()
    });
    let after = b.store.writer.write(|c| put(c, "after", 1).boxed());
    tokio::pin!(before, gone, after);
    assert!((&mut before).now_or_never().is_none());
    assert!((&mut gone).now_or_never().is_none());
    assert!((&mut after).now_or_never().is_none());
    blocker.release().await;
    let (before, gone, after) = tokio::join!(before, gone, after);
    for result in [before, gone, after] {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    assert!(b.names().await.is_empty());
    b.put("later").await.expect("recovers");
}
