//! Suites in memory.

use super::InMemoryQueue;
use super::state::State;
use crate::StoreResult;
use crate::event_notifier::LatestEvent;
use crate::rows::{EvaluationRow, EventRow, RunRow, SuiteRow, Transcript};
use crate::suites::{
    CancelOutcome, CreateOutcome, IdempotencyRecord, NewRejudge, NewSuite, SuiteStore, TimeCursor,
};
use crate::transition::{RunTransition, SuiteTransition, is_unfinished};
use async_trait::async_trait;
use domain::services::HistoryFilter;
use domain::{
    AgentId, Counts, RunId, RunStatus, ScenarioId, SpaceId, SuiteId, Timestamp, Turn, UserId,
};
use tokio::sync::watch;
use uuid::Uuid;

/// Whether a row is within a history filter.
fn within(at: Timestamp, filter: &HistoryFilter) -> bool {
    let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    time(&filter.since).is_none_or(|since| at >= since)
        && time(&filter.until).is_none_or(|until| at < until)
}

fn older(at: Timestamp, id: Uuid, before: Option<TimeCursor>) -> bool {
    before.is_none_or(|before| (at, id) < (before.at, before.id))
}

/// Whether a run has the filter's scenario and kind of error.
fn matches_run(row: &RunRow, filter: &HistoryFilter) -> bool {
    let kind = row.error.as_ref().map(|error| error.kind.as_str());
    filter.scenario.is_none_or(|scenario| row.scenario.id == scenario)
        && (filter.error_kind.is_none() || kind == filter.error_kind.as_deref())
}

impl State {
    /// Whether a suite has a run with the filter's scenario and kind of error.
    fn has_matching_run(&self, id: SuiteId, filter: &HistoryFilter) -> bool {
        let any = filter.scenario.is_none() && filter.error_kind.is_none();
        any || self.runs.values().any(|run| run.suite_id == id && matches_run(run, filter))
    }

    /// Cancels runs where that applies.
    fn cancel(&mut self, runs: impl IntoIterator<Item = RunId>, now: Timestamp) -> CancelOutcome {
        let applied =
            runs.into_iter().filter_map(|id| self.apply(id, RunTransition::Cancel, now).ok());
        let leased = applied.filter(|run| !run.status.is_final());
        CancelOutcome { leased_runs: leased.map(|run| run.id).collect() }
    }
}

#[async_trait]
impl SuiteStore for InMemoryQueue {
    async fn create_suite(&self, new: NewSuite) -> StoreResult<CreateOutcome> {
        self.write(|state| {
            if let Some(key) = &new.key
                && let Some(replay) = state.find_replay(new.user_id, key, new.at)
            {
                return Ok(replay);
            }
            let starts = new.runs.iter().filter(|run| run.error.is_none());
            let scenarios: Vec<_> = starts.map(|run| run.scenario.id).collect();
            let busy = state.find_unfinished_suite(new.space_id, new.agent.id, &scenarios);
            if let Some(suite_id) = busy.filter(|_| !new.allow_parallel) {
                return Ok(CreateOutcome::AlreadyRunning { suite_id });
            }
            let mine = |run: &&RunRow| run.user_id == new.user_id && !run.status.is_final();
            let unfinished =
                u32::try_from(state.runs.values().filter(mine).count()).unwrap_or(u32::MAX);
            let requested = u32::try_from(scenarios.len()).unwrap_or(u32::MAX);
            if unfinished > 0 && unfinished + requested > new.queue_per_user {
                return Ok(CreateOutcome::QueueFull { unfinished });
            }
            state.insert(&new);
            if let Some(key) = &new.key {
                state.put_key(new.user_id, key, new.id, new.at);
            }
            Ok(CreateOutcome::New)
        })
    }

    async fn find_replay(
        &self,
        user: UserId,
        key: &IdempotencyRecord,
        now: Timestamp,
    ) -> StoreResult<Option<CreateOutcome>> {
        Ok(self.state.lock().find_replay(user, key, now))
    }

    async fn find_unfinished_suite(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> StoreResult<Option<SuiteId>> {
        Ok(self.state.lock().find_unfinished_suite(space, agent, scenarios))
    }

    async fn create_rejudge(&self, new: NewRejudge) -> StoreResult<CreateOutcome> {
        self.write(|state| {
            let (row, at) = (&new.row, new.row.evaluation.created_at);
            if let Some(key) = &new.key
                && let Some(replay) = state.find_replay(row.user_id, key, at)
            {
                return Ok(replay);
            }
            let unfinished = |other: &EvaluationRow| {
                other.run_id == row.run_id && is_unfinished(other.evaluation.status)
            };
            if state.evaluations.values().any(unfinished) {
                return Ok(CreateOutcome::AlreadyRunning { suite_id: row.suite_id });
            }
            if !state.runs.contains_key(&row.run_id) {
                return Ok(CreateOutcome::Gone);
            }
            if let Some(key) = &new.key {
                state.put_key(row.user_id, key, row.suite_id, at);
            }
            state.evaluations.insert(row.evaluation.id, new.row);
            Ok(CreateOutcome::New)
        })
    }

    /// Zero, because this store is for tests of the engine and has no quota.
    async fn stored_bytes(&self, _: SpaceId) -> StoreResult<u64> {
        Ok(0)
    }

    async fn owns(&self, space: SpaceId, id: SuiteId) -> StoreResult<bool> {
        Ok(self.state.lock().suites.get(&id).is_some_and(|(row, _)| row.space_id == space))
    }

    async fn suite(
        &self,
        space: SpaceId,
        id: SuiteId,
    ) -> StoreResult<Option<(SuiteRow, Vec<RunRow>)>> {
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
        before: Option<TimeCursor>,
        limit: u32,
    ) -> StoreResult<Vec<(SuiteRow, Counts)>> {
        let state = self.state.lock();
        let mut rows: Vec<_> = state
            .suites
            .values()
            .map(|(row, _)| row)
            .filter(|row| row.space_id == space && within(row.created_at, filter))
            .filter(|row| filter.agent.is_none_or(|agent| row.agent.id == agent))
            .filter(|row| {
                let status = filter.status.as_deref();
                status.is_none_or(|word| row.state.status().as_str() == word)
            })
            .filter(|row| state.has_matching_run(row.id, filter))
            .filter(|row| older(row.created_at, row.id.0, before))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.truncate(limit as usize);
        Ok(rows.into_iter().map(|row| (row.clone(), state.counts(row.id))).collect())
    }

    async fn unfinished_suites(&self, space: SpaceId) -> StoreResult<Vec<(SuiteRow, Counts)>> {
        let state = self.state.lock();
        let rows = state.suites.values().map(|(row, _)| row);
        let open = rows.filter(|row| row.space_id == space && !row.state.status().is_final());
        Ok(open.map(|row| (row.clone(), state.counts(row.id))).collect())
    }

    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<TimeCursor>,
        limit: u32,
    ) -> StoreResult<Vec<RunRow>> {
        let state = self.state.lock();
        let mut rows: Vec<_> = state
            .runs
            .values()
            .filter(|row| row.space_id == space && within(row.created_at, filter))
            .filter(|row| filter.agent.is_none_or(|agent| row.agent.id == agent))
            .filter(|row| matches_run(row, filter))
            .filter(|row| filter.status.as_deref().is_none_or(|word| row.status.as_str() == word))
            .filter(|row| older(row.created_at, row.id.0, before))
            .cloned()
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.truncate(limit as usize);
        Ok(rows)
    }

    async fn run(&self, space: SpaceId, id: RunId) -> StoreResult<Option<RunRow>> {
        Ok(self.state.lock().runs.get(&id).filter(|run| run.space_id == space).cloned())
    }

    async fn transcript(&self, run: RunId) -> StoreResult<Transcript> {
        Ok(self.state.lock().turns.get(&run).cloned().unwrap_or_default())
    }

    async fn evaluations(&self, run: RunId) -> StoreResult<Vec<EvaluationRow>> {
        let state = self.state.lock();
        let mut rows: Vec<_> =
            state.evaluations.values().filter(|row| row.run_id == run).cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.evaluation.created_at, row.evaluation.id)));
        Ok(rows)
    }

    async fn mean_run_duration_ms(
        &self,
        space: SpaceId,
        scenarios: &[ScenarioId],
    ) -> StoreResult<Option<u64>> {
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
    ) -> StoreResult<Option<CancelOutcome>> {
        self.write(|state| {
            let Some((suite, _)) = state.suites.get_mut(&id) else { return Ok(None) };
            if suite.space_id != space
                || suite.state.transition(SuiteTransition::Cancel, now).is_err()
            {
                return Ok(None);
            }
            let mut runs: Vec<_> = state.runs_of(id).map(|run| (run.position, run.id)).collect();
            runs.sort_unstable();
            Ok(Some(state.cancel(runs.into_iter().map(|(_, id)| id), now)))
        })
    }

    async fn cancel_run(
        &self,
        space: SpaceId,
        id: RunId,
        now: Timestamp,
    ) -> StoreResult<Option<CancelOutcome>> {
        self.write(|state| {
            let run = state.runs.get(&id).filter(|run| run.space_id == space);
            if run.is_none_or(|run| run.status.is_final()) {
                return Ok(None);
            }
            Ok(Some(state.cancel([id], now)))
        })
    }

    async fn events_after(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> StoreResult<Vec<(i64, EventRow, Option<Turn>)>> {
        let state = self.state.lock();
        let events = state.events.get(&suite).filter(|_| !state.pruned.contains(&suite));
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

    fn watch(&self, suite: SuiteId) -> watch::Receiver<LatestEvent> {
        self.event_notifier.watch(suite)
    }
}
