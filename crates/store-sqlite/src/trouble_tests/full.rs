//! The disk is full, or SQLite gives a transaction up: nothing is stored half.

use super::{Bench, LONG, because, put, run, store};
use store::StoreError;
use futures::FutureExt;

/// Queues these while the writer is busy, so that they share a transaction:
/// their names, and how many bytes each stores, in one statement a number.
async fn together(
    b: &Bench,
    changes: Vec<(&'static str, &'static str, i64, i64)>,
) -> Vec<(&'static str, &'static str, Result<(), StoreError>)> {
    let busy = b.busy().await;
    let mut answers = Vec::new();
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
        answers.push(change);
    }
    busy.over().await;
    futures::future::join_all(answers).await
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_batch_stores_nothing_half() {
    let b = store(LONG).await;
    b.tell("PRAGMA max_page_count = 200").await;
    let big = 4096 * 400;
    let all = |n| {
        ["a", "b", "c", "d", "e", "f"]
            .map(|name: &str| -> &'static str { Box::leak(format!("{name}{n}").into_boxed_str()) })
    };
    // The fault stands first, in the middle and last in its transaction.
    for place in 0..3 {
        let [a1, a2, b1, b2, c1, c2] = all(place);
        let mut changes = vec![(a1, a2, 1, 1), (b1, b2, 1, 1)];
        changes.insert(place, (c1, c2, 1, big));
        let answers = together(&b, changes).await;
        let names = b.names().await;
        for (one, two, answer) in answers {
            let stored = (names.iter().any(|n| n == one), names.iter().any(|n| n == two));
            match &answer {
                Ok(()) => assert_eq!(stored, (true, true), "{one}"),
                Err(StoreError::Unavailable(why)) => {
                    assert_eq!(stored, (false, false), "{one} at {place}: {why}");
                    assert!(why.contains("the disk is full") || one != c1, "{why}");
                }
                Err(other) => panic!("{other:?}"),
            }
            assert!(one != c1 || answer.is_err(), "it has no room");
        }
    }
    b.tell("PRAGMA max_page_count = 100000").await;
    b.put("after").await.expect("goes on by itself");
    assert!(b.names().await.contains(&"after".to_owned()));
}

#[tokio::test]
async fn a_full_disk_is_told_to_whoever_is_alone() {
    let b = store(LONG).await;
    b.tell("PRAGMA max_page_count = 200").await;
    let answer = b
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
    assert!(because(&answer, "the disk is full"), "{answer:?}");
    assert!(b.store.writer.in_trouble(), "and to whoever asks how the store is");
    assert!(b.names().await.is_empty(), "the first half is undone");
    b.put("small").await.expect("there is room for this");
    assert!(!b.store.writer.in_trouble());
}

#[tokio::test]
async fn a_batch_of_nothing_but_trouble_is_told_too() {
    let b = store(LONG).await;
    let busy = b.busy().await;
    // SQLite undoes the statement alone: the transaction itself is whole.
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
    busy.over().await;
    assert!(because(&one.await, "the disk is full"));
    assert!(because(&two.await, "the disk is full"));
    // The answers go out within the transaction; the next waits for its end.
    let asked = b.store.writer.clone();
    let trouble = b.store.writer.write(move |_| async move { Ok(asked.in_trouble()) }.boxed());
    assert!(trouble.await.expect("stored"));
    // One that is stored among them says that changes are taken.
    assert!(!b.store.writer.in_trouble());
}

#[tokio::test]
async fn when_sqlite_gives_the_transaction_up_nobody_is_told_that_it_is_stored() {
    let b = store(LONG).await;
    let busy = b.busy().await;
    let before = b.store.writer.write(|c| put(c, "before", 1).boxed());
    // As an I/O error or a full disk may do it: the whole transaction is gone.
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
    busy.over().await;
    let (before, gone, after) = tokio::join!(before, gone, after);
    for answer in [before, gone, after] {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert!(b.names().await.is_empty());
    b.put("later").await.expect("goes on");
}
