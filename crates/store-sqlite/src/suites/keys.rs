//! Answers that are kept under the key of their request, for a day.

use crate::trouble::DbResult;
use store::Stored;
use store::suites::{Created, KEPT_KEYS, NewKey};
use domain::{SuiteId, Timestamp, UserId};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// What was answered to this key before, if it is still kept.
pub(super) async fn answered(
    c: &mut SqliteConnection,
    user: UserId,
    key: &NewKey,
    now: Timestamp,
) -> Stored<Option<Created>> {
    let row = sqlx::query(
        "SELECT request, suite_id, response FROM idempotency_keys \
         WHERE user_id = ? AND path = ? AND key = ? AND created_at > ?",
    )
    .bind(user.0)
    .bind(&key.path)
    .bind(&key.key)
    .bind(now.minus(KEPT_KEYS).0)
    .fetch_optional(c)
    .await.db()?;
    let Some(row) = row else { return Ok(None) };
    let suite_id: SuiteId = row.try_get::<Uuid, _>("suite_id").db()?.into();
    let request: String = row.try_get("request").db()?;
    Ok(Some(if request == key.request {
        Created::Replayed { suite_id, response: row.try_get("response").db()? }
    } else {
        Created::KeyReused { suite_id }
    }))
}

/// Keeps the answer that made this suite.
pub(super) async fn keep_answer(
    c: &mut SqliteConnection,
    user: UserId,
    key: &NewKey,
    suite: SuiteId,
    now: Timestamp,
) -> Stored<()> {
    // Old ones go in the same step that brings a new one: never many at once.
    sqlx::query(
        "DELETE FROM idempotency_keys WHERE rowid IN \
         (SELECT rowid FROM idempotency_keys WHERE created_at <= ? LIMIT 20)",
    )
    .bind(now.minus(KEPT_KEYS).0)
    .execute(&mut *c)
    .await.db()?;
    // This very key may be one of the old ones that are still there.
    sqlx::query("DELETE FROM idempotency_keys WHERE user_id = ? AND path = ? AND key = ?")
        .bind(user.0)
        .bind(&key.path)
        .bind(&key.key)
        .execute(&mut *c)
        .await.db()?;
    sqlx::query(
        "INSERT INTO idempotency_keys (user_id, path, key, request, suite_id, response, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(user.0)
    .bind(&key.path)
    .bind(&key.key)
    .bind(&key.request)
    .bind(suite.0)
    .bind(&key.response)
    .bind(now.0)
    .execute(c)
    .await.db()?;
    Ok(())
}
