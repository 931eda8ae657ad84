//! Runs whose row cannot be read.

use super::read_run;
use crate::cell::{Cell, MAX_MILLIS};
use crate::events::{append, finish_suite};
use crate::rejudges::end_first_evaluation;
use crate::rows::{RawRun, document};
use crate::sqlite_error::DbResult;
use crate::writer::WriteTransaction;
use domain::{RunId, Timestamp, Usage};
use store::rows::RunRow;
use store::transition::RunOutcome;
use store::{StoreError, StoreResult};

/// Reads runs and ends the corrupt ones as errors, so that they do not hold up others.
/// Returns the other runs and the number of ended ones.
pub(crate) async fn read_or_end_as_error(
    tx: &mut WriteTransaction,
    runs: Vec<RawRun>,
    now: Timestamp,
) -> StoreResult<(Vec<RunRow>, u32)> {
    let (mut readable, mut ended) = (Vec::with_capacity(runs.len()), 0);
    for run in runs {
        let id = run.id.clone();
        match run.read() {
            Ok(run) => readable.push(run),
            Err(error) => {
                match end_corrupt_run_as_error(tx, &id, None, &error, now).await {
                    Ok(()) => ended += 1,
                    // The id itself is corrupt, so that no statement finds the run.
                    Err(StoreError::LeaseLost) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok((readable, ended))
}

/// Ends a run whose row cannot be read as an error, so that other runs are not held up.
/// Replaces invalid numbers, so that pages can show the run. With a lease epoch,
/// only the lease holder ends it.
///
/// # Errors
/// `LeaseLost` if the run is final or at another epoch.
pub(super) async fn end_corrupt_run_as_error(
    tx: &mut WriteTransaction,
    id: &Cell<Vec<u8>>,
    lease_epoch: Option<u32>,
    error: &StoreError,
    now: Timestamp,
) -> StoreResult<()> {
    tracing::error!(run = %id, %error, "a run is corrupt and ends as an error");
    let RunOutcome { status, error, .. } = RunOutcome::corrupt();
    let status = status.as_str();
    let error_kind = error.as_ref().map(|error| error.kind.as_str());
    let error_message = error.as_ref().map(|error| &*error.message);
    let usage = document(&Usage::default())?;
    let key = id.clone().value();
    let suite = sqlx::query_scalar!(
        "UPDATE runs SET status = ?1, error_kind = ?2, error_message = ?3, usage = ?4, \
         finished_at = ?5, stage = NULL, waiting = NULL, end_reason = NULL, score = NULL, \
         parked = 0, lease_owner = NULL, lease_until = NULL, \
         lease_epoch = iif(lease_epoch BETWEEN 0 AND ?8 - 1, lease_epoch + 1, 1), \
         agent_revision = iif(agent_revision BETWEEN 0 AND ?8, agent_revision, 0), \
         scenario_revision = iif(scenario_revision BETWEEN 0 AND ?8, scenario_revision, 0), \
         repetition = iif(repetition BETWEEN 0 AND ?8, repetition, 0), \
         position = iif(position BETWEEN 0 AND ?8, position, 0), \
         user_turns_planned = iif(user_turns_planned BETWEEN 0 AND ?8, user_turns_planned, 0), \
         recoveries = iif(recoveries BETWEEN 0 AND ?8, recoveries, 0), \
         recoveries_without_progress = iif(recoveries_without_progress BETWEEN 0 AND ?8, \
         recoveries_without_progress, 0), \
         user_turns = iif(user_turns BETWEEN 0 AND ?8, user_turns, 0), \
         turns = iif(turns BETWEEN 0 AND ?8, turns, 0), \
         timeout_ms = iif(timeout_ms BETWEEN 0 AND ?9, timeout_ms, 0), \
         active_ms = iif(active_ms BETWEEN 0 AND ?9, active_ms, 0), \
         parked_ms = iif(parked_ms BETWEEN 0 AND ?9, parked_ms, 0), \
         circuit_ms = iif(circuit_ms BETWEEN 0 AND ?9, circuit_ms, 0), \
         created_at = iif(created_at BETWEEN 0 AND ?9, created_at, ?5), \
         started_at = iif(started_at BETWEEN 0 AND ?9, started_at, NULL), \
         deadline_at = iif(deadline_at BETWEEN 0 AND ?9, deadline_at, NULL), \
         deadline_paused_at = NULL, \
         cancel_requested_at = iif(cancel_requested_at BETWEEN 0 AND ?9, \
         cancel_requested_at, NULL) \
         WHERE id = ?6 AND status IN ('pending', 'running') \
         AND (?7 IS NULL OR (lease_epoch = ?7 AND lease_owner IS NOT NULL)) \
         RETURNING suite_id",
        status,
        error_kind,
        error_message,
        usage,
        now.0,
        key,
        lease_epoch,
        u32::MAX,
        MAX_MILLIS,
    );
    let suite = suite.fetch_optional(&mut **tx).await.db()?.ok_or(StoreError::LeaseLost)?;
    // What the run counted as is not known.
    tx.forget_schedule();
    tx.forget_runs();
    let suite = suite.uuid().into();
    let events = match read_run(tx, RunId(id.uuid())).await {
        Ok(run) => {
            if let Some(run) = &run {
                end_first_evaluation(tx, run, now).await?;
            }
            run.iter().map(RunRow::event).collect()
        }
        // A column without a replacement is corrupt too: the run ends unseen.
        Err(StoreError::Corrupt { .. }) => {
            finish_suite(tx, suite, now).await?.into_iter().collect()
        }
        Err(error) => return Err(error),
    };
    append(tx, suite, events, now).await
}
