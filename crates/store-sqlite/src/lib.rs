//! The store over SQLite in WAL mode with `synchronous=FULL`. Reads use a pool.
//! All writes go through one [`writer::Writer`], which commits the queued changes
//! in one transaction.
//!
//! The compiler checks every SQL statement against the schema, with the data in
//! `.sqlx` (see `cargo xtask sqlx`). Rows are decoded into [`cell::Cell`]s and
//! converted one by one: a corrupt row is [`StoreError::Corrupt`] and does not
//! affect other rows.

mod accounts;
mod agents;
#[cfg(test)]
mod cache_tests;
mod cell;
#[cfg(test)]
mod completion_tests;
mod connection_cache;
mod connections;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod corrupt_run_tests;
#[cfg(test)]
mod corrupt_tests;
mod events;
mod imports;
mod learned;
#[cfg(test)]
mod migration_tests;
mod prices;
mod profiles;
mod queue;
mod queue_stats;
mod quota;
#[cfg(test)]
mod quota_tests;
mod rejudges;
mod retention;
mod retention_catalog;
#[cfg(test)]
mod retention_tests;
mod rows;
mod scenario_rows;
mod scenarios;
#[cfg(test)]
mod schedule_tests;
pub mod sessions;
#[cfg(test)]
mod sessions_tests;
mod settings;
mod spending;
#[cfg(test)]
mod spending_tests;
mod sqlite_error;
mod suites;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod unavailable_tests;
mod wal;
pub mod writer;
#[cfg(test)]
mod writer_tests;

use crate::connection_cache::ConnectionCache;
use crate::sqlite_error::DbResult;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::event_notifier::EventNotifier;
use store::{StoreError, StoreResult};
use store_sqlite_schema::SCHEMA;
use writer::{BUSY_TIMEOUT, LockTimeout, Writer};

/// The oldest SQLite without a known bug that can corrupt a database in WAL mode:
/// 3.51.3 in the form of `sqlite3_libversion_number`.
const MIN_VERSION: i64 = 3_051_003;

/// All stores over one SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) read: SqlitePool,
    pub(crate) writer: Writer,
    pub(crate) event_notifier: Arc<EventNotifier>,
    pub(crate) connection_cache: Arc<ConnectionCache>,
}

impl SqliteStore {
    /// Opens or creates the file, migrates it and starts the writer.
    ///
    /// # Errors
    /// `Unavailable` with a message for the operator: the file cannot be opened,
    /// SQLite is too old, or the schema is newer than this program.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            // Rarer than the default, because a checkpoint waits for the disk.
            .pragma("wal_autocheckpoint", wal::CHECKPOINT_PAGES)
            .statement_cache_capacity(200);
        let write =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.db()?;
        let version: String =
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&write).await.db()?;
        if version_number(&version) < MIN_VERSION {
            return Err(StoreError::Unavailable(format!(
                "SQLite {version} has a known bug that can corrupt a database; 3.51.3 or newer is \
                 required"
            )));
        }
        SCHEMA
            .run(&write)
            .await
            .map_err(|error| StoreError::Unavailable(format!("schema: {error}")))?;
        let mut connection = write.acquire().await.db()?.detach();
        // The writer itself retries until its timeout. A savepoint of more than 64 KiB would
        // be written to a temporary file.
        let writer_pragmas = "PRAGMA busy_timeout = 200; PRAGMA temp_store = memory";
        sqlx::query(writer_pragmas).execute(&mut connection).await.db()?;
        let reconnect = options.clone().busy_timeout(BUSY_TIMEOUT).create_if_missing(false);
        let reconnect = reconnect.pragma("temp_store", "memory");
        let event_notifier = Arc::new(EventNotifier::default());
        let connection_cache = Arc::new(ConnectionCache::default());
        let caches = (event_notifier.clone(), connection_cache.clone());
        let writer = Writer::start(connection, reconnect, LockTimeout::default(), caches);
        let read = SqlitePoolOptions::new()
            .max_connections(5)
            // A connection to a file does not break while it is not used.
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .db()?;
        Ok(Self { read, writer, event_notifier, connection_cache })
    }

    /// Whether [`SqliteStore::open`] would create or migrate this file. Does not
    /// change it.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub async fn needs_migration(path: &Path) -> StoreResult<bool> {
        if !path.exists() {
            return Ok(true);
        }
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
        let mut c = SqliteConnection::connect_with(&options).await.db()?;
        let has_migrations: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')",
        )
        .fetch_one(&mut c)
        .await
        .db()?;
        let mut applied: Vec<i64> = Vec::new();
        if has_migrations {
            let versions = sqlx::query_scalar("SELECT version FROM _sqlx_migrations");
            applied = versions.fetch_all(&mut c).await.db()?;
        }
        c.close().await.db()?;
        Ok(SCHEMA.iter().any(|migration| !applied.contains(&migration.version)))
    }

    /// Commits the queued changes and closes the file.
    pub async fn close(&self) {
        self.writer.close().await;
        self.read.close().await;
    }
}

/// `3.51.3` as 3051003.
fn version_number(version: &str) -> i64 {
    let mut parts = version.split('.').map(|part| part.parse::<i64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    next() * 1_000_000 + next() * 1000 + next()
}
