//! What is shown of suites and runs.

use crate::errors::StoreResultExt;
use super::eta::eta_seconds;
use super::{Suites, before, limit};
use store::rows::{RunRow, SuiteRow};
use domain::backend::{Answer, Caller, Cursor, HistoryFilter, Page};
use domain::{
    Counts, Evaluation, HeldRuns, Progress, Run, RunId, RunStatus, Suite, SuiteId, SuiteSnapshot,
    SuiteStatus, Timestamp, Waiting,
};
use domain::error::AppError;

impl Suites {
    /// Suites, newest first.
    pub async fn suites(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Suite>> {
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

    /// Unfinished suites, oldest first.
    pub async fn unfinished(&self, caller: &Caller) -> Answer<Vec<Suite>> {
        let rows = self.suites.unfinished(caller.space_id).await.or_app_error()?;
        Ok(rows.into_iter().map(|(row, counts)| row.view(counts, None, None)).collect())
    }

    /// A suite with its runs, and the seq at which it was read.
    pub async fn suite(&self, caller: &Caller, id: SuiteId) -> Answer<SuiteSnapshot> {
        let (row, runs) = self.rows(caller, id).await?;
        let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
        let eta = self.eta(caller, &row, &runs).await?;
        let views = runs.iter().map(|run| self.shown(run)).collect();
        Ok(SuiteSnapshot { seq: row.seq, suite: row.view(counts, eta, Some(views)) })
    }

    /// How far a suite is, and the event up to which that is known.
    pub(super) async fn progress(&self, caller: &Caller, id: SuiteId) -> Answer<(i64, Progress)> {
        let (row, runs) = self.rows(caller, id).await?;
        let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
        let running = runs.iter().filter(|run| run.status == RunStatus::Running);
        let pending = runs.iter().find(|run| run.status == RunStatus::Pending);
        let progress = Progress {
            held: pending.and_then(|run| self.waiting(run)),
            done: counts.done(),
            total: row.total,
            by_status: counts,
            eta_seconds: self.eta(caller, &row, &runs).await?,
            current: running.map(|run| run.id).collect(),
            waiting: HeldRuns::of(runs.iter().filter_map(|run| {
                self.waiting(run).filter(|waiting| waiting.holds_up(run.status))
            })),
        };
        Ok((row.seq, progress))
    }

    /// Runs, newest first, without transcripts.
    pub async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Run>> {
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

    /// A run with transcript and evaluations.
    pub async fn run(&self, caller: &Caller, id: RunId) -> Answer<Run> {
        let row = self.suites.run(caller.space_id, id).await.or_app_error()?;
        let row = row.ok_or_else(|| AppError::not_found("run"))?;
        let mut run = self.shown(&row);
        run.transcript = Some(self.suites.transcript(id).await.or_app_error()?);
        run.evaluations = Some(self.judgings(id).await?);
        Ok(run)
    }

    /// The evaluations of a run, newest first.
    pub async fn evaluations(&self, caller: &Caller, id: RunId) -> Answer<Vec<Evaluation>> {
        let row = self.suites.run(caller.space_id, id).await.or_app_error()?;
        row.ok_or_else(|| AppError::not_found("run"))?;
        self.judgings(id).await
    }

    /// A run as it is shown.
    fn shown(&self, row: &RunRow) -> Run {
        Run { waiting_on: self.waiting(row), ..row.view() }
    }

    /// What a run waits for. One that is not begun because its first call
    /// would only wait says so: known now, and never stored. All others that
    /// are not begun wait for a slot.
    fn waiting(&self, row: &RunRow) -> Option<Waiting> {
        match row.status {
            RunStatus::Pending => {
                self.executor.held_back(row.user_id, &row.frozen.agent).or(row.waits())
            }
            _ => row.waiting,
        }
    }

    async fn judgings(&self, id: RunId) -> Answer<Vec<Evaluation>> {
        let rows = self.suites.evaluations(id).await.or_app_error()?;
        Ok(rows.into_iter().map(|row| row.view).collect())
    }

    async fn rows(&self, caller: &Caller, id: SuiteId) -> Answer<(SuiteRow, Vec<RunRow>)> {
        let found = self.suites.suite(caller.space_id, id).await.or_app_error()?;
        found.ok_or_else(|| AppError::not_found("suite"))
    }

    async fn eta(&self, caller: &Caller, row: &SuiteRow, runs: &[RunRow]) -> Answer<Option<u32>> {
        if row.status.is_final() {
            return Ok(None);
        }
        let own = eta_seconds(row, runs, None, self.clock.now());
        if own.is_some() {
            return Ok(own);
        }
        let ids: Vec<_> = runs.iter().map(|run| run.scenario.id).collect();
        let past = self.suites.past_duration_ms(caller.space_id, &ids).await.or_app_error()?;
        Ok(eta_seconds(row, runs, past, self.clock.now()))
    }
}

fn words<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}

/// A filter whose words are not known is a problem, not an empty list.
fn check(filter: &HistoryFilter, statuses: &[&str]) -> Answer<()> {
    let mut problems = Vec::new();
    let mut say =
        |path: &str, message: String| problems.push(domain::Problem::new(path, message));
    if let Some(word) = filter.status.as_deref().filter(|word| !statuses.contains(word)) {
        say("status", format!("{word:?} must be one of {}", statuses.join(", ")));
    }
    let kind = filter.error_kind.as_deref();
    if kind.is_some_and(|word| domain::ErrorKind::from_word(word).is_none()) {
        say("error_kind", "is not a kind of error".to_owned());
    }
    for (path, time) in [("since", &filter.since), ("until", &filter.until)] {
        if time.as_deref().is_some_and(|text| Timestamp::parse(text).is_none()) {
            say(path, "must be a time like 2026-01-31T12:00:00Z".to_owned());
        }
    }
    super::none_of(problems)
}
