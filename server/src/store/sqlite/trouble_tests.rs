//! The writer under trouble: locked by others, disk full, connection broken.
//! Each change is stored or answered as not stored, never half, and the writer
//! goes on by itself.

use super::SqliteStore;
use super::wal;
use super::writer::{ONE_TRY, Patience, Writer};
use crate::store::StoreError;
use futures::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;

struct Bench {
    store: SqliteStore,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// A store whose writer waits this long for a lock.
async fn store(first: Duration) -> Bench {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.db");
    let mut store = SqliteStore::open(&file).await.expect("opens");
    store.writer.close().await;
    let options = SqliteConnectOptions::new().filename(&file).busy_timeout(ONE_TRY);
    let connection = SqliteConnection::connect_with(&options).await.expect("connects");
    let patience = Patience { first, again: Duration::from_millis(100) };
    store.writer = Writer::start(connection, options, patience);
    Bench { store, file, _folder: folder }
}

impl Bench {
    /// Another process's connection.
    async fn another(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.file);
        SqliteConnection::connect_with(&options).await.expect("connects")
    }

    async fn put(&self, name: &'static str) -> Result<(), StoreError> {
        self.store.writer.write(move |c| put(c, name, 1).boxed()).await
    }

    async fn names(&self) -> Vec<String> {
        let names = sqlx::query_scalar("SELECT name FROM facts ORDER BY name");
        names.fetch_all(&self.store.read).await.expect("reads")
    }

    async fn tell(&self, pragma: &'static str) {
        let told = self.store.writer.write(move |c| {
            async move {
                sqlx::query(pragma).fetch_all(c).await?;
                Ok(())
            }
            .boxed()
        });
        told.await.expect("a pragma");
    }
}

/// Stores a fact of so many bytes.
async fn put(c: &mut SqliteConnection, name: &'static str, bytes: i64) -> Result<(), StoreError> {
    let put = sqlx::query("INSERT INTO facts (name, value) VALUES (?, zeroblob(?))");
    put.bind(name).bind(bytes).execute(c).await?;
    Ok(())
}

async fn run(c: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(c).await.expect(sql);
}

fn because(answer: &Result<(), StoreError>, of: &str) -> bool {
    matches!(answer, Err(StoreError::Unavailable(why)) if why.contains(of))
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn whatever_connection_the_writer_has_is_durable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    for round in ["the first", "its replacement"] {
        let asked = store.writer.write(|c| {
            async move {
                let synchronous =
                    sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *c).await?;
                let journal = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *c).await?;
                let keys = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *c).await?;
                sqlx::query("PRAGMA query_only = ON").execute(c).await?;
                Ok::<(i64, String, bool), StoreError>((synchronous, journal, keys))
            }
            .boxed()
        });
        assert_eq!(asked.await.expect(round), (2, "wal".to_owned(), true), "{round}");
    }
}

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

/// Queues these while the writer is busy, so that they share a transaction:
/// their names, and how many bytes each stores, in one statement a number.
async fn together(
    b: &Bench,
    changes: Vec<(&'static str, &'static str, i64, i64)>,
) -> Vec<(&'static str, &'static str, Result<(), StoreError>)> {
    let (go, wait) = oneshot::channel::<()>();
    let (begun, began) = oneshot::channel();
    let writer = b.store.writer.clone();
    let held = tokio::spawn(async move {
        let held = writer.write(move |_| {
            async move {
                let _ = begun.send(());
                let _ = wait.await;
                Ok(())
            }
            .boxed()
        });
        held.await
    });
    began.await.expect("began");
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
    go.send(()).expect("waits");
    held.await.expect("no panic").expect("stored");
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
    let (go, wait) = oneshot::channel::<()>();
    let (begun, began) = oneshot::channel();
    let writer = b.store.writer.clone();
    let held = tokio::spawn(async move {
        let held = writer.write(move |_| {
            async move {
                let _ = begun.send(());
                let _ = wait.await;
                Ok(())
            }
            .boxed()
        });
        held.await
    });
    began.await.expect("began");
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
    go.send(()).expect("waits");
    held.await.expect("no panic").expect("stored");
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
    let (go, wait) = oneshot::channel::<()>();
    let (begun, began) = oneshot::channel();
    let writer = b.store.writer.clone();
    let held = tokio::spawn(async move {
        let held = writer.write(move |_| {
            async move {
                let _ = begun.send(());
                let _ = wait.await;
                Ok(())
            }
            .boxed()
        });
        held.await
    });
    began.await.expect("began");
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
    go.send(()).expect("waits");
    held.await.expect("no panic").expect("stored");
    let (before, gone, after) = tokio::join!(before, gone, after);
    for answer in [before, gone, after] {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert!(b.names().await.is_empty());
    b.put("later").await.expect("goes on");
}

#[tokio::test]
async fn a_broken_connection_is_replaced() {
    let b = store(LONG).await;
    // No change can begin over it any more.
    b.tell("PRAGMA query_only = ON").await;
    b.put("a").await.expect("over a new one");
    // A transaction that nobody ended stands in the way of the next.
    let left = b.store.writer.write(|c| {
        async move {
            run(c, "COMMIT").await;
            run(c, "BEGIN").await;
            run(c, "PRAGMA query_only = ON").await;
            Ok(())
        }
        .boxed()
    });
    let _ = left.await;
    b.put("b").await.expect("over a new one");
    assert_eq!(b.names().await, ["a", "b"]);
}

#[tokio::test]
async fn a_log_that_grew_behind_a_reader_is_cut_when_it_has_gone() {
    let b = store(LONG).await;
    let wal = b.file.with_file_name("test.db-wal");
    let length = || std::fs::metadata(&wal).map(|file| file.len()).unwrap_or(0);
    let mut reader = b.another().await;
    run(&mut reader, "BEGIN").await;
    sqlx::query("SELECT COUNT(*) FROM facts").fetch_one(&mut reader).await.expect("reads");
    let most = u64::try_from(wal::LONGEST).expect("positive") * 4096;
    for _ in 0..40 {
        let write = b.store.writer.write(|c| {
            async move {
                let put = "INSERT INTO facts (name, value) VALUES ('big', zeroblob(2000000)) \
                           ON CONFLICT (name) DO UPDATE SET value = randomblob(2000000)";
                sqlx::query(put).execute(c).await?;
                Ok(())
            }
            .boxed()
        });
        write.await.expect("stored");
    }
    assert!(length() > most, "the reader holds it: {}", length());
    let mut writer = b.another().await;
    run(&mut writer, "PRAGMA busy_timeout = 50").await;
    wal::keep_short(&mut writer).await.expect("looks");
    assert!(length() > most, "still held");
    run(&mut reader, "ROLLBACK").await;
    wal::keep_short(&mut writer).await.expect("looks");
    assert_eq!(length(), 0, "cut");
}
