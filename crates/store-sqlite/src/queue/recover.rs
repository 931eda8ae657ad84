//! Recovery of runs whose worker is gone.

use super::apply;
use super::corrupt::read_or_end_as_error;
use crate::rejudges::recover_rejudges;
use crate::rows::{RawRun, select_runs};
use crate::sqlite_error::DbResult;
use crate::writer::WriteTransaction;
use domain::Timestamp;
use store::queue::RecoverySummary;
use store::transition::RunTransition;
use store::{StoreError, StoreResult};

/// Recovers expired leases and ends runs past their deadline.
pub(super) async fn reap(
    tx: &mut WriteTransaction,
    now: Timestamp,
) -> StoreResult<RecoverySummary> {
    let mut summary = RecoverySummary::default();
    cancel_orphans(tx, now, &mut summary).await?;
    let expired = select_runs!(
        "WHERE r.status = 'running' AND r.lease_owner IS NOT NULL AND r.lease_until < ?",
        now.0,
    );
    let expired = expired.fetch_all(&mut **tx).await.db()?;
    apply_to_all(tx, expired, RunTransition::Recover, now, &mut summary).await?;
    let late = select_runs!(
        "WHERE (r.status = 'running' AND r.deadline_at <= ?1) \
         OR (r.status = 'pending' AND r.created_at <= ?1 - 86400000)",
        now.0,
    );
    let late = late.fetch_all(&mut **tx).await.db()?;
    apply_to_all(tx, late, RunTransition::ExceedDeadline, now, &mut summary).await?;
    recover_rejudges(tx, false, now).await?;
    Ok(summary)
}

/// Recovers all leases, because their workers are gone.
pub(super) async fn recover_at_boot(
    tx: &mut WriteTransaction,
    now: Timestamp,
) -> StoreResult<RecoverySummary> {
    let mut summary = RecoverySummary::default();
    cancel_orphans(tx, now, &mut summary).await?;
    let leased = select_runs!("WHERE r.status = 'running' AND r.lease_owner IS NOT NULL");
    let leased = leased.fetch_all(&mut **tx).await.db()?;
    apply_to_all(tx, leased, RunTransition::Recover, now, &mut summary).await?;
    recover_rejudges(tx, true, now).await?;
    Ok(summary)
}

/// Ends orphaned runs with a cancel request: no worker claims them.
async fn cancel_orphans(
    tx: &mut WriteTransaction,
    now: Timestamp,
    summary: &mut RecoverySummary,
) -> StoreResult<()> {
    let orphans = select_runs!(
        "WHERE r.status = 'running' AND r.lease_owner IS NULL \
         AND (r.cancel_requested_at IS NOT NULL OR s.cancel_requested_at IS NOT NULL)"
    );
    let orphans = orphans.fetch_all(&mut **tx).await.db()?;
    apply_to_all(tx, orphans, RunTransition::Cancel, now, summary).await
}

/// Applies a transition where it applies. A run that cannot be read ends as an
/// error.
async fn apply_to_all(
    tx: &mut WriteTransaction,
    runs: Vec<RawRun>,
    transition: RunTransition,
    now: Timestamp,
    summary: &mut RecoverySummary,
) -> StoreResult<()> {
    let (runs, ended) = read_or_end_as_error(tx, runs, now).await?;
    summary.ended += ended;
    for mut run in runs {
        match apply(tx, &mut run, transition.clone(), now).await {
            Ok(()) if run.status.is_final() => summary.ended += 1,
            Ok(()) => summary.recovered += 1,
            // The transition does not apply.
            Err(StoreError::LeaseLost) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
