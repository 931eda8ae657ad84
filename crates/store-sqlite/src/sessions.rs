//! Browser sessions over SQLite, for `tower-sessions`.
//!
//! The id is stored hashed and its record without it: who reads the table
//! gets in nowhere. A session is touched at most every 5 minutes.

use crate::trouble::DbResult;
use super::SqliteStore;
use super::accounts::NOTE_WAIT;
use clock::SharedClock;
use store::accounts::NOTE_USE_EVERY;
use store::{StoreError, Stored};
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::Row;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// Most expired sessions that one step deletes: bounds how long it writes.
const SWEEP: u32 = 100;

/// The session store.
#[derive(Clone)]
pub struct SqliteSessions {
    store: SqliteStore,
    clock: SharedClock,
}

impl fmt::Debug for SqliteSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSessions").finish_non_exhaustive()
    }
}

/// What is stored of one session.
struct Stand {
    data: HashMap<String, Value>,
    expires_at: i64,
}

impl SqliteSessions {
    /// Sessions in the same file as everything else.
    #[must_use]
    pub fn new(store: SqliteStore, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Deletes all that have expired, step by step; at boot. Answers how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn sweep(&self) -> Stored<u64> {
        let mut swept = 0;
        loop {
            let now = self.clock.now().0;
            let step = self.store.writer.write(move |c| {
                async move {
                    let done = sqlx::query(
                        "DELETE FROM sessions WHERE rowid IN \
                         (SELECT rowid FROM sessions WHERE expires_at <= ? LIMIT ?)",
                    )
                    .bind(now)
                    .bind(SWEEP)
                    .execute(c)
                    .await.db()?;
                    Ok(done.rows_affected())
                }
                .boxed()
            });
            let step = step.await?;
            swept += step;
            if step < u64::from(SWEEP) {
                return Ok(swept);
            }
        }
    }

    async fn stand(&self, id: &Id) -> Stored<Option<Stand>> {
        let row = sqlx::query(
            "SELECT data, expires_at FROM sessions WHERE id_hash = ? AND expires_at > ?",
        )
        .bind(hash(id))
        .bind(self.clock.now().0)
        .fetch_optional(&self.store.read)
        .await.db()?;
        let Some(row) = row else { return Ok(None) };
        let data: String = row.try_get("data").db()?;
        let Ok(data) = serde_json::from_str(&data) else {
            // Signing in again repairs it; a 500 on every page would not.
            tracing::error!("a damaged session is treated as none");
            return Ok(None);
        };
        Ok(Some(Stand { data, expires_at: row.try_get("expires_at").db()? }))
    }
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn encode(record: &Record) -> Result<String> {
    serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))
}

fn backend(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for SqliteSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let (data, expires_at, now) =
            (encode(record)?, millis(record.expiry_date), self.clock.now().0);
        let mut id = record.id;
        let written = self.store.writer.write(move |c| {
            async move {
                sqlx::query(
                    "DELETE FROM sessions WHERE rowid IN \
                     (SELECT rowid FROM sessions WHERE expires_at <= ? LIMIT ?)",
                )
                .bind(now)
                .bind(SWEEP)
                .execute(&mut *c)
                .await.db()?;
                loop {
                    let done = sqlx::query(
                        "INSERT INTO sessions (id_hash, data, expires_at) VALUES (?, ?, ?) \
                         ON CONFLICT (id_hash) DO NOTHING",
                    )
                    .bind(hash(&id))
                    .bind(&data)
                    .bind(expires_at)
                    .execute(&mut *c)
                    .await.db()?;
                    if done.rows_affected() > 0 {
                        return Ok(id);
                    }
                    id = Id::default();
                }
            }
            .boxed()
        });
        record.id = written.await.map_err(backend)?;
        Ok(())
    }

    /// Changes an existing session. One that is gone stays gone: a request
    /// that was under way at sign-out must not bring it back.
    async fn save(&self, record: &Record) -> Result<()> {
        let (data, expires_at) = (encode(record)?, millis(record.expiry_date));
        let Some(stand) = self.stand(&record.id).await.map_err(backend)? else { return Ok(()) };
        let moved = Duration::from_millis(expires_at.abs_diff(stand.expires_at));
        if stand.data == record.data && moved < NOTE_USE_EVERY {
            return Ok(());
        }
        let id = hash(&record.id);
        let written = self.store.writer.write(move |c| {
            async move {
                sqlx::query("UPDATE sessions SET data = ?, expires_at = ? WHERE id_hash = ?")
                    .bind(data)
                    .bind(expires_at)
                    .bind(id)
                    .execute(c)
                    .await.db()?;
                Ok(())
            }
            .boxed()
        });
        // Only touches come here, for a sign-in makes a new session. While the
        // store takes no changes, pages are shown all the same.
        if let Ok(Err(error)) = tokio::time::timeout(NOTE_WAIT, written).await {
            tracing::warn!(%error, "a session was not touched");
        }
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let stand = self.stand(id).await.map_err(backend)?;
        Ok(stand.and_then(|stand| {
            let nanos = i128::from(stand.expires_at) * 1_000_000;
            let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
            Some(Record { id: *id, data: stand.data, expiry_date })
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let id = hash(id);
        let written = self.store.writer.write(move |c| {
            async move {
                sqlx::query("DELETE FROM sessions WHERE id_hash = ?").bind(id).execute(c).await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await.map_err(backend)
    }
}
