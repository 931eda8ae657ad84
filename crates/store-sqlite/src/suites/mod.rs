//! Suites over SQLite.

mod cancel;
mod copies;
#[cfg(test)]
mod copies_tests;
mod keys;
mod lists;
mod start;
mod state;

pub(crate) use state::transition_suite;

use crate::SqliteStore;
use crate::cell::Cell;
use crate::cell::RowReader;
use crate::events::read_turns;
use crate::rows::{RawEvaluation, RawRun, RawSuite, readable, select_evaluations, select_runs};
use crate::sqlite_error::DbResult;
use async_trait::async_trait;
use domain::services::HistoryFilter;
use domain::{AgentId, Counts, RunId, ScenarioId, SpaceId, SuiteId, Timestamp, Turn, UserId};
use futures::FutureExt;
use store::StoreResult;
use store::event_notifier::LatestEvent;
use store::rows::{EvaluationRow, EventRow, RunRow, SuiteRow, Transcript};
use store::suites::{
    CancelOutcome, CreateOutcome, IdempotencyRecord, NewRejudge, NewSuite, SuiteStore, TimeCursor,
};
use tokio::sync::watch;

#[async_trait]
impl SuiteStore for SqliteStore {
    async fn create_suite(&self, new: NewSuite) -> StoreResult<CreateOutcome> {
        let copied = new.runs.iter().filter(|run| run.source_run_id.is_some());
        let copied: Vec<_> = copied.map(|run| run.id).collect();
        let created = self.writer.transaction(move |tx| start::create(tx, new).boxed()).await?;
        if created == CreateOutcome::New {
            self.finish_copies(copied).await;
        }
        Ok(created)
    }

    async fn find_replay(
        &self,
        user: UserId,
        key: &IdempotencyRecord,
        now: Timestamp,
    ) -> StoreResult<Option<CreateOutcome>> {
        let mut c = self.read.acquire().await.db()?;
        keys::find_replay(&mut c, user, key, now).await
    }

    async fn find_unfinished_suite(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> StoreResult<Option<SuiteId>> {
        let mut c = self.read.acquire().await.db()?;
        start::find_unfinished_suite(&mut c, space, agent, scenarios).await
    }

    async fn create_rejudge(&self, new: NewRejudge) -> StoreResult<CreateOutcome> {
        self.writer.write(move |c| start::create_rejudge(c, new).boxed()).await
    }

    async fn stored_bytes(&self, space: SpaceId) -> StoreResult<u64> {
        let bytes =
            sqlx::query_scalar!("SELECT transcript_bytes FROM spaces WHERE id = ?", space.0)
                .fetch_optional(&self.read)
                .await
                .db()?;
        let bytes: Option<i64> =
            RowReader::new("spaces", &space).optional("transcript_bytes", bytes)?;
        Ok(bytes.map_or(0, |bytes| u64::try_from(bytes).unwrap_or(0)))
    }

    async fn owns(&self, space: SpaceId, id: SuiteId) -> StoreResult<bool> {
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM suites
               WHERE id = ? AND space_id = ? AND deleted_at IS NULL) AS "exists!: bool""#,
            id.0,
            space.0,
        );
        exists.fetch_one(&self.read).await.db()
    }

    async fn suite(
        &self,
        space: SpaceId,
        id: SuiteId,
    ) -> StoreResult<Option<(SuiteRow, Vec<RunRow>)>> {
        let mut tx = self.read.begin().await.db()?;
        let suite = sqlx::query_as!(
            RawSuite,
            "SELECT id, space_id, user_id, agent_id, agent_revision, agent_name, profile_id, \
             profile_revision, profile_name, variables_at, status, total, concurrency, repeats, \
             parent_id, part_of, note, budget_nano_usd, budget_action, spent_nano_usd, \
             unpriced_calls, seq, created_at, started_at, \
             finished_at, cancel_requested_at FROM suites \
             WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
            id.0,
            space.0,
        );
        let Some(suite) = suite.fetch_optional(&mut *tx).await.db()? else { return Ok(None) };
        let runs = select_runs!("WHERE r.suite_id = ? ORDER BY r.position", id.0);
        let runs = runs.fetch_all(&mut *tx).await.db()?;
        tx.rollback().await.db()?;
        Ok(Some((suite.read()?, readable(runs.into_iter().map(RawRun::read)))))
    }

    async fn suites(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<TimeCursor>,
        limit: u32,
    ) -> StoreResult<Vec<(SuiteRow, Counts)>> {
        lists::suites(&self.read, space, filter, before, limit).await
    }

    async fn unfinished_suites(&self, space: SpaceId) -> StoreResult<Vec<(SuiteRow, Counts)>> {
        lists::unfinished_suites(&self.read, space).await
    }

    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<TimeCursor>,
        limit: u32,
    ) -> StoreResult<Vec<RunRow>> {
        lists::runs(&self.read, space, filter, before, limit).await
    }

    async fn run(&self, space: SpaceId, id: RunId) -> StoreResult<Option<RunRow>> {
        let run = select_runs!(
            "WHERE r.id = ? AND r.space_id = ? AND s.deleted_at IS NULL",
            id.0,
            space.0,
        );
        run.fetch_optional(&self.read).await.db()?.map(RawRun::read).transpose()
    }

    async fn transcript(&self, run: RunId) -> StoreResult<Transcript> {
        let mut c = self.read.acquire().await.db()?;
        read_turns(&mut c, run).await
    }

    async fn evaluations(&self, run: RunId) -> StoreResult<Vec<EvaluationRow>> {
        let evaluations = select_evaluations!(
            "evaluations e WHERE e.run_id = ? ORDER BY e.created_at DESC, e.id DESC",
            run.0,
        );
        let evaluations = evaluations.fetch_all(&self.read).await.db()?;
        Ok(readable(evaluations.iter().map(RawEvaluation::read)))
    }

    async fn mean_run_duration_ms(
        &self,
        space: SpaceId,
        scenarios: &[ScenarioId],
    ) -> StoreResult<Option<u64>> {
        // The latest 200 runs of the space are enough for an estimate.
        let runs = sqlx::query!(
            r#"SELECT scenario_id, started_at, finished_at FROM
               (SELECT * FROM runs WHERE space_id = ? ORDER BY created_at DESC LIMIT 200)
               WHERE status IN ('passed', 'failed', 'inconclusive')"#,
            space.0,
        );
        let (mut sum, mut count) = (0, 0);
        for run in runs.fetch_all(&self.read).await.db()? {
            let [started_at, finished_at] =
                [run.started_at, run.finished_at].map(|at| at.and_then(Cell::value));
            if let Some((started_at, finished_at)) = started_at.zip(finished_at)
                && scenarios.contains(&ScenarioId(run.scenario_id.uuid()))
            {
                sum += finished_at.saturating_sub(started_at);
                count += 1;
            }
        }
        Ok((count > 0).then(|| sum / count).and_then(|mean| u64::try_from(mean).ok()))
    }

    async fn cancel_suite(
        &self,
        space: SpaceId,
        id: SuiteId,
        now: Timestamp,
    ) -> StoreResult<Option<CancelOutcome>> {
        self.writer.transaction(move |tx| cancel::cancel_suite(tx, space, id, now).boxed()).await
    }

    async fn cancel_run(
        &self,
        space: SpaceId,
        id: RunId,
        now: Timestamp,
    ) -> StoreResult<Option<CancelOutcome>> {
        self.writer.transaction(move |tx| cancel::cancel_run(tx, space, id, now).boxed()).await
    }

    async fn events_after(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> StoreResult<Vec<(i64, EventRow, Option<Turn>)>> {
        self.read_events(suite, seq, limit).await
    }

    fn watch(&self, suite: SuiteId) -> watch::Receiver<LatestEvent> {
        self.event_notifier.watch(suite)
    }
}
