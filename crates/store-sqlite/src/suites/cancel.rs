//! Cancel requests.

use super::transition_suite;
use crate::queue::{apply, read_or_end_as_error};
use crate::rows::{RawRun, select_runs};
use crate::sqlite_error::DbResult;
use crate::writer::WriteTransaction;
use domain::{RunId, SpaceId, SuiteId, Timestamp};
use store::StoreResult;
use store::suites::CancelOutcome;
use store::transition::{RunTransition, SuiteTransition};

/// Cancels the unfinished runs of a suite; `None` if the suite is final.
pub(super) async fn cancel_suite(
    tx: &mut WriteTransaction,
    space: SpaceId,
    id: SuiteId,
    now: Timestamp,
) -> StoreResult<Option<CancelOutcome>> {
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM suites WHERE id = ? AND space_id = ?) AS "exists!: bool""#,
        id.0,
        space.0,
    );
    let exists = exists.fetch_one(&mut **tx).await.db()?;
    if !exists || transition_suite(tx, id, SuiteTransition::Cancel, now).await?.is_err() {
        return Ok(None);
    }
    tx.change_schedule(|schedule| drop(schedule.remove(id)));
    let runs = select_runs!("WHERE r.suite_id = ? AND r.status IN ('pending', 'running')", id.0);
    let runs = runs.fetch_all(&mut **tx).await.db()?;
    cancel(tx, runs, now).await.map(Some)
}

/// Cancels a run; `None` if it is final.
pub(super) async fn cancel_run(
    tx: &mut WriteTransaction,
    space: SpaceId,
    id: RunId,
    now: Timestamp,
) -> StoreResult<Option<CancelOutcome>> {
    let run = select_runs!(
        "WHERE r.id = ? AND r.space_id = ? AND r.status IN ('pending', 'running')",
        id.0,
        space.0,
    );
    let runs = run.fetch_all(&mut **tx).await.db()?;
    if runs.is_empty() {
        return Ok(None);
    }
    cancel(tx, runs, now).await.map(Some)
}

/// A run that cannot be read ends as an error.
async fn cancel(
    tx: &mut WriteTransaction,
    runs: Vec<RawRun>,
    now: Timestamp,
) -> StoreResult<CancelOutcome> {
    let mut outcome = CancelOutcome { leased_runs: Vec::new() };
    let (runs, _) = read_or_end_as_error(tx, runs, now).await?;
    for mut run in runs {
        apply(tx, &mut run, RunTransition::Cancel, now).await?;
        if !run.status.is_final() {
            outcome.leased_runs.push(run.id);
        }
    }
    Ok(outcome)
}
