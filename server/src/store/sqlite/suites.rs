//! Suites over SQLite: asked for, read, cancelled.

use super::SqliteStore;
use super::queue::apply;
use super::rows::{counts, evaluation, run, save_evaluation, select_runs, suite, text};
use crate::store::hub::Newest;
use crate::store::rows::{EvaluationRow, EventRow, RunRow, SuiteRow, Transcript};
use crate::store::suites::{
    Before, CancelOutcome, Created, KEPT_KEYS, NewEvaluation, NewKey, NewSuite, SuiteStore,
};
use crate::store::transition::Transition;
use crate::store::{StoreError, Stored, ended};
use app::backend::HistoryFilter;
use app::domain::{
    AgentId, Counts, RunId, ScenarioId, SpaceId, SuiteId, Timestamp, Turn, Usage, UserId,
};
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use tokio::sync::watch;
use uuid::Uuid;

/// A suite's columns and its counts by status.
macro_rules! select_suites {
    ($tail:literal) => {
        concat!(
            "SELECT s.*, ",
            "COUNT(*) FILTER (WHERE r.status = 'pending') AS n_pending, ",
            "COUNT(*) FILTER (WHERE r.status = 'running') AS n_running, ",
            "COUNT(*) FILTER (WHERE r.status = 'passed') AS n_passed, ",
            "COUNT(*) FILTER (WHERE r.status = 'failed') AS n_failed, ",
            "COUNT(*) FILTER (WHERE r.status = 'inconclusive') AS n_inconclusive, ",
            "COUNT(*) FILTER (WHERE r.status = 'error') AS n_error, ",
            "COUNT(*) FILTER (WHERE r.status = 'cancelled') AS n_cancelled ",
            "FROM suites s JOIN runs r ON r.suite_id = s.id ",
            $tail
        )
    };
}

async fn answered(
    c: &mut SqliteConnection,
    user: UserId,
    key: &NewKey,
    now: Timestamp,
) -> Stored<Option<Created>> {
    let row = sqlx::query(
        "SELECT request, suite_id, response FROM idempotency_keys \
         WHERE user_id = ? AND path = ? AND key = ? AND created_at > ?",
    )
    .bind(user.0)
    .bind(&key.path)
    .bind(&key.key)
    .bind(now.minus(KEPT_KEYS).0)
    .fetch_optional(c)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let suite_id: SuiteId = row.try_get::<Uuid, _>("suite_id")?.into();
    let request: String = row.try_get("request")?;
    Ok(Some(if request == key.request {
        Created::Replayed { suite_id, response: row.try_get("response")? }
    } else {
        Created::KeyReused { suite_id }
    }))
}

async fn keep_answer(
    c: &mut SqliteConnection,
    user: UserId,
    key: &NewKey,
    suite: SuiteId,
    now: Timestamp,
) -> Stored<()> {
    // Old ones go in the same step that brings a new one: never many at once.
    sqlx::query(
        "DELETE FROM idempotency_keys WHERE rowid IN \
         (SELECT rowid FROM idempotency_keys WHERE created_at <= ? LIMIT 20)",
    )
    .bind(now.minus(KEPT_KEYS).0)
    .execute(&mut *c)
    .await?;
    // This very key may be one of the old ones that are still there.
    sqlx::query("DELETE FROM idempotency_keys WHERE user_id = ? AND path = ? AND key = ?")
        .bind(user.0)
        .bind(&key.path)
        .bind(&key.key)
        .execute(&mut *c)
        .await?;
    sqlx::query(
        "INSERT INTO idempotency_keys (user_id, path, key, request, suite_id, response, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(user.0)
    .bind(&key.path)
    .bind(&key.key)
    .bind(&key.request)
    .bind(suite.0)
    .bind(&key.response)
    .bind(now.0)
    .execute(c)
    .await?;
    Ok(())
}

async fn unfinished_over(
    c: &mut SqliteConnection,
    space: SpaceId,
    agent: AgentId,
    scenarios: &[ScenarioId],
) -> Stored<Option<SuiteId>> {
    let busy = sqlx::query(
        "SELECT r.scenario_id, r.suite_id FROM runs r \
         WHERE r.agent_id = ? AND r.space_id = ? AND r.status IN ('pending', 'running')",
    )
    .bind(agent.0)
    .bind(space.0)
    .fetch_all(c)
    .await?;
    for row in busy {
        let scenario: Uuid = row.try_get("scenario_id")?;
        if scenarios.contains(&ScenarioId(scenario)) {
            return Ok(Some(row.try_get::<Uuid, _>("suite_id")?.into()));
        }
    }
    Ok(None)
}

async fn create(c: &mut SqliteConnection, new: NewSuite) -> Stored<Created> {
    if let Some(key) = &new.key
        && let Some(known) = answered(c, new.user_id, key, new.at).await?
    {
        return Ok(known);
    }
    let starts = new.runs.iter().filter(|run| run.error.is_none());
    let scenarios: Vec<_> = starts.clone().map(|run| run.scenario.id).collect();
    if !new.allow_parallel
        && let Some(suite_id) = unfinished_over(c, new.space_id, new.agent.id, &scenarios).await?
    {
        return Ok(Created::AlreadyRunning { suite_id });
    }
    let unfinished: u32 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM runs WHERE user_id = ? AND status IN ('pending', 'running')",
    )
    .bind(new.user_id.0)
    .fetch_one(&mut *c)
    .await?;
    if unfinished > 0
        && unfinished + u32::try_from(scenarios.len()).unwrap_or(u32::MAX) > new.queue_per_user
    {
        return Ok(Created::QueueFull { unfinished });
    }
    insert_suite(c, &new, scenarios.is_empty()).await?;
    for (position, run) in new.runs.iter().enumerate() {
        insert_run(c, &new, run, position).await?;
    }
    ended::note(new.id, &ended::of_new(&new));
    if let Some(key) = &new.key {
        keep_answer(c, new.user_id, key, new.id, new.at).await?;
    }
    Ok(Created::New)
}

async fn insert_suite(c: &mut SqliteConnection, new: &NewSuite, nothing_to_do: bool) -> Stored<()> {
    sqlx::query(
        "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, agent_name, frozen, status, \
         total, concurrency, repeats, parent_id, note, seq, created_at, finished_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
    )
    .bind(new.id.0)
    .bind(new.space_id.0)
    .bind(new.user_id.0)
    .bind(new.agent.id.0)
    .bind(new.agent.revision)
    .bind(&new.agent.name)
    .bind(text(&new.frozen)?)
    .bind(if nothing_to_do { "finished" } else { "pending" })
    .bind(u32::try_from(new.runs.len()).unwrap_or(u32::MAX))
    .bind(new.concurrency)
    .bind(new.repeats)
    .bind(new.parent_id.map(|id| id.0))
    .bind(&new.note)
    .bind(new.at.0)
    .bind(nothing_to_do.then_some(new.at.0))
    .execute(c)
    .await?;
    Ok(())
}

/// Whether a run is there, and not in a suite that is being deleted.
async fn is_there(c: &mut SqliteConnection, run: RunId) -> Stored<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM runs r JOIN suites s ON s.id = r.suite_id \
         WHERE r.id = ? AND s.deleted_at IS NULL",
    )
    .bind(run.0)
    .fetch_optional(c)
    .await?;
    Ok(found.is_some())
}

async fn insert_run(
    c: &mut SqliteConnection,
    new: &NewSuite,
    run: &crate::store::suites::NewRun,
    position: usize,
) -> Stored<()> {
    // Half of a conversation would be worse than none.
    let source = match run.source_run_id {
        Some(source) if is_there(c, source).await? => Some(source),
        _ => None,
    };
    sqlx::query(
        "INSERT INTO runs (id, suite_id, space_id, user_id, agent_id, agent_revision, scenario_id, \
         scenario_revision, scenario_name, repetition, position, source_run_id, timeout_ms, \
         user_turns_planned, status, parked, error_kind, error_message, attempt, recoveries, stalled, \
         active_ms, parked_ms, created_at, finished_at, usage, user_turns, turns, end_reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0, 0, 0, 0, ?, ?, ?, \
         COALESCE((SELECT user_turns FROM runs WHERE id = ?), 0), \
         COALESCE((SELECT turns FROM runs WHERE id = ?), 0), \
         (SELECT end_reason FROM runs WHERE id = ?))",
    )
    .bind(run.id.0)
    .bind(new.id.0)
    .bind(new.space_id.0)
    .bind(new.user_id.0)
    .bind(new.agent.id.0)
    .bind(new.agent.revision)
    .bind(run.scenario.id.0)
    .bind(run.scenario.revision)
    .bind(&run.scenario.name)
    .bind(run.repetition)
    .bind(u32::try_from(position).unwrap_or(u32::MAX))
    .bind(source.map(|id| id.0))
    .bind(i64::try_from(run.timeout_ms).unwrap_or(i64::MAX))
    .bind(run.user_turns_planned)
    .bind(if run.error.is_some() { "error" } else { "pending" })
    .bind(run.error.as_ref().map(|error| error.kind.as_str()))
    .bind(run.error.as_ref().map(|error| error.message.as_str()))
    .bind(new.at.0)
    .bind(run.error.is_some().then_some(new.at.0))
    .bind(text(&Usage::default())?)
    .bind(source.map(|id| id.0))
    .bind(source.map(|id| id.0))
    .bind(source.map(|id| id.0))
    .execute(&mut *c)
    .await?;
    if let Some(source) = source {
        sqlx::query(
            "INSERT INTO turns (run_id, idx, speaker, message, tool_calls, tool, finish, latency_ms, \
             input_tokens, output_tokens, at) SELECT ?, idx, speaker, message, tool_calls, tool, finish, \
             latency_ms, input_tokens, output_tokens, at FROM turns WHERE run_id = ?",
        )
        .bind(run.id.0)
        .bind(source.0)
        .execute(c)
        .await?;
    }
    Ok(())
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

async fn read_runs(
    c: &mut SqliteConnection,
    query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
) -> Stored<Vec<RunRow>> {
    let rows = query.fetch_all(c).await?;
    let damaged = |error: &StoreError| tracing::error!(%error, "a run cannot be read");
    Ok(rows.iter().filter_map(|row| run(row).inspect_err(damaged).ok()).collect())
}

#[async_trait]
impl SuiteStore for SqliteStore {
    async fn create_suite(&self, new: NewSuite) -> Stored<Created> {
        let id = new.id;
        let created = self.writer.write(move |c| create(c, new).boxed()).await?;
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
        let mut c = self.read.acquire().await?;
        answered(&mut c, user, key, now).await
    }

    async fn unfinished_over(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<SuiteId>> {
        let mut c = self.read.acquire().await?;
        unfinished_over(&mut c, space, agent, scenarios).await
    }

    async fn create_evaluation(&self, new: NewEvaluation) -> Stored<Created> {
        let (suite, at) = (new.row.suite_id, new.row.view.created_at);
        let created = self.writer.write(move |c| {
            async move {
                if let Some(key) = &new.key
                    && let Some(known) = answered(c, new.row.user_id, key, at).await?
                {
                    return Ok(known);
                }
                let unfinished: Option<Uuid> = sqlx::query_scalar(
                    "SELECT id FROM evaluations WHERE run_id = ? AND status IN ('pending', 'running') LIMIT 1",
                )
                .bind(new.row.run_id.0)
                .fetch_optional(&mut *c)
                .await?;
                if unfinished.is_some() {
                    return Ok(Created::AlreadyRunning { suite_id: new.row.suite_id });
                }
                if !is_there(c, new.row.run_id).await? {
                    return Ok(Created::Gone);
                }
                save_evaluation(c, &new.row).await?;
                if let Some(key) = &new.key {
                    keep_answer(c, new.row.user_id, key, new.row.suite_id, at).await?;
                }
                Ok(Created::New)
            }
            .boxed()
        }).await?;
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
        .await?;
        Ok(found.is_some())
    }

    async fn suite(&self, space: SpaceId, id: SuiteId) -> Stored<Option<(SuiteRow, Vec<RunRow>)>> {
        let mut tx = self.read.begin().await?;
        let found = sqlx::query(
            "SELECT * FROM suites WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
        )
        .bind(id.0)
        .bind(space.0)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let found = suite(&found)?;
        let all = sqlx::query(select_runs!("WHERE r.suite_id = ? ORDER BY r.position")).bind(id.0);
        let runs = read_runs(&mut tx, all).await?;
        tx.rollback().await?;
        Ok(Some((found, runs)))
    }

    async fn suites(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<(SuiteRow, Counts)>> {
        // Only the filters that are set stand in the query: each has its index.
        let mut query = QueryBuilder::<Sqlite>::new(select_suites!(
            "WHERE s.id IN (SELECT id FROM suites x WHERE x.deleted_at IS NULL AND x.space_id = "
        ));
        query.push_bind(space.0);
        if let Some(agent) = filter.agent {
            query.push(" AND x.agent_id = ").push_bind(agent.0);
        }
        if let Some(status) = &filter.status {
            query.push(" AND x.status = ").push_bind(status);
        }
        with_a_run(&mut query, space, filter);
        within(&mut query, "x", filter, before);
        query.push(" ORDER BY x.created_at DESC, x.id DESC LIMIT ").push_bind(limit);
        query.push(") GROUP BY s.id ORDER BY s.created_at DESC, s.id DESC");
        let rows = query.build().fetch_all(&self.read).await?;
        rows.iter().map(|row| Ok((suite(row)?, counts(row)?))).collect()
    }

    async fn unfinished(&self, space: SpaceId) -> Stored<Vec<(SuiteRow, Counts)>> {
        let rows = sqlx::query(select_suites!(
            "WHERE s.space_id = ? AND s.status IN ('pending', 'running') \
             GROUP BY s.id ORDER BY s.created_at, s.id"
        ))
        .bind(space.0)
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(|row| Ok((suite(row)?, counts(row)?))).collect()
    }

    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<RunRow>> {
        let mut query = QueryBuilder::<Sqlite>::new(select_runs!(
            "WHERE s.deleted_at IS NULL AND r.space_id = "
        ));
        query.push_bind(space.0);
        if let Some(agent) = filter.agent {
            query.push(" AND r.agent_id = ").push_bind(agent.0);
        }
        if let Some(scenario) = filter.scenario {
            query.push(" AND r.scenario_id = ").push_bind(scenario.0);
        }
        if let Some(status) = &filter.status {
            query.push(" AND r.status = ").push_bind(status);
        }
        if let Some(kind) = &filter.error_kind {
            query.push(" AND r.error_kind = ").push_bind(kind);
        }
        within(&mut query, "r", filter, before);
        query.push(" ORDER BY r.created_at DESC, r.id DESC LIMIT ").push_bind(limit);
        let mut c = self.read.acquire().await?;
        read_runs(&mut c, query.build()).await
    }

    async fn run(&self, space: SpaceId, id: RunId) -> Stored<Option<RunRow>> {
        let one = select_runs!("WHERE r.id = ? AND r.space_id = ? AND s.deleted_at IS NULL");
        let row = sqlx::query(one).bind(id.0).bind(space.0).fetch_optional(&self.read).await?;
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
        .await?;
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
        .await?;
        let (mut sum, mut count) = (0_i64, 0_i64);
        for row in rows {
            if scenarios.contains(&ScenarioId(row.try_get("scenario_id")?)) {
                sum += row.try_get::<i64, _>("ms")?;
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
        let done = self
            .writer
            .write(move |c| {
                async move {
                    let asked = sqlx::query(
                        "UPDATE suites SET cancel_requested_at = COALESCE(cancel_requested_at, ?) \
                     WHERE id = ? AND space_id = ? AND status IN ('pending', 'running')",
                    )
                    .bind(now.0)
                    .bind(id.0)
                    .bind(space.0)
                    .execute(&mut *c)
                    .await?;
                    if asked.rows_affected() == 0 {
                        return Ok(None);
                    }
                    let all = sqlx::query(select_runs!(
                        "WHERE r.suite_id = ? AND r.status IN ('pending', 'running')"
                    ));
                    let rows = read_runs(c, all.bind(id.0)).await?;
                    cancel(c, rows, now).await.map(Some)
                }
                .boxed()
            })
            .await?;
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
        let done = self
            .writer
            .write(move |c| {
                async move {
                    let one = sqlx::query(select_runs!(
                        "WHERE r.id = ? AND r.space_id = ? AND r.status IN ('pending', 'running')"
                    ));
                    let rows = read_runs(c, one.bind(id.0).bind(space.0)).await?;
                    let Some(suite) = rows.first().map(|row| row.suite_id) else { return Ok(None) };
                    let (outcome, seq) = cancel(c, rows, now).await?;
                    Ok(Some((suite, outcome, seq)))
                }
                .boxed()
            })
            .await?;
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

/// The part of a list's condition on suites that is about their runs. A run is
/// as old as its suite, so times bound it as well.
fn with_a_run(query: &mut QueryBuilder<Sqlite>, space: SpaceId, filter: &HistoryFilter) {
    if filter.scenario.is_none() && filter.error_kind.is_none() {
        return;
    }
    query.push(" AND x.id IN (SELECT y.suite_id FROM runs y WHERE y.space_id = ");
    query.push_bind(space.0);
    if let Some(scenario) = filter.scenario {
        query.push(" AND y.scenario_id = ").push_bind(scenario.0);
    }
    if let Some(kind) = &filter.error_kind {
        query.push(" AND y.error_kind = ").push_bind(kind);
    }
    within(query, "y", filter, None);
    query.push(")");
}

/// The part of a list's condition that is about time, for the table `t`.
fn within(
    query: &mut QueryBuilder<Sqlite>,
    t: &'static str,
    filter: &HistoryFilter,
    before: Option<Before>,
) {
    if let Some(since) = time(filter.since.as_deref()) {
        query.push(format_args!(" AND {t}.created_at >= ")).push_bind(since);
    }
    if let Some(until) = time(filter.until.as_deref()) {
        query.push(format_args!(" AND {t}.created_at < ")).push_bind(until);
    }
    if let Some(Before { at, id }) = before {
        query.push(format_args!(" AND ({t}.created_at, {t}.id) < ("));
        query.push_bind(at.0).push(", ").push_bind(id).push(")");
    }
}

fn time(text: Option<&str>) -> Option<i64> {
    text.and_then(Timestamp::parse).map(|at| at.0)
}
