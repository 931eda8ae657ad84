//! Reads suites and runs.

use super::eta::{after_retry, eta_seconds};
use super::{Suites, preflight};
use crate::cursor::{encode_time, page, read_time};
use crate::errors::{StoreResultExt, reject_if_any};
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{
    AgentService, AppResult, Caller, ConnectionService, Cursor, Dashboard, HistoryFilter, ListPage,
    ResultService, ScenarioService,
};
use domain::{
    BreakerState, Counts, Evaluation, Problem, ProgressEvent, Run, RunId, RunStatus,
    ScenarioFilter, Stage, Suite, SuiteId, SuiteSnapshot, SuiteStatus, Timestamp, WaitReason,
    Waiting, WaitingRuns,
};
use store::rows::{RunRow, SuiteRow};

/// The number of latest suites on the home page.
const LATEST: u32 = 10;
/// Agents and scenarios are counted up to this number.
const MAX_COUNT: u32 = 200;

#[async_trait]
impl ResultService for Suites {
    async fn dashboard(&self, caller: &Caller) -> AppResult<Dashboard> {
        let latest = Cursor { after: None, limit: Some(LATEST) };
        let connections = self.catalog.connections(caller).await?;
        let agents = self.catalog.agents(caller, &counted()).await?.items.len();
        Ok(Dashboard {
            unfinished_suites: self.unfinished_suites(caller).await?,
            latest: self.suites(caller, &HistoryFilter::default(), &latest).await?.items,
            agents: preflight::count(agents),
            scenarios: self.count_scenarios(caller, false).await?,
            built_in_scenarios: self.count_scenarios(caller, true).await?,
            failing_connections: connections
                .into_iter()
                .filter(|one| one.breaker.state != BreakerState::Closed)
                .collect(),
        })
    }

    async fn suites(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<ListPage<Suite>> {
        check_filter(filter, SuiteStatus::ALL)?;
        let (before, limit) = read_time(cursor)?;
        let rows = self.store.suites(caller.space_id, filter, before, limit + 1);
        let rows = rows.await.or_app_error()?;
        let ListPage { items, next } =
            page(rows, limit, |(row, _)| encode_time(row.created_at, row.id));
        let items = items.into_iter().map(|(row, counts)| row.view(counts, None, None)).collect();
        Ok(ListPage { items, next })
    }

    async fn suite(&self, caller: &Caller, id: SuiteId) -> AppResult<SuiteSnapshot> {
        let (row, runs) = self.rows(caller, id).await?;
        let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
        let eta = self.eta(caller, &row, &runs).await?;
        let views = runs.iter().map(|run| self.view(run)).collect();
        Ok(SuiteSnapshot { seq: row.seq, suite: row.view(counts, eta, Some(views)) })
    }

    async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<ListPage<Run>> {
        check_filter(filter, RunStatus::ALL)?;
        let (before, limit) = read_time(cursor)?;
        let rows = self.store.runs(caller.space_id, filter, before, limit + 1);
        let rows = rows.await.or_app_error()?;
        let ListPage { items, next } = page(rows, limit, |row| encode_time(row.created_at, row.id));
        Ok(ListPage { items: items.iter().map(|run| self.view(run)).collect(), next })
    }

    async fn run(&self, caller: &Caller, id: RunId) -> AppResult<Run> {
        let row = self.run_row(caller, id).await?;
        let mut run = self.view(&row);
        run.transcript = Some(self.store.transcript(id).await.or_app_error()?);
        run.evaluations = Some(self.evaluations_of(id).await?);
        Ok(run)
    }

    async fn evaluations(&self, caller: &Caller, id: RunId) -> AppResult<Vec<Evaluation>> {
        self.run_row(caller, id).await?;
        self.evaluations_of(id).await
    }

    async fn unfinished_suites(&self, caller: &Caller) -> AppResult<Vec<Suite>> {
        let rows = self.store.unfinished_suites(caller.space_id).await.or_app_error()?;
        Ok(rows.into_iter().map(|(row, counts)| row.view(counts, None, None)).collect())
    }
}

impl Suites {
    /// The progress of a suite, and the event number up to which it is valid.
    pub(super) async fn progress(
        &self,
        caller: &Caller,
        id: SuiteId,
    ) -> AppResult<(i64, ProgressEvent)> {
        let (row, runs) = self.rows(caller, id).await?;
        let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
        let running = runs.iter().filter(|run| run.status == RunStatus::Running);
        let pending = runs.iter().find(|run| run.status == RunStatus::Pending);
        let progress = ProgressEvent {
            pending_waiting_on: pending.and_then(|run| self.waiting(run)),
            done: counts.done(),
            total: row.total,
            by_status: counts,
            eta_seconds: self.eta(caller, &row, &runs).await?,
            current: running.map(|run| run.id).collect(),
            waiting: WaitingRuns::group(runs.iter().filter_map(|run| {
                self.waiting(run).filter(|waiting| waiting.is_blocking(run.status))
            })),
        };
        Ok((row.seq, progress))
    }

    fn view(&self, row: &RunRow) -> Run {
        Run { waiting_on: self.waiting(row), ..row.view() }
    }

    /// What a run waits for. A pending run whose first call would only wait has
    /// that reason, which is computed and never stored; other pending runs wait
    /// for a slot.
    fn waiting(&self, row: &RunRow) -> Option<Waiting> {
        match row.status {
            RunStatus::Pending => {
                self.executor.expected_wait(row.user_id, &row.model_snapshot.agent).or(row.waits())
            }
            _ => row.waiting.map(|stored| self.current_wait(row, stored)),
        }
    }

    /// A run stores when the wait for its provider is expected to end. A retry that failed
    /// since then has moved that time, for all runs.
    fn current_wait(&self, row: &RunRow, stored: Waiting) -> Waiting {
        let models = &row.model_snapshot;
        let called = match row.stage {
            Some(Stage::Evaluating) => vec![&*models.judge],
            Some(Stage::Conversing) | None => vec![&models.agent, &*models.simulated_user],
        };
        let waits = called.into_iter().filter_map(|m| self.executor.expected_wait(row.user_id, m));
        let mut circuits = waits.filter(|wait| wait.what == WaitReason::Circuit);
        match stored.what {
            WaitReason::Circuit => circuits.next().unwrap_or(stored),
            WaitReason::RateLimit | WaitReason::Slot => stored,
        }
    }

    async fn evaluations_of(&self, id: RunId) -> AppResult<Vec<Evaluation>> {
        let rows = self.store.evaluations(id).await.or_app_error()?;
        Ok(rows.into_iter().map(|row| row.evaluation).collect())
    }

    pub(super) async fn run_row(&self, caller: &Caller, id: RunId) -> AppResult<RunRow> {
        let row = self.store.run(caller.space_id, id).await.or_app_error()?;
        row.ok_or_else(|| AppError::not_found("run"))
    }

    pub(super) async fn rows(
        &self,
        caller: &Caller,
        id: SuiteId,
    ) -> AppResult<(SuiteRow, Vec<RunRow>)> {
        let found = self.store.suite(caller.space_id, id).await.or_app_error()?;
        found.ok_or_else(|| AppError::not_found("suite"))
    }

    async fn eta(
        &self,
        caller: &Caller,
        row: &SuiteRow,
        runs: &[RunRow],
    ) -> AppResult<Option<u32>> {
        if row.state.status().is_final() {
            return Ok(None);
        }
        let now = self.clock.now();
        let retry_at = self.next_retry(runs);
        let after_retry = |seconds| after_retry(seconds, retry_at, now);
        let own = eta_seconds(row, runs, None, now);
        if own.is_some() {
            return Ok(own.map(after_retry));
        }
        let ids: Vec<_> = runs.iter().map(|run| run.scenario.id).collect();
        let past = self.store.mean_run_duration_ms(caller.space_id, &ids).await.or_app_error()?;
        Ok(eta_seconds(row, runs, past, now).map(after_retry))
    }

    /// The next retry of a provider for which unfinished runs wait.
    fn next_retry(&self, runs: &[RunRow]) -> Option<Timestamp> {
        let waits = runs.iter().filter(|run| !run.status.is_final());
        let waits = waits.filter_map(|run| self.waiting(run));
        waits.filter(|one| one.what == WaitReason::Circuit).filter_map(|one| one.until).min()
    }
}

impl Suites {
    async fn count_scenarios(&self, caller: &Caller, built_in: bool) -> AppResult<u32> {
        let filter = ScenarioFilter { built_in: Some(built_in), ..ScenarioFilter::default() };
        let page = self.catalog.scenarios(caller, &filter, &counted()).await?;
        Ok(preflight::count(page.items.len()))
    }
}

fn counted() -> Cursor {
    Cursor { after: None, limit: Some(MAX_COUNT) }
}

/// Rejects a filter with unknown values instead of returning an empty list.
fn check_filter<T>(filter: &HistoryFilter, statuses: &[(&str, T)]) -> AppResult<()> {
    let mut problems = Vec::new();
    let mut report = |path: &str, message: String| problems.push(Problem::new(path, message));
    let statuses: Vec<_> = statuses.iter().map(|(word, _)| *word).collect();
    if let Some(word) = filter.status.as_deref().filter(|word| !statuses.contains(word)) {
        report("status", format!("{word:?} must be one of {}", statuses.join(", ")));
    }
    let kind = filter.error_kind.as_deref();
    if kind.is_some_and(|word| domain::ErrorKind::parse(word).is_none()) {
        report("error_kind", "is not a kind of error".to_owned());
    }
    for (path, time) in [("since", &filter.since), ("until", &filter.until)] {
        if time.as_deref().is_some_and(|text| Timestamp::parse(text).is_none()) {
            report(path, "must be a time like 2026-01-31T12:00:00Z".to_owned());
        }
    }
    reject_if_any(problems)
}
