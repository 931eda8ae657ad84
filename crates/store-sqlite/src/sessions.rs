//! Browser sessions over SQLite, for `tower-sessions`.
//!
//! Only the hash of a session id is stored, so the table does not let its reader
//! sign in. A session is extended at most every 5 minutes.

use super::SqliteStore;
use super::accounts::LAST_USED_WAIT;
use crate::sqlite_error::DbResult;
use async_trait::async_trait;
use clock::SharedClock;
use domain::{BrowserSession, Timestamp};
use futures::FutureExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use store::accounts::{LAST_USED_UPDATE_INTERVAL, session_fields};
use store::{StoreError, StoreResult};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use uuid::Uuid;

/// The limit of expired sessions in one transaction, which bounds its duration.
const DELETE_LIMIT: u32 = 100;

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

struct StoredSession {
    data: HashMap<String, Value>,
    expires_at: i64,
}

impl SqliteSessions {
    #[must_use]
    pub fn new(store: SqliteStore, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Deletes all expired sessions in small steps, at boot. Returns their number.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn delete_expired(&self) -> StoreResult<u64> {
        let mut swept = 0;
        loop {
            let now = self.clock.now().0;
            let step = self
                .store
                .writer
                .write(move |c| async move { delete_some_expired(c, now).await }.boxed());
            let step = step.await?;
            swept += step;
            if step < u64::from(DELETE_LIMIT) {
                return Ok(swept);
            }
        }
    }

    async fn stored(&self, id: &Id) -> StoreResult<Option<StoredSession>> {
        let (hash, now) = (hash(id), self.clock.now().0);
        let session = sqlx::query!(
            "SELECT data, expires_at FROM sessions WHERE id_hash = ? AND expires_at > ?",
            hash,
            now,
        )
        .fetch_optional(&self.store.read)
        .await
        .db()?;
        let Some(session) = session else { return Ok(None) };
        let data = session.data.value().and_then(|data| serde_json::from_str(&data).ok());
        let Some((data, expires_at)) = data.zip(session.expires_at.value()) else {
            // Signing in again repairs it; an error would break every page.
            tracing::error!("a corrupt session is ignored");
            return Ok(None);
        };
        Ok(Some(StoredSession { data, expires_at }))
    }
}

/// Deletes some expired sessions and returns their number.
async fn delete_some_expired(c: &mut SqliteConnection, now: i64) -> StoreResult<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM sessions WHERE rowid IN \
         (SELECT rowid FROM sessions WHERE expires_at <= ? LIMIT ?)",
        now,
        DELETE_LIMIT,
    )
    .execute(c)
    .await
    .db()?;
    Ok(deleted.rows_affected())
}

/// The name of a session in lists: [`BrowserSession::id`].
#[must_use]
pub fn listed_id(id: &Id) -> String {
    hash(id).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// The user who is signed in.
fn user_of(data: &HashMap<String, Value>) -> Option<Uuid> {
    data.get(session_fields::USER)?.as_str()?.parse().ok()
}

/// What a list of sessions shows. `None` for a corrupt session, which is ignored
/// everywhere.
pub(super) fn summary(id: String, data: &str) -> Option<BrowserSession> {
    let data: HashMap<String, Value> = serde_json::from_str(data).ok()?;
    let time = |field| data.get(field).and_then(Value::as_i64).map(Timestamp);
    let text = |field| data.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let last_used_at = time(session_fields::TOUCHED_AT)?;
    Some(BrowserSession {
        id,
        signed_in_at: time(session_fields::SIGNED_IN_AT).unwrap_or(last_used_at),
        last_used_at,
        address: text(session_fields::ADDRESS),
        browser: text(session_fields::BROWSER),
    })
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
        let user = user_of(&record.data);
        let written = self.store.writer.write(move |c| {
            async move {
                delete_some_expired(&mut *c, now).await?;
                loop {
                    let hash = hash(&id);
                    let inserted = sqlx::query!(
                        "INSERT INTO sessions (id_hash, data, expires_at, user_id) \
                         VALUES (?, ?, ?, ?) \
                         ON CONFLICT (id_hash) DO NOTHING",
                        hash,
                        data,
                        expires_at,
                        user,
                    )
                    .execute(&mut *c)
                    .await
                    .db()?;
                    if inserted.rows_affected() > 0 {
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

    /// Changes an existing session. It never creates one: a request that runs
    /// during sign-out must not restore the session.
    async fn save(&self, record: &Record) -> Result<()> {
        let (data, expires_at) = (encode(record)?, millis(record.expiry_date));
        let Some(stored) = self.stored(&record.id).await.map_err(backend)? else { return Ok(()) };
        let moved = Duration::from_millis(expires_at.abs_diff(stored.expires_at));
        if stored.data == record.data && moved < LAST_USED_UPDATE_INTERVAL {
            return Ok(());
        }
        let id = hash(&record.id);
        let user = user_of(&record.data);
        let statement = sqlx::query!(
            "UPDATE sessions SET data = ?, expires_at = ?, user_id = ? WHERE id_hash = ?",
            data,
            expires_at,
            user,
            id,
        );
        let written = self.store.writer.execute(statement);
        // This only extends a session, because a sign-in creates a new one. Pages
        // work while the store accepts no changes.
        if let Ok(Err(error)) = tokio::time::timeout(LAST_USED_WAIT, written).await {
            tracing::warn!(%error, "cannot extend a session");
        }
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let stored = self.stored(id).await.map_err(backend)?;
        Ok(stored.and_then(|stored| {
            let nanos = i128::from(stored.expires_at) * 1_000_000;
            let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
            Some(Record { id: *id, data: stored.data, expiry_date })
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let id = hash(id);
        let statement = sqlx::query!("DELETE FROM sessions WHERE id_hash = ?", id);
        self.store.writer.execute(statement).await.map(|_| ()).map_err(backend)
    }
}
