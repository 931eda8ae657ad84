//! The writer while the database is unavailable: locked, disk full, connection
//! broken. Each change is stored or reported as not stored, never partly, and the
//! writer recovers by itself.

mod connection;
mod full;
mod locks;

use crate::SqliteStore;
use crate::sqlite_error::{DbResult, RunStatement};
use crate::writer::{BUSY_TIMEOUT, LockTimeout, Writer};
use futures::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::path::PathBuf;
use std::time::Duration;
use store::StoreError;

struct TestStore {
    store: SqliteStore,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// A store whose writer waits for a lock for this time.
async fn store(normal: Duration) -> TestStore {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.db");
    let mut store = SqliteStore::open(&file).await.expect("opens");
    store.writer.close().await;
    let options = SqliteConnectOptions::new().filename(&file).busy_timeout(BUSY_TIMEOUT);
    let connection = SqliteConnection::connect_with(&options).await.expect("connects");
    let lock_timeout = LockTimeout { normal, after_failure: Duration::from_millis(100) };
    let caches = (store.event_notifier.clone(), store.connection_cache.clone());
    store.writer = Writer::start(connection, options, lock_timeout, caches);
    TestStore { store, file, _folder: folder }
}

impl TestStore {
    /// A connection as another process has it.
    async fn other_connection(&self) -> SqliteConnection {
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

    async fn pragma(&self, pragma: &'static str) {
        let result = self.store.writer.write(move |c| {
            async move {
                sqlx::query(pragma).fetch_all(c).await.db()?;
                Ok(())
            }
            .boxed()
        });
        result.await.expect("a pragma");
    }
}

/// Stores metadata of this size.
async fn put(c: &mut SqliteConnection, name: &'static str, bytes: i64) -> Result<(), StoreError> {
    let put = sqlx::query("INSERT INTO facts (name, value) VALUES (?, zeroblob(?))");
    put.bind(name).bind(bytes).run(c).await
}

async fn run(c: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(c).await.expect(sql);
}

fn is_unavailable(result: &Result<(), StoreError>, reason: &str) -> bool {
    matches!(result, Err(StoreError::Unavailable(why)) if why.contains(reason))
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
