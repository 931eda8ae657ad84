//! Suites over the maps.

use super::{MemoryWork, State, is_open};
use crate::Stored;
use crate::ended::{self, Ended};
use crate::hub::Newest;
use crate::rows::{EvaluationRow, EventRow, RunRow, SuiteRow, Transcript};
use crate::suites::{
    Before, CancelOutcome, Created, NewEvaluation, NewKey, NewSuite, SuiteStore,
};
use domain::services::HistoryFilter;
use domain::{
    AgentId, Counts, RunId, RunStatus, ScenarioId, SpaceId, SuiteId, Timestamp, Turn, UserId,
};
use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

/// Whether a row is within a history filter.
fn within(at: Timestamp, filter: &HistoryFilter) -> bool {
    let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    time(&filter.since).is_none_or(|since| at >= since)
        && time(&filter.until).is_none_or(|until| at < until)
}

fn older(at: Timestamp, id: Uuid, before: Option<Before>) -> bool {
    before.is_none_or(|before| (at, id) < (before.at, before.id))
}

/// Whether a run is of the filter's scenario and kind of error.
fn is_such(row: &RunRow, filter: &HistoryFilter) -> bool {
    let kind = row.error.as_ref().map(|error| error.kind.as_str());
    filter.scenario.is_none_or(|scenario| row.scenario.id == scenario)
        && (filter.error_kind.is_none() || kind == filter.error_kind.as_deref())
}

impl State {
    /// Whether a suite has a run such as the filter asks for, if it does.
    fn has_a_run(&self, id: SuiteId, filter: &HistoryFilter) -> bool {
        let any = filter.scenario.is_none() && filter.error_kind.is_none();
        any || self.runs.values().any(|run| run.suite_id == id && is_such(run, filter))
    }
}

#[async_trait]
impl SuiteStore for MemoryWork {
    async fn create_suite(&self, new: NewSuite) -> Stored<Created> {
        {
            let mut state = self.state.lock();
            if let Some(key) = &new.key
                && let Some(known) = state.answered(new.user_id, key, new.at)
            {
                return Ok(known);
            }
            let starts = new.runs.iter().filter(|run| run.error.is_none());
            let scenarios: Vec<_> = starts.map(|run| run.scenario.id).collect();
            let busy = state.unfinished_over(new.space_id, new.agent.id, &scenarios);
            if let Some(suite_id) = busy.filter(|_| !new.allow_parallel) {
                return Ok(Created::AlreadyRunning { suite_id });
            }
            let mine = |run: &&RunRow| run.user_id == new.user_id && !run.status.is_final();
            let unfinished =
                u32::try_from(state.runs.values().filter(mine).count()).unwrap_or(u32::MAX);
            let asked = u32::try_from(scenarios.len()).unwrap_or(u32::MAX);
            if unfinished > 0 && unfinished + asked > new.queue_per_user {
                return Ok(Created::QueueFull { unfinished });
            }
            state.insert(&new);
            Ended::of(new.id, &ended::of_new(&new)).tell();
            if let Some(key) = &new.key {
                state.keep(new.user_id, key, new.id, new.at);
            }
        }
        self.published(new.id);
        Ok(Created::New)
    }

    async fn answered(
        &self,
        user: UserId,
        key: &NewKey,
        now: Timestamp,
    ) -> Stored<Option<Created>> {
        Ok(self.state.lock().answered(user, key, now))
    }

    async fn unfinished_over(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<SuiteId>> {
        Ok(self.state.lock().unfinished_over(space, agent, scenarios))
    }

    async fn create_evaluation(&self, new: NewEvaluation) -> Stored<Created> {
        let suite = new.row.suite_id;
        {
            let mut state = self.state.lock();
            let at = new.row.view.created_at;
            if let Some(key) = &new.key
                && let Some(known) = state.answered(new.row.user_id, key, at)
            {
                return Ok(known);
            }
            let open =
                |row: &EvaluationRow| row.run_id == new.row.run_id && is_open(row.view.status);
            if state.evaluations.values().any(open) {
                return Ok(Created::AlreadyRunning { suite_id: suite });
            }
            if !state.runs.contains_key(&new.row.run_id) {
                return Ok(Created::Gone);
            }
            if let Some(key) = &new.key {
                state.keep(new.row.user_id, key, suite, at);
            }
            state.evaluations.insert(new.row.view.id, new.row);
        }
        self.published(suite);
        Ok(Created::New)
    }

    async fn owns(&self, space: SpaceId, id: SuiteId) -> Stored<bool> {
        Ok(self.state.lock().suites.get(&id).is_some_and(|(row, _)| row.space_id == space))
    }

    async fn suite(&self, space: SpaceId, id: SuiteId) -> Stored<Option<(SuiteRow, Vec<RunRow>)>> {
        let state = self.state.lock();
        let Some((suite, _)) = state.suites.get(&id).filter(|(row, _)| row.space_id == space)
        else {
            return Ok(None);
        };
        let mut runs: Vec<_> =
            state.runs.values().filter(|run| run.suite_id == id).cloned().collect();
        runs.sort_by_key(|run| run.position);
        Ok(Some((suite.clone(), runs)))
    }

    async fn suites(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<(SuiteRow, Counts)>> {
        let state = self.state.lock();
        let mut rows: Vec<_> = state
            .suites
            .values()
            .map(|(row, _)| row)
            .filter(|row| row.space_id == space && within(row.created_at, filter))
            .filter(|row| filter.agent.is_none_or(|agent| row.agent.id == agent))
            .filter(|row| filter.status.as_deref().is_none_or(|word| row.status.as_str() == word))
            .filter(|row| state.has_a_run(row.id, filter))
            .filter(|row| older(row.created_at, row.id.0, before))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.truncate(limit as usize);
        Ok(rows.into_iter().map(|row| (row.clone(), state.counts(row.id))).collect())
    }

    async fn unfinished(&self, space: SpaceId) -> Stored<Vec<(SuiteRow, Counts)>> {
        let state = self.state.lock();
        let rows = state.suites.values().map(|(row, _)| row);
        let open = rows.filter(|row| row.space_id == space && !row.status.is_final());
        Ok(open.map(|row| (row.clone(), state.counts(row.id))).collect())
    }

    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<RunRow>> {
        let state = self.state.lock();
        let mut rows: Vec<_> = state
            .runs
            .values()
            .filter(|row| row.space_id == space && within(row.created_at, filter))
            .filter(|row| filter.agent.is_none_or(|agent| row.agent.id == agent))
            .filter(|row| is_such(row, filter))
            .filter(|row| filter.status.as_deref().is_none_or(|word| row.status.as_str() == word))
            .filter(|row| older(row.created_at, row.id.0, before))
            .cloned()
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.truncate(limit as usize);
        Ok(rows)
    }

    async fn run(&self, space: SpaceId, id: RunId) -> Stored<Option<RunRow>> {
        Ok(self.state.lock().runs.get(&id).filter(|run| run.space_id == space).cloned())
    }

    async fn transcript(&self, run: RunId) -> Stored<Transcript> {
        Ok(self.state.lock().turns.get(&run).cloned().unwrap_or_default())
    }

    async fn evaluations(&self, run: RunId) -> Stored<Vec<EvaluationRow>> {
        let state = self.state.lock();
        let mut rows: Vec<_> =
            state.evaluations.values().filter(|row| row.run_id == run).cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.view.created_at, row.view.id)));
        Ok(rows)
    }

    async fn past_duration_ms(
        &self,
        space: SpaceId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<u64>> {
        let state = self.state.lock();
        let judged = state.runs.values().filter(|run| {
            run.space_id == space
                && scenarios.contains(&run.scenario.id)
                && matches!(
                    run.status,
                    RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive
                )
        });
        let durations: Vec<u64> = judged.filter_map(|run| run.view().duration_ms).collect();
        let count = u64::try_from(durations.len()).unwrap_or(u64::MAX);
        Ok((count > 0).then(|| durations.iter().sum::<u64>() / count))
    }

    async fn cancel_suite(
        &self,
        space: SpaceId,
        id: SuiteId,
        now: Timestamp,
    ) -> Stored<Option<CancelOutcome>> {
        let ids = {
            let mut state = self.state.lock();
            let Some((row, _)) = state.suites.get_mut(&id) else { return Ok(None) };
            if row.space_id != space || row.status.is_final() {
                return Ok(None);
            }
            row.cancel_requested_at.get_or_insert(now);
            let mut open: Vec<_> = state
                .runs
                .values()
                .filter(|run| run.suite_id == id && !run.status.is_final())
                .collect();
            open.sort_by_key(|run| run.position);
            open.into_iter().map(|run| run.id).collect()
        };
        let outcome = self.cancel(ids, now);
        self.published(id);
        Ok(Some(outcome))
    }

    async fn cancel_run(
        &self,
        space: SpaceId,
        id: RunId,
        now: Timestamp,
    ) -> Stored<Option<CancelOutcome>> {
        let Some(row) = self.run(space, id).await?.filter(|run| !run.status.is_final()) else {
            return Ok(None);
        };
        let outcome = self.cancel(vec![id], now);
        self.published(row.suite_id);
        Ok(Some(outcome))
    }

    async fn events_after(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> Stored<Vec<(i64, EventRow, Option<Turn>)>> {
        let state = self.state.lock();
        let events = state.events.get(&suite).filter(|_| !state.untold.contains(&suite));
        let Some(events) = events else { return Ok(Vec::new()) };
        let skip = usize::try_from(seq).unwrap_or(0);
        let rows = events.iter().enumerate().skip(skip).take(limit as usize);
        Ok(rows
            .map(|(i, event)| {
                let turn = match event {
                    EventRow::Turn { run_id, index } => {
                        state.turns.get(run_id).and_then(|t| t.get(*index as usize)).cloned()
                    }
                    _ => None,
                };
                (i64::try_from(i).unwrap_or(i64::MAX) + 1, event.clone(), turn)
            })
            .collect())
    }

    fn watch(&self, suite: SuiteId) -> watch::Receiver<Newest> {
        self.hub.watch(suite)
    }
}
