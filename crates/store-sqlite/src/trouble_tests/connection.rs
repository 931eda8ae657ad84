//! The writer's connection and its log: durable, replaced when broken, kept short.

use crate::trouble::DbResult;
use super::{LONG, run, store};
use store::StoreError;
use crate::{SqliteStore, wal};
use futures::FutureExt;

#[tokio::test]
async fn whatever_connection_the_writer_has_is_durable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    for round in ["the first", "its replacement"] {
        let asked = store.writer.write(|c| {
            async move {
                let synchronous =
                    sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *c).await.db()?;
                let journal = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *c).await.db()?;
                let keys = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *c).await.db()?;
                sqlx::query("PRAGMA query_only = ON").execute(c).await.db()?;
                Ok::<(i64, String, bool), StoreError>((synchronous, journal, keys))
            }
            .boxed()
        });
        assert_eq!(asked.await.expect(round), (2, "wal".to_owned(), true), "{round}");
    }
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
                sqlx::query(put).execute(c).await.db()?;
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
