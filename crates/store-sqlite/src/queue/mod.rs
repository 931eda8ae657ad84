//! The queue over SQLite. Every method that writes is one change of the
//! writer, which holds `BEGIN IMMEDIATE`: what it reads first stays true until
//! it commits, and `save_run` fences by the epoch all the same.

mod bury;
mod claim;
mod hold;
mod recover;

use crate::trouble::DbResult;
use store::census::Census;
use store::queue::{Claim, Heartbeat, QueueStore, Reaped, Work};
use store::rows::{EvaluationRow, RunRow};
use crate::SqliteStore;
use crate::evaluations::{claim_evaluations, held_evaluation};
use crate::events::append;
use crate::rows::{evaluation, run, save_evaluation, save_run, select_runs};
use store::transition::{Change, Lease, Refused, Transition, transition};
use store::{StoreError, Stored};
use domain::{Evaluation, EvaluationId, RunId, SuiteId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;
use sqlx::SqliteConnection;
use uuid::Uuid;

/// What a change did to streams.
type Published = Vec<(SuiteId, i64)>;

impl SqliteStore {
    pub(super) fn publish(&self, published: &Published) {
        for (suite, seq) in published {
            self.published(*suite, *seq);
        }
    }
}

/// Applies one transition to a stored run, together with its events.
pub(super) async fn apply(
    c: &mut SqliteConnection,
    row: &mut RunRow,
    what: Transition,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let was = Lease { run_id: row.id, attempt: row.attempt };
    let events = transition(row, what, now).map_err(|_: Refused| StoreError::LeaseLost)?;
    save_run(c, row, &was).await?;
    append(c, row.suite_id, events, now).await
}

async fn read_run(c: &mut SqliteConnection, id: RunId) -> Stored<Option<RunRow>> {
    let row = sqlx::query(select_runs!("WHERE r.id = ?")).bind(id.0).fetch_optional(c).await.db()?;
    row.as_ref().map(run).transpose()
}

#[async_trait]
impl QueueStore for SqliteStore {
    async fn claim(&self, order: Claim) -> Stored<Vec<RunRow>> {
        let (claimed, published) = self.writer.write(|c| claim::claim(c, order).boxed()).await?;
        self.publish(&published);
        Ok(claimed)
    }

    async fn work(&self, run: &RunRow) -> Stored<Work> {
        let agent: Option<String> = sqlx::query_scalar(
            "SELECT body FROM agent_revisions WHERE agent_id = ? AND revision = ?",
        )
        .bind(run.agent.id.0)
        .bind(run.agent.revision)
        .fetch_optional(&self.read)
        .await.db()?;
        let scenario: Option<String> = sqlx::query_scalar(
            "SELECT body FROM scenario_revisions WHERE scenario_id = ? AND revision = ?",
        )
        .bind(run.scenario.id.0)
        .bind(run.scenario.revision)
        .fetch_optional(&self.read)
        .await.db()?;
        let own = sqlx::query("SELECT * FROM evaluations WHERE run_id = ? AND is_first = 1")
            .bind(run.id.0)
            .fetch_optional(&self.read)
            .await.db()?;
        let read = |text: Option<String>| -> Option<Value> { serde_json::from_str(&text?).ok() };
        Ok(Work {
            agent: read(agent),
            scenario: read(scenario),
            transcript: if run.turns == 0 { Vec::new() } else { self.read_turns(run.id.0).await? },
            evaluation: own.as_ref().map(evaluation).transpose()?.map(|row| row.view),
        })
    }

    async fn commit(&self, lease: &Lease, change: Change, now: Timestamp) -> Stored<RunRow> {
        let lease = lease.clone();
        let (row, seq) =
            self.writer.write(move |c| hold::commit(c, lease, change, now).boxed()).await?;
        if seq > 0 {
            self.published(row.suite_id, seq);
        }
        Ok(row)
    }

    async fn unpark(&self, lease: &Lease, runs_per_user: u32, now: Timestamp) -> Stored<bool> {
        let lease = lease.clone();
        let done = self.writer.write(move |c| hold::unpark(c, lease, runs_per_user, now).boxed());
        let Some((row, seq)) = done.await? else { return Ok(false) };
        if seq > 0 {
            self.published(row.suite_id, seq);
        }
        Ok(true)
    }

    async fn hand_back(&self, lease: &Lease, now: Timestamp) -> Stored<()> {
        let lease = lease.clone();
        let done = self.writer.write(move |c| hold::hand_back(c, lease, now).boxed());
        let (suite, seq) = done.await?;
        self.published(suite, seq);
        Ok(())
    }

    async fn claim_evaluations(&self, claim: Claim) -> Stored<Vec<EvaluationRow>> {
        self.writer.write(move |c| claim_evaluations(c, claim).boxed()).await
    }

    async fn commit_evaluation(
        &self,
        id: EvaluationId,
        attempt: u32,
        view: Evaluation,
        now: Timestamp,
    ) -> Stored<()> {
        self.writer
            .write(move |c| {
                async move {
                    let mut row = held_evaluation(c, id, attempt).await?;
                    row.commit(view, now);
                    save_evaluation(c, &row).await
                }
                .boxed()
            })
            .await
    }

    async fn work_of(&self, id: RunId) -> Stored<(RunRow, Work)> {
        let row = sqlx::query(select_runs!("WHERE r.id = ?"))
            .bind(id.0)
            .fetch_optional(&self.read)
            .await.db()?;
        let row = row.as_ref().map(run).transpose()?.ok_or(StoreError::LeaseLost)?;
        let work = self.work(&row).await?;
        Ok((row, work))
    }

    async fn intend_evaluation(
        &self,
        row: &EvaluationRow,
        call: Uuid,
        now: Timestamp,
    ) -> Stored<()> {
        let (evaluation, run, attempt) = (row.id(), row.run_id.0, row.attempt);
        self.writer
            .write(move |c| {
                async move {
                    // Whoever lost it makes no call.
                    held_evaluation(c, evaluation, attempt).await?;
                    sqlx::query(
                        "INSERT INTO calls (id, run_id, evaluation_id, attempt, role, turn, created_at) \
                         VALUES (?, ?, ?, ?, 'judge', 0, ?)",
                    )
                    .bind(call)
                    .bind(run)
                    .bind(evaluation.0)
                    .bind(attempt)
                    .bind(now.0)
                    .execute(c)
                    .await.db()?;
                    Ok(())
                }
                .boxed()
            })
            .await
    }

    async fn hand_back_evaluation(&self, id: EvaluationId, attempt: u32) -> Stored<()> {
        self.writer
            .write(move |c| {
                async move {
                    let mut row = held_evaluation(c, id, attempt).await?;
                    row.hand_back();
                    save_evaluation(c, &row).await
                }
                .boxed()
            })
            .await
    }

    async fn heartbeat(&self, owner: &str, now: Timestamp) -> Stored<Heartbeat> {
        let owner = owner.to_owned();
        self.writer.write(move |c| hold::heartbeat(c, owner, now).boxed()).await
    }

    async fn reap(&self, now: Timestamp) -> Stored<Reaped> {
        let (reaped, published) = self.writer.write(move |c| recover::reap(c, now).boxed()).await?;
        self.publish(&published);
        Ok(reaped)
    }

    async fn take_over(&self, now: Timestamp) -> Stored<Reaped> {
        let (reaped, published) =
            self.writer.write(move |c| recover::take_over(c, now).boxed()).await?;
        self.publish(&published);
        Ok(reaped)
    }

    async fn census(&self) -> Stored<Census> {
        self.count_unfinished().await
    }
}
