//! Responses under idempotency keys.

use crate::cell::{ItemKey, RowReader};
use crate::sqlite_error::{DbResult, RunStatement};
use domain::{SuiteId, Timestamp, UserId};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::suites::{CreateOutcome, IDEMPOTENCY_KEY_TTL, IdempotencyRecord};

/// The outcome of an earlier request with this key.
pub(super) async fn find_replay(
    c: &mut SqliteConnection,
    user: UserId,
    key: &IdempotencyRecord,
    now: Timestamp,
) -> StoreResult<Option<CreateOutcome>> {
    let expired = now.minus(IDEMPOTENCY_KEY_TTL).0;
    let stored = sqlx::query!(
        "SELECT request, suite_id, response FROM idempotency_keys \
         WHERE user_id = ? AND path = ? AND key = ? AND created_at > ?",
        user.0,
        key.path,
        key.key,
        expired,
    );
    let Some(stored) = stored.fetch_optional(c).await.db()? else { return Ok(None) };
    let row_key = ItemKey(&user, None);
    let row = RowReader::new("idempotency_keys", &row_key);
    let suite_id: SuiteId = row.get("suite_id", stored.suite_id)?;
    let request: String = row.get("request", stored.request)?;
    Ok(Some(if request == key.request {
        CreateOutcome::Replayed { suite_id, response: row.get("response", stored.response)? }
    } else {
        CreateOutcome::KeyReused { suite_id }
    }))
}

/// Stores the response of the request that created this suite.
pub(super) async fn save_response(
    c: &mut SqliteConnection,
    user: UserId,
    key: &IdempotencyRecord,
    suite: SuiteId,
    now: Timestamp,
) -> StoreResult<()> {
    let expired = now.minus(IDEMPOTENCY_KEY_TTL).0;
    // Each new key deletes a few expired ones, so that they never pile up.
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE rowid IN \
         (SELECT rowid FROM idempotency_keys WHERE created_at <= ? LIMIT 20)",
        expired,
    )
    .run(c)
    .await?;
    // This key may be an expired one that is still there.
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE user_id = ? AND path = ? AND key = ?",
        user.0,
        key.path,
        key.key,
    )
    .run(c)
    .await?;
    sqlx::query!(
        "INSERT INTO idempotency_keys \
         (user_id, path, key, request, suite_id, response, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        user.0,
        key.path,
        key.key,
        key.request,
        suite.0,
        key.response,
        now.0,
    )
    .run(c)
    .await
}
