//! What a lease holder does: commit, reacquire a slot, release, heartbeat.

use super::corrupt::end_corrupt_run_as_error;
use super::save::CommitRows;
use super::schedule::schedule;
use super::{apply, apply_with_rows, read_run};
use crate::cell::RowReader;
use crate::rejudges::end_as_error_if_corrupt;
use crate::rows::{save_evaluation, select_runs};
use crate::sqlite_error::DbResult;
use crate::writer::WriteTransaction;
use domain::{Timestamp, Turn};
use store::queue::Heartbeat;
use store::rows::{EvaluationRow, RunRow};
use store::transition::{LEASE_DURATION, Lease, RunChange, RunTransition};
use store::{StoreError, StoreResult};

/// Stores a change of the lease holder, with its turns, calls and events.
pub(super) async fn commit(
    tx: &mut WriteTransaction,
    lease: Lease,
    change: RunChange,
    now: Timestamp,
) -> StoreResult<RunRow> {
    let mut row = read_run(tx, lease.run_id).await?.ok_or(StoreError::LeaseLost)?;
    let RunChange { turns, intents, calls_done, evaluation, .. } = change.clone();
    let turns = turns.into_iter().zip(row.turns..).map(|(turn, index)| Turn { index, ..turn });
    let rows = CommitRows { turns: turns.collect(), calls_done, intents };
    let transition =
        RunTransition::Commit { lease_epoch: lease.lease_epoch, change: Box::new(change) };
    apply_with_rows(tx, &mut row, transition, rows, now).await?;
    if let Some(evaluation) = evaluation {
        save_evaluation(tx, &EvaluationRow::of_run(&row, *evaluation)).await?;
    }
    Ok(row)
}

/// Ends the parking of a run; `false` while all slots of its user are taken.
pub(super) async fn reacquire_user_slot(
    tx: &mut WriteTransaction,
    lease: Lease,
    runs_per_user: u32,
    now: Timestamp,
) -> StoreResult<bool> {
    let row = read_run(tx, lease.run_id).await?.ok_or(StoreError::LeaseLost)?;
    if row.parked && schedule(tx, now).await?.active_runs(row.user_id) >= runs_per_user {
        return Ok(false);
    }
    let change = RunChange { parked: Some(false), waiting: Some(None), ..RunChange::default() };
    commit(tx, lease, change, now).await.map(|_| true)
}

/// Gives the lease back.
pub(super) async fn release(
    tx: &mut WriteTransaction,
    lease: Lease,
    now: Timestamp,
) -> StoreResult<()> {
    let run =
        select_runs!("WHERE r.id = ?", lease.run_id.0).fetch_optional(&mut **tx).await.db()?;
    let run = run.ok_or(StoreError::LeaseLost)?;
    let id = run.id.clone();
    match run.read() {
        Ok(mut row) => {
            let transition = RunTransition::Release { lease_epoch: lease.lease_epoch };
            apply(tx, &mut row, transition, now).await
        }
        // No worker can use the run: it would be claimed and released for ever.
        Err(error) => end_corrupt_run_as_error(tx, &id, Some(lease.lease_epoch), &error, now).await,
    }
}

/// Renews all leases of a worker. A run or a rejudge whose lease epoch is corrupt ends as
/// an error.
pub(super) async fn heartbeat(
    tx: &mut WriteTransaction,
    owner: String,
    now: Timestamp,
) -> StoreResult<Heartbeat> {
    let lease_until = now.plus(LEASE_DURATION).0;
    let runs = sqlx::query!(
        r#"UPDATE runs SET lease_until = ? WHERE lease_owner = ? AND status = 'running'
           RETURNING id, lease_epoch, cancel_requested_at IS NOT NULL AS "is_cancelled!: bool""#,
        lease_until,
        owner,
    );
    let mut heartbeat = Heartbeat::default();
    for run in runs.fetch_all(&mut **tx).await.db()? {
        let row = RowReader::new("runs", &run.id);
        let lease_epoch = match row.get("lease_epoch", run.lease_epoch) {
            Ok(lease_epoch) => lease_epoch,
            Err(error) => {
                end_corrupt_run_as_error(tx, &run.id, None, &error, now).await?;
                continue;
            }
        };
        let run_id = run.id.uuid().into();
        heartbeat.leases.push(Lease { run_id, lease_epoch });
        if run.is_cancelled {
            heartbeat.cancel_requested.push(run_id);
        }
    }
    let evaluations = sqlx::query!(
        "UPDATE evaluations SET lease_until = ? WHERE is_first = 0 AND status = 'running' \
         AND lease_owner = ? RETURNING id, lease_epoch",
        lease_until,
        owner,
    );
    for evaluation in evaluations.fetch_all(&mut **tx).await.db()? {
        let row = RowReader::new("evaluations", &evaluation.id);
        let id = evaluation.id.uuid().into();
        match row.get("lease_epoch", evaluation.lease_epoch) {
            Ok(lease_epoch) => heartbeat.rejudges.push((id, lease_epoch)),
            Err(_) => end_as_error_if_corrupt(tx, id, now).await?,
        }
    }
    Ok(heartbeat)
}
