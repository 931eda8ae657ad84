//! Reads suites and runs.

use super::eta::eta_seconds;
use super::{Suites, before, limit};
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{
    AgentService, AppResult, Caller, ConnectionService, Cursor, Dashboard, HistoryFilter, Page,
    ResultService, ScenarioService,
};
use domain::{
    BreakerState, Counts, Evaluation, ProgressEvent, Run, RunId, RunStatus, ScenarioFilter, Suite,
    SuiteId, SuiteSnapshot, SuiteStatus, Timestamp, Waiting, WaitingRuns,
};
use store::rows::{RunRow, SuiteRow};

#[async_trait]
impl ResultService for Suites {
    async fn dashboard(&self, caller: &Caller) -> AppResult<Dashboard> {
        let latest = Cursor { after: None, limit: Some(LATEST) };
        let connections = self.catalog.connections(caller).await?;
        let agents = self.catalog.agents(caller, &counted()).await?.items.len();
        Ok(Dashboard {
            live: self.unfinished(caller).await?,
            latest: self.suites(caller, &HistoryFilter::default(), &latest).await?.items,
            agents: u32::try_from(agents).unwrap_or(COUNTED),
            scenarios: self.counted_scenarios(caller, false).await?,
            built_in_scenarios: self.counted_scenarios(caller, true).await?,
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
    ) -> AppResult<Page<Suite>> {
        check(filter, &words(SuiteStatus::ALL))?;
        let (limit, before) = (limit(cursor)?, before(cursor)?);
        let rows = self.suites.suites(caller.space_id, filter, before, limit + 1);
        let mut rows = rows.await.or_app_error()?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more);
        let next = last.map(|(row, _)| format!("{}-{}", row.created_at.0, row.id));
        let items = rows.into_iter().map(|(row, counts)| row.view(counts, None, None)).collect();
        Ok(Page { items, next })
    }

    async fn suite(&self, caller: &Caller, id: SuiteId) -> AppResult<SuiteSnapshot> {
        let (row, runs) = self.rows(caller, id).await?;
        let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
        let eta = self.eta(caller, &row, &runs).await?;
        let views = runs.iter().map(|run| self.shown(run)).collect();
        Ok(SuiteSnapshot { seq: row.seq, suite: row.view(counts, eta, Some(views)) })
    }

    async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<Page<Run>> {
        check(filter, &words(RunStatus::ALL))?;
        let (limit, before) = (limit(cursor)?, before(cursor)?);
        let rows = self.suites.runs(caller.space_id, filter, before, limit + 1);
        let mut rows = rows.await.or_app_error()?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| format!("{}-{}", row.created_at.0, row.id));
        Ok(Page { items: rows.iter().map(|run| self.shown(run)).collect(), next })
    }

    async fn run(&self, caller: &Caller, id: RunId) -> AppResult<Run> {
        let row = self.suites.run(caller.space_id, id).await.or_app_error()?;
        let row = row.ok_or_else(|| AppError::not_found("run"))?;
        let mut run = self.shown(&row);
        run.transcript = Some(self.suites.transcript(id).await.or_app_error()?);
        run.evaluations = Some(self.evaluations_of(id).await?);
        Ok(run)
    }

    async fn evaluations(&self, caller: &Caller, id: RunId) -> AppResult<Vec<Evaluation>> {
        let row = self.suites.run(caller.space_id, id).await.or_app_error()?;
        row.ok_or_else(|| AppError::not_found("run"))?;
        self.evaluations_of(id).await
    }
}

impl Suites {
    /// Unfinished suites, oldest first.
    pub async fn unfinished(&self, caller: &Caller) -> AppResult<Vec<Suite>> {
        let rows = self.suites.unfinished_suites(caller.space_id).await.or_app_error()?;
        Ok(rows.into_iter().map(|(row, counts)| row.view(counts, None, None)).collect())
    }

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
            held: pending.and_then(|run| self.waiting(run)),
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

    fn shown(&self, row: &RunRow) -> Run {
        Run { waiting_on: self.waiting(row), ..row.view() }
    }

    /// What a run waits for. A pending run whose first call would only wait has
    /// that reason, which is computed and never stored; other pending runs wait
    /// for a slot.
    fn waiting(&self, row: &RunRow) -> Option<Waiting> {
        match row.status {
            RunStatus::Pending => {
                self.executor.held_back(row.user_id, &row.model_snapshot.agent).or(row.waits())
            }
            _ => row.waiting,
        }
    }

    async fn evaluations_of(&self, id: RunId) -> AppResult<Vec<Evaluation>> {
        let rows = self.suites.evaluations(id).await.or_app_error()?;
        Ok(rows.into_iter().map(|row| row.view).collect())
    }

    async fn rows(&self, caller: &Caller, id: SuiteId) -> AppResult<(SuiteRow, Vec<RunRow>)> {
        let found = self.suites.suite(caller.space_id, id).await.or_app_error()?;
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
        let own = eta_seconds(row, runs, None, self.clock.now());
        if own.is_some() {
            return Ok(own);
        }
        let ids: Vec<_> = runs.iter().map(|run| run.scenario.id).collect();
        let past = self.suites.mean_run_duration_ms(caller.space_id, &ids).await.or_app_error()?;
        Ok(eta_seconds(row, runs, past, self.clock.now()))
    }
}

/// The number of latest suites on the overview.
const LATEST: u32 = 10;
/// Agents and scenarios are counted up to this number.
const COUNTED: u32 = 200;

impl Suites {
    async fn counted_scenarios(&self, caller: &Caller, built_in: bool) -> AppResult<u32> {
        let filter = ScenarioFilter { built_in: Some(built_in), ..ScenarioFilter::default() };
        let page = self.catalog.scenarios(caller, &filter, &counted()).await?;
        Ok(u32::try_from(page.items.len()).unwrap_or(COUNTED))
    }
}

fn counted() -> Cursor {
    Cursor { after: None, limit: Some(COUNTED) }
}

fn words<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}

/// Rejects a filter with unknown values instead of returning an empty list.
fn check(filter: &HistoryFilter, statuses: &[&str]) -> AppResult<()> {
    let mut problems = Vec::new();
    let mut say = |path: &str, message: String| problems.push(domain::Problem::new(path, message));
    if let Some(word) = filter.status.as_deref().filter(|word| !statuses.contains(word)) {
        say("status", format!("{word:?} must be one of {}", statuses.join(", ")));
    }
    let kind = filter.error_kind.as_deref();
    if kind.is_some_and(|word| domain::ErrorKind::parse(word).is_none()) {
        say("error_kind", "is not a kind of error".to_owned());
    }
    for (path, time) in [("since", &filter.since), ("until", &filter.until)] {
        if time.as_deref().is_some_and(|text| Timestamp::parse(text).is_none()) {
            say(path, "must be a time like 2026-01-31T12:00:00Z".to_owned());
        }
    }
    super::reject_if_any(problems)
}
