//! The writer's connection is durable and replaced when broken; its WAL stays short.

use super::{LONG, run, store};
use crate::sqlite_error::{DbResult, RunStatement};
use crate::{SqliteStore, wal};
use futures::FutureExt;
use store::StoreError;

#[tokio::test]
async fn every_writer_connection_is_durable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    for round in ["first connection", "replacement"] {
        let pragmas = store.writer.write(|c| {
            async move {
                let synchronous =
                    sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *c).await.db()?;
                let journal =
                    sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *c).await.db()?;
                let keys =
                    sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *c).await.db()?;
                sqlx::query("PRAGMA query_only = ON").run(c).await?;
                Ok::<(i64, String, bool), StoreError>((synchronous, journal, keys))
            }
            .boxed()
        });
        assert_eq!(pragmas.await.expect(round), (2, "wal".to_owned(), true), "{round}");
    }
}

#[tokio::test]
async fn broken_connection_is_replaced() {
    let b = store(LONG).await;
    // The connection accepts no changes any more.
    b.pragma("PRAGMA query_only = ON").await;
    b.put("a").await.expect("uses a new connection");
    // An open transaction blocks the next one.
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
    b.put("b").await.expect("uses a new connection");
    assert_eq!(b.names().await, ["a", "b"]);
}

#[tokio::test]
async fn wal_is_truncated_after_long_reader_ends() {
    let b = store(LONG).await;
    let wal = b.file.with_file_name("test.db-wal");
    let length = || std::fs::metadata(&wal).map(|file| file.len()).unwrap_or(0);
    let mut reader = b.other_connection().await;
    run(&mut reader, "BEGIN").await;
    sqlx::query("SELECT COUNT(*) FROM facts").fetch_one(&mut reader).await.expect("reads");
    let most = u64::try_from(wal::MAX_PAGES).expect("positive") * 4096;
    for _ in 0..40 {
        let put = "INSERT INTO facts (name, value) VALUES ('big', zeroblob(2000000)) \
                           ON CONFLICT (name) DO UPDATE SET value = randomblob(2000000)";
        b.store.writer.execute(sqlx::query(put)).await.expect("stored");
    }
    assert!(length() > most, "the reader keeps it: {}", length());
    let mut writer = b.other_connection().await;
    run(&mut writer, "PRAGMA busy_timeout = 50").await;
    wal::truncate_if_long(&mut writer).await.expect("checks");
    assert!(length() > most, "still in use");
    run(&mut reader, "ROLLBACK").await;
    wal::truncate_if_long(&mut writer).await.expect("checks");
    assert_eq!(length(), 0, "truncated");
}
