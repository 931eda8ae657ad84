//! Suites over SQLite: asked for (`start`, under `keys`), read (`lists`),
//! cancelled (`cancel`).

mod cancel;
mod keys;
mod lists;
mod start;

use crate::trouble::DbResult;
use store::hub::Newest;
use store::rows::{EvaluationRow, EventRow, RunRow, SuiteRow, Transcript};
use crate::SqliteStore;
use crate::rows::{evaluation, run, select_runs, suite};
use store::suites::{
    Before, CancelOutcome, Created, NewEvaluation, NewKey, NewSuite, SuiteStore,
};
use store::{StoreError, Stored};
use domain::services::HistoryFilter;
use domain::{AgentId, Counts, RunId, ScenarioId, SpaceId, SuiteId, Timestamp, Turn, UserId};
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::{Row, SqliteConnection};
use tokio::sync::watch;

async fn read_runs(
    c: &mut SqliteConnection,
    query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
) -> Stored<Vec<RunRow>> {
    let rows = query.fetch_all(c).await.db()?;
    let damaged = |error: &StoreError| tracing::error!(%error, "a run cannot be read");
    Ok(rows.iter().filter_map(|row| run(row).inspect_err(damaged).ok()).collect())
}

#[async_trait]
impl SuiteStore for SqliteStore {
    async fn create_suite(&self, new: NewSuite) -> Stored<Created> {
        let id = new.id;
        let created = self.writer.write(move |c| start::create(c, new).boxed()).await?;
        if created == Created::New {
            self.published(id, 0);
        }
        Ok(created)
    }

    async fn answered(
        &self,
        user: UserId,
        key: &NewKey,
        now: Timestamp,
    ) -> Stored<Option<Created>> {
        let mut c = self.read.acquire().await.db()?;
        keys::answered(&mut c, user, key, now).await
    }

    async fn unfinished_over(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<SuiteId>> {
        let mut c = self.read.acquire().await.db()?;
        start::unfinished_over(&mut c, space, agent, scenarios).await
    }

    async fn create_evaluation(&self, new: NewEvaluation) -> Stored<Created> {
        let suite = new.row.suite_id;
        let created = self.writer.write(move |c| start::create_evaluation(c, new).boxed()).await?;
        self.published(suite, 0);
        Ok(created)
    }

    async fn owns(&self, space: SpaceId, id: SuiteId) -> Stored<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM suites WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
        )
        .bind(id.0)
        .bind(space.0)
        .fetch_optional(&self.read)
        .await.db()?;
        Ok(found.is_some())
    }

    async fn suite(&self, space: SpaceId, id: SuiteId) -> Stored<Option<(SuiteRow, Vec<RunRow>)>> {
        let mut tx = self.read.begin().await.db()?;
        let found = sqlx::query(
            "SELECT * FROM suites WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
        )
        .bind(id.0)
        .bind(space.0)
        .fetch_optional(&mut *tx)
        .await.db()?;
        let Some(found) = found else { return Ok(None) };
        let found = suite(&found)?;
        let all = sqlx::query(select_runs!("WHERE r.suite_id = ? ORDER BY r.position")).bind(id.0);
        let runs = read_runs(&mut tx, all).await?;
        tx.rollback().await.db()?;
        Ok(Some((found, runs)))
    }

    async fn suites(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<(SuiteRow, Counts)>> {
        lists::suites(&self.read, space, filter, before, limit).await
    }

    async fn unfinished(&self, space: SpaceId) -> Stored<Vec<(SuiteRow, Counts)>> {
        lists::unfinished(&self.read, space).await
    }

    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<RunRow>> {
        lists::runs(&self.read, space, filter, before, limit).await
    }

    async fn run(&self, space: SpaceId, id: RunId) -> Stored<Option<RunRow>> {
        let one = select_runs!("WHERE r.id = ? AND r.space_id = ? AND s.deleted_at IS NULL");
        let row = sqlx::query(one).bind(id.0).bind(space.0).fetch_optional(&self.read).await.db()?;
        row.as_ref().map(run).transpose()
    }

    async fn transcript(&self, run: RunId) -> Stored<Transcript> {
        self.read_turns(run.0).await
    }

    async fn evaluations(&self, run: RunId) -> Stored<Vec<EvaluationRow>> {
        let rows = sqlx::query(
            "SELECT * FROM evaluations WHERE run_id = ? ORDER BY created_at DESC, id DESC",
        )
        .bind(run.0)
        .fetch_all(&self.read)
        .await.db()?;
        rows.iter().map(evaluation).collect()
    }

    async fn past_duration_ms(
        &self,
        space: SpaceId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<u64>> {
        // The latest 200 runs of the space are enough for an estimate.
        let rows = sqlx::query(
            "SELECT scenario_id, finished_at - started_at AS ms FROM \
             (SELECT * FROM runs WHERE space_id = ? ORDER BY created_at DESC LIMIT 200) \
             WHERE status IN ('passed', 'failed', 'inconclusive') AND started_at IS NOT NULL",
        )
        .bind(space.0)
        .fetch_all(&self.read)
        .await.db()?;
        let (mut sum, mut count) = (0_i64, 0_i64);
        for row in rows {
            if scenarios.contains(&ScenarioId(row.try_get("scenario_id").db()?)) {
                sum += row.try_get::<i64, _>("ms").db()?;
                count += 1;
            }
        }
        Ok((count > 0).then(|| u64::try_from(sum / count).unwrap_or(0)))
    }

    async fn cancel_suite(
        &self,
        space: SpaceId,
        id: SuiteId,
        now: Timestamp,
    ) -> Stored<Option<CancelOutcome>> {
        let done =
            self.writer.write(move |c| cancel::cancel_suite(c, space, id, now).boxed()).await?;
        let Some((outcome, seq)) = done else { return Ok(None) };
        self.published(id, seq);
        Ok(Some(outcome))
    }

    async fn cancel_run(
        &self,
        space: SpaceId,
        id: RunId,
        now: Timestamp,
    ) -> Stored<Option<CancelOutcome>> {
        let done =
            self.writer.write(move |c| cancel::cancel_run(c, space, id, now).boxed()).await?;
        let Some((suite, outcome, seq)) = done else { return Ok(None) };
        self.published(suite, seq);
        Ok(Some(outcome))
    }

    async fn events_after(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> Stored<Vec<(i64, EventRow, Option<Turn>)>> {
        self.read_events(suite, seq, limit).await
    }

    fn watch(&self, suite: SuiteId) -> watch::Receiver<Newest> {
        self.hub.watch(suite)
    }
}
