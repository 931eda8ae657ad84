//! What is asked to stop.

use crate::trouble::DbResult;
use super::read_runs;
use store::Stored;
use store::rows::RunRow;
use crate::queue::apply;
use crate::rows::select_runs;
use store::suites::CancelOutcome;
use store::transition::Transition;
use domain::{RunId, SpaceId, SuiteId, Timestamp};
use sqlx::SqliteConnection;

/// Everything of a suite that is unfinished; `None` when nothing is.
pub(super) async fn cancel_suite(
    c: &mut SqliteConnection,
    space: SpaceId,
    id: SuiteId,
    now: Timestamp,
) -> Stored<Option<(CancelOutcome, i64)>> {
    let asked = sqlx::query(
        "UPDATE suites SET cancel_requested_at = COALESCE(cancel_requested_at, ?) \
         WHERE id = ? AND space_id = ? AND status IN ('pending', 'running')",
    )
    .bind(now.0)
    .bind(id.0)
    .bind(space.0)
    .execute(&mut *c)
    .await.db()?;
    if asked.rows_affected() == 0 {
        return Ok(None);
    }
    let all =
        sqlx::query(select_runs!("WHERE r.suite_id = ? AND r.status IN ('pending', 'running')"));
    let rows = read_runs(c, all.bind(id.0)).await?;
    cancel(c, rows, now).await.map(Some)
}

/// One run, if it is unfinished; its suite too.
pub(super) async fn cancel_run(
    c: &mut SqliteConnection,
    space: SpaceId,
    id: RunId,
    now: Timestamp,
) -> Stored<Option<(SuiteId, CancelOutcome, i64)>> {
    let one = sqlx::query(select_runs!(
        "WHERE r.id = ? AND r.space_id = ? AND r.status IN ('pending', 'running')"
    ));
    let rows = read_runs(c, one.bind(id.0).bind(space.0)).await?;
    let Some(suite) = rows.first().map(|row| row.suite_id) else { return Ok(None) };
    let (outcome, seq) = cancel(c, rows, now).await?;
    Ok(Some((suite, outcome, seq)))
}

/// Asks runs to stop; those without a holder end at once.
async fn cancel(
    c: &mut SqliteConnection,
    rows: Vec<RunRow>,
    now: Timestamp,
) -> Stored<(CancelOutcome, i64)> {
    let mut outcome = CancelOutcome { held: Vec::new() };
    let mut newest = 0;
    for mut row in rows {
        let held = row.lease_owner.is_some();
        newest = apply(c, &mut row, Transition::Cancel, now).await?.max(newest);
        if held {
            outcome.held.push(row.id);
        }
    }
    Ok((outcome, newest))
}
