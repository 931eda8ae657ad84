//! The queue in SQLite. Every method that writes is one change of the writer,
//! which uses `BEGIN IMMEDIATE`: what a change reads stays true until the commit.
//! `save_run` checks the lease epoch nevertheless.

mod claim;
mod corrupt;
mod lease;
mod outages;
mod recover;
mod save;
mod schedule;
mod variables;

pub(crate) use corrupt::read_or_end_as_error;
pub(crate) use outages::end_pending_runs;
#[cfg(test)]
pub(crate) use schedule::schedule as read_schedule;

use crate::SqliteStore;
use crate::cell::Cell;
use crate::events::read_turns;
use crate::rejudges::{apply_to_rejudge, claim_rejudges, end_first_evaluation, read_evaluation};
use crate::rows::{RawEvaluation, RawRun, select_evaluations, select_runs};
use crate::sqlite_error::{DbResult, RunStatement};
use crate::writer::WriteTransaction;
use async_trait::async_trait;
use domain::{Evaluation, EvaluationId, RunId, RunStatus, Timestamp};
use futures::FutureExt;
use save::{CommitRows, save_run};
use serde_json::Value;
use store::queue::{
    Claim, GiveUp, Heartbeat, Outage, OutageKey, QueueStore, RecoverySummary, RunInput,
};
use store::queue_stats::QueueStats;
use store::rows::{EvaluationRow, RunRow};
use store::schedule::RunLoad;
use store::transition::{Lease, RejudgeTransition, RunChange, RunTransition};
use store::{StoreError, StoreResult};
use uuid::Uuid;
use variables::read_variables;

/// Applies a transition to a stored run and saves it with its events.
pub(super) async fn apply(
    tx: &mut WriteTransaction,
    row: &mut RunRow,
    transition: RunTransition,
    now: Timestamp,
) -> StoreResult<()> {
    apply_with_rows(tx, row, transition, CommitRows::default(), now).await
}

/// Like [`apply`], with further rows of the same change.
async fn apply_with_rows(
    tx: &mut WriteTransaction,
    row: &mut RunRow,
    transition: RunTransition,
    rows: CommitRows,
    now: Timestamp,
) -> StoreResult<()> {
    let (was, before) = (row.lease(), RunLoad::of(row));
    let events = row.transition(transition, now)?;
    save_run(tx, row, &was, (events, rows), now).await?;
    tx.update_schedule(row.suite_id, before, RunLoad::of(row));
    tx.cache_run(row);
    let no_verdict = matches!(row.status, RunStatus::Error | RunStatus::Cancelled);
    if no_verdict && row.end_reason.is_some() {
        end_first_evaluation(tx, row, now).await?;
    }
    Ok(())
}

async fn read_run(tx: &mut WriteTransaction, id: RunId) -> StoreResult<Option<RunRow>> {
    if let Some(run) = tx.take_run(id) {
        return run.map(Some);
    }
    let run = select_runs!("WHERE r.id = ?", id.0).fetch_optional(&mut **tx).await.db()?;
    run.map(RawRun::read).transpose()
}

/// The JSON of a document; `None` if it is missing or corrupt.
fn document(text: Option<Cell<String>>) -> Option<Value> {
    serde_json::from_str(&text?.value()?).ok()
}

#[async_trait]
impl QueueStore for SqliteStore {
    async fn claim(&self, claim: Claim) -> StoreResult<Vec<RunRow>> {
        self.writer.saving_transaction(|tx| claim::claim(tx, claim).boxed()).await
    }

    async fn run_input(&self, run: &RunRow) -> StoreResult<RunInput> {
        self.finish_copy_before_read(run).await?;
        let agent = sqlx::query_scalar!(
            "SELECT body FROM agent_revisions WHERE agent_id = ? AND revision = ?",
            run.agent.id.0,
            run.agent.revision,
        );
        let scenario = sqlx::query_scalar!(
            "SELECT body FROM scenario_revisions WHERE scenario_id = ? AND revision = ?",
            run.scenario.id.0,
            run.scenario.revision,
        );
        let evaluation =
            select_evaluations!("evaluations e WHERE e.run_id = ? AND e.is_first = 1", run.id.0,);
        // One connection for all, because taking and returning one costs about a query.
        let mut c = self.read.acquire().await.db()?;
        let evaluation = evaluation.fetch_optional(&mut *c).await.db()?;
        let evaluation = evaluation.as_ref().map(RawEvaluation::read).transpose()?;
        Ok(RunInput {
            agent: document(agent.fetch_optional(&mut *c).await.db()?),
            scenario: document(scenario.fetch_optional(&mut *c).await.db()?),
            variables: read_variables(&mut c, run.suite_id).await?,
            transcript: if run.turns == 0 {
                Vec::new()
            } else {
                read_turns(&mut c, run.id).await?
            },
            evaluation: evaluation.map(|row| row.evaluation),
        })
    }

    async fn commit(
        &self,
        lease: &Lease,
        change: RunChange,
        now: Timestamp,
    ) -> StoreResult<RunRow> {
        let lease = lease.clone();
        let run = lease.run_id;
        self.writer.change_run(run, move |tx| lease::commit(tx, lease, change, now).boxed()).await
    }

    async fn reacquire_user_slot(
        &self,
        lease: &Lease,
        runs_per_user: u32,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let lease = lease.clone();
        self.writer
            .transaction(move |tx| {
                lease::reacquire_user_slot(tx, lease, runs_per_user, now).boxed()
            })
            .await
    }

    async fn release(&self, lease: &Lease, now: Timestamp) -> StoreResult<()> {
        let lease = lease.clone();
        self.writer.transaction(move |tx| lease::release(tx, lease, now).boxed()).await
    }

    async fn claim_rejudges(&self, claim: Claim) -> StoreResult<Vec<EvaluationRow>> {
        self.writer.saving_transaction(move |tx| claim_rejudges(tx, claim).boxed()).await
    }

    async fn commit_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        evaluation: Evaluation,
        now: Timestamp,
    ) -> StoreResult<EvaluationRow> {
        let transition =
            RejudgeTransition::Commit { lease_epoch, evaluation: Box::new(evaluation) };
        self.writer.write(move |c| apply_to_rejudge(c, id, transition, now).boxed()).await
    }

    async fn store_rejudge_wait(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        waits: bool,
        now: Timestamp,
    ) -> StoreResult<()> {
        let transition = RejudgeTransition::WaitForSlot { lease_epoch, waits };
        let changed = self.writer.write(move |c| apply_to_rejudge(c, id, transition, now).boxed());
        changed.await.map(drop)
    }

    async fn run_with_input(&self, id: RunId) -> StoreResult<(RunRow, RunInput)> {
        let run = select_runs!("WHERE r.id = ?", id.0).fetch_optional(&self.read).await.db()?;
        let row = run.ok_or(StoreError::LeaseLost)?.read()?;
        let input = self.run_input(&row).await?;
        Ok((row, input))
    }

    async fn record_judge_call(
        &self,
        row: &EvaluationRow,
        call: Uuid,
        now: Timestamp,
    ) -> StoreResult<()> {
        let (evaluation, run, lease_epoch) = (row.id(), row.run_id.0, row.lease_epoch);
        self.writer
            .write(move |c| {
                async move {
                    let row = read_evaluation(c, evaluation).await?;
                    if !row.is_leased_at(lease_epoch) {
                        return Err(StoreError::LeaseLost);
                    }
                    sqlx::query!(
                        "INSERT INTO calls \
                         (id, run_id, evaluation_id, lease_epoch, role, turn, created_at) \
                         VALUES (?, ?, ?, ?, 'judge', 0, ?)",
                        call,
                        run,
                        evaluation.0,
                        lease_epoch,
                        now.0,
                    )
                    .run(c)
                    .await
                }
                .boxed()
            })
            .await
    }

    async fn release_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        now: Timestamp,
    ) -> StoreResult<()> {
        let transition = RejudgeTransition::Release { lease_epoch };
        let released = self.writer.write(move |c| apply_to_rejudge(c, id, transition, now).boxed());
        released.await.map(drop)
    }

    async fn heartbeat(&self, owner: &str, now: Timestamp) -> StoreResult<Heartbeat> {
        let owner = owner.to_owned();
        self.writer.transaction(move |tx| lease::heartbeat(tx, owner, now).boxed()).await
    }

    async fn reap(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        let summary = self.writer.transaction(move |tx| recover::reap(tx, now).boxed()).await?;
        self.finish_all_copies().await?;
        Ok(summary)
    }

    async fn recover_at_boot(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        let recovered =
            self.writer.transaction(move |tx| recover::recover_at_boot(tx, now).boxed()).await?;
        self.finish_all_copies().await?;
        Ok(recovered)
    }

    async fn outages(&self) -> StoreResult<Vec<Outage>> {
        outages::outages(&self.read).await
    }

    async fn save_outages(&self, began: Vec<Outage>, ended: Vec<OutageKey>) -> StoreResult<()> {
        self.writer.write(move |c| outages::save(c, began, ended).boxed()).await
    }

    async fn give_up_pending(&self, give_up: GiveUp, now: Timestamp) -> StoreResult<u32> {
        self.writer.transaction(move |tx| outages::give_up_pending(tx, give_up, now).boxed()).await
    }

    async fn queue_stats(&self) -> StoreResult<QueueStats> {
        self.count_unfinished().await
    }
}
