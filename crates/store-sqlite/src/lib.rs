//! The embedded store: SQLite in WAL mode with `synchronous=FULL`.
//!
//! Reads come from a pool; every write goes through one [`writer::Writer`],
//! which commits what is queued in one transaction.

mod accounts;
mod agents;
mod census;
mod clean;
#[cfg(test)]
mod clean_tests;
#[cfg(test)]
mod completion_tests;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod sessions_tests;
mod connections;
mod evaluations;
mod events;
mod imports;
#[cfg(test)]
mod migration_tests;
mod queue;
mod rows;
mod scenario_rows;
mod scenarios;
pub mod sessions;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod settings;
mod suites;
pub(crate) mod trouble;
#[cfg(test)]
mod trouble_tests;
mod wal;
pub mod writer;
#[cfg(test)]
mod writer_tests;

use crate::trouble::DbResult;
use store::hub::Hub;
use store::{StoreError, Stored};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use writer::{ONE_TRY, Patience, Writer};

/// The oldest SQLite without a known bug that can damage a database in WAL
/// mode (as `sqlite3_libversion_number` counts: 3.51.3).
const OLDEST: i64 = 3_051_003;

/// What brings a file up to date.
static SCHEMA: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// All aggregates over one SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) read: SqlitePool,
    pub(crate) writer: Writer,
    pub(crate) hub: Arc<Hub>,
}

impl SqliteStore {
    /// Opens or makes the file, brings its schema up to date, starts the
    /// writer.
    ///
    /// # Errors
    /// `Unavailable` with a sentence for the operator: the file cannot be
    /// opened, SQLite is too old, or the schema is newer than this program.
    pub async fn open(path: &Path) -> Stored<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            // Copying the log into the database waits for the disk: less often.
            .pragma("wal_autocheckpoint", wal::COPIED_AFTER)
            .statement_cache_capacity(200);
        let write =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.db()?;
        let version: String =
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&write).await.db()?;
        if number(&version) < OLDEST {
            return Err(StoreError::Unavailable(format!(
                "SQLite {version} has a known bug that can damage a database; 3.51.3 or newer is needed"
            )));
        }
        SCHEMA
            .run(&write)
            .await
            .map_err(|error| StoreError::Unavailable(format!("schema: {error}")))?;
        let mut connection = write.acquire().await.db()?.detach();
        // The writer waits by itself, in short tries.
        sqlx::query("PRAGMA busy_timeout = 200").execute(&mut connection).await.db()?;
        let again = options.clone().busy_timeout(ONE_TRY).create_if_missing(false);
        let writer = Writer::start(connection, again, Patience::default());
        let read = SqlitePoolOptions::new()
            .max_connections(5)
            .connect_with(options.read_only(true))
            .await.db()?;
        Ok(Self { read, writer, hub: Arc::new(Hub::default()) })
    }

    /// Whether [`SqliteStore::open`] would change the schema of this file, or
    /// make it. Changes nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn is_behind(path: &Path) -> Stored<bool> {
        if !path.exists() {
            return Ok(true);
        }
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
        let mut c = SqliteConnection::connect_with(&options).await.db()?;
        let begun: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')",
        )
        .fetch_one(&mut c)
        .await.db()?;
        let mut applied: Vec<i64> = Vec::new();
        if begun {
            let versions = sqlx::query_scalar("SELECT version FROM _sqlx_migrations");
            applied = versions.fetch_all(&mut c).await.db()?;
        }
        c.close().await.db()?;
        Ok(SCHEMA.iter().any(|step| !applied.contains(&step.version)))
    }

    /// Waits until what is queued is committed and closes the file.
    pub async fn close(&self) {
        self.writer.close().await;
        self.read.close().await;
    }

    /// Wakes whoever watches, after a commit.
    pub(crate) fn published(&self, suite: domain::SuiteId, seq: i64) {
        self.hub.publish(suite, seq);
    }
}

/// `3.51.3` as 3051003.
fn number(version: &str) -> i64 {
    let mut parts = version.split('.').map(|part| part.parse::<i64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    next() * 1_000_000 + next() * 1000 + next()
}
