//! The end of a run whose row cannot be read.

use crate::trouble::DbResult;
use super::read_run;
use store::rows::EventRow;
use crate::events::append;
use crate::rows::text;
use store::{StoreError, Stored};
use domain::{RunId, SuiteId, Timestamp, Usage};
use sqlx::SqliteConnection;

/// Ends a run whose row cannot be read, so that its neighbours run. What made
/// it unreadable is put to rest, so that it can be shown; what stands at its
/// suite is not needed for that. With `attempt`, only if its holder is at it.
///
/// # Errors
/// `LeaseLost` if it is final, or at another epoch.
pub(super) async fn bury(
    c: &mut SqliteConnection,
    run: RunId,
    attempt: Option<u32>,
    why: &str,
    now: Timestamp,
) -> Stored<(SuiteId, i64)> {
    tracing::error!(%run, why, "a run's row is damaged; the run ends");
    let buried = sqlx::query(
        "UPDATE runs SET status = 'error', error_kind = 'invalid_scenario', \
         error_message = 'The stored record of this run is damaged. Run the scenario again.', \
         attempt = attempt + 1, stage = NULL, waiting = NULL, end_reason = NULL, score = NULL, \
         parked = 0, lease_owner = NULL, lease_until = NULL, finished_at = ?1, usage = ?2 \
         WHERE id = ?3 AND status IN ('pending', 'running') \
         AND (?4 IS NULL OR (attempt = ?4 AND lease_owner IS NOT NULL))",
    )
    .bind(now.0)
    .bind(text(&Usage::default())?)
    .bind(run.0)
    .bind(attempt)
    .execute(&mut *c)
    .await.db()?;
    if buried.rows_affected() == 0 {
        return Err(StoreError::LeaseLost);
    }
    let row = read_run(c, run).await?.ok_or(StoreError::LeaseLost)?;
    let event = EventRow::Run(Box::new(row.view()));
    Ok((row.suite_id, append(c, row.suite_id, vec![event], now).await?))
}
