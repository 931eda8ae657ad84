//! The rows of the in-memory store, and how they change.

use super::StoredCall;
use crate::commit_effects::CommitEffects;
use crate::queue::{Outage, OutageKey};
use crate::rows::{EvaluationRow, EventRow, ModelSnapshot, RunRow, SuiteRow, Transcript};
use crate::schedule::{NextRun, SuiteLoad};
use crate::schedule::{RunLoad, Schedule};
use crate::spending::Spent;
use crate::suites::{CreateOutcome, IDEMPOTENCY_KEY_TTL, IdempotencyRecord, NewSuite};
use crate::transition::{RunTransition, SuiteTransition};
use crate::{StoreError, StoreResult};
use domain::{
    AgentId, Counts, EvaluationId, NanoUsd, RunId, RunStatus, ScenarioId, SpaceId, SuiteId,
    Timestamp, UserId,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

type Keys = HashMap<(UserId, String, String), (IdempotencyRecord, SuiteId, Timestamp)>;

#[derive(Default)]
pub(super) struct State {
    pub(super) suites: BTreeMap<SuiteId, (SuiteRow, ModelSnapshot)>,
    pub(super) runs: BTreeMap<RunId, RunRow>,
    pub(super) turns: HashMap<RunId, Transcript>,
    pub(super) calls: Vec<StoredCall>,
    /// The ids of the calls of rejudges.
    pub(super) rejudge_calls: HashSet<Uuid>,
    /// By user and day.
    pub(super) daily: HashMap<(UserId, i64), Spent>,
    pub(super) daily_budgets: HashMap<UserId, NanoUsd>,
    pub(super) evaluations: BTreeMap<EvaluationId, EvaluationRow>,
    pub(super) events: HashMap<SuiteId, Vec<EventRow>>,
    pub(super) keys: Keys,
    pub(super) outages: HashMap<OutageKey, Outage>,
    /// Suites with deleted events: readers get none of them.
    pub(super) pruned: HashSet<SuiteId>,
    /// Effects of the current change.
    pub(super) effects: CommitEffects,
}

impl State {
    /// Applies a transition to a run, stores its events, and finishes the suite
    /// with its last run.
    pub(super) fn apply(
        &mut self,
        id: RunId,
        transition: RunTransition,
        now: Timestamp,
    ) -> StoreResult<RunRow> {
        let row = self.runs.get_mut(&id).ok_or(StoreError::LeaseLost)?;
        let mut events = row.transition(transition, now)?;
        let row = row.clone();
        if row.status.is_final() {
            let evaluations = self.evaluations.values_mut();
            for first in evaluations.filter(|of| of.run_id == id && of.evaluation.is_first) {
                first.end_with_run(&row, now);
            }
            events.extend(self.transition_suite(
                row.suite_id,
                SuiteTransition::Finish { counts: self.counts(row.suite_id) },
                now,
            ));
        }
        if let Some((suite, _)) = self.suites.get_mut(&row.suite_id) {
            suite.seq += i64::try_from(events.len()).unwrap_or(0);
            self.effects.add_events(suite.id, suite.seq, events.clone(), Vec::new());
            self.events.entry(suite.id).or_default().append(&mut events);
        }
        Ok(row)
    }

    /// Applies a transition to a suite where it applies.
    pub(super) fn transition_suite(
        &mut self,
        id: SuiteId,
        transition: SuiteTransition,
        now: Timestamp,
    ) -> Option<EventRow> {
        let (suite, _) = self.suites.get_mut(&id)?;
        suite.state.transition(transition, now).ok().flatten()
    }

    pub(super) fn runs_of(&self, suite: SuiteId) -> impl Iterator<Item = &RunRow> {
        self.runs.values().filter(move |run| run.suite_id == suite)
    }

    pub(super) fn schedule(&self) -> Schedule {
        let open = self.suites.values().filter(|(suite, _)| {
            !suite.state.status().is_final() && suite.state.cancel_requested_at().is_none()
        });
        let load = |(suite, model_snapshot): &(SuiteRow, ModelSnapshot)| {
            let mut load = SuiteLoad::of(suite, Some(model_snapshot.agent.clone()));
            self.runs_of(suite.id).for_each(|run| load.add(RunLoad::of(run)));
            load
        };
        open.map(load).collect()
    }

    /// Unfinished runs with a cancel request and without a lease: no worker
    /// claims them.
    pub(super) fn cancelled_orphans(&self) -> Vec<RunId> {
        let cancelled = |run: &&RunRow| {
            let suite = self.suites.get(&run.suite_id);
            run.cancel_requested_at.is_some()
                || suite.is_some_and(|(suite, _)| suite.state.cancel_requested_at().is_some())
        };
        let unleased =
            self.runs.values().filter(|run| !run.status.is_final() && run.lease_owner.is_none());
        unleased.filter(cancelled).map(|run| run.id).collect()
    }

    pub(super) fn candidate(&self, next: NextRun) -> Option<RunId> {
        let (suite, status) = match next {
            NextRun::Orphaned(suite) => (suite, RunStatus::Running),
            NextRun::Pending(suite) => (suite, RunStatus::Pending),
        };
        let free =
            self.runs_of(suite).filter(|run| run.status == status && run.lease_owner.is_none());
        free.min_by_key(|run| run.position).map(|run| run.id)
    }

    pub(super) fn find_replay(
        &self,
        user: UserId,
        key: &IdempotencyRecord,
        now: Timestamp,
    ) -> Option<CreateOutcome> {
        let (known, suite_id, at) = self.keys.get(&(user, key.path.clone(), key.key.clone()))?;
        if now.since(*at) >= IDEMPOTENCY_KEY_TTL {
            return None;
        }
        Some(if known.request == key.request {
            CreateOutcome::Replayed { suite_id: *suite_id, response: known.response.clone() }
        } else {
            CreateOutcome::KeyReused { suite_id: *suite_id }
        })
    }

    pub(super) fn put_key(
        &mut self,
        user: UserId,
        key: &IdempotencyRecord,
        suite: SuiteId,
        at: Timestamp,
    ) {
        self.keys.insert((user, key.path.clone(), key.key.clone()), (key.clone(), suite, at));
    }

    pub(super) fn find_unfinished_suite(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> Option<SuiteId> {
        let mut unfinished = self.runs.values().filter(|run| !run.status.is_final());
        unfinished
            .find(|run| {
                run.space_id == space
                    && run.agent.id == agent
                    && scenarios.contains(&run.scenario.id)
            })
            .map(|run| run.suite_id)
    }

    /// Suites that finished by then, in that order.
    pub(super) fn finished_by(&self, before: Timestamp) -> Vec<SuiteId> {
        let rows = self.suites.values().map(|(row, _)| row);
        let mut finished: Vec<_> = rows
            .filter_map(|row| Some((row.state.finished_at().filter(|at| *at <= before)?, row.id)))
            .collect();
        finished.sort_unstable();
        finished.into_iter().map(|(_, id)| id).collect()
    }

    pub(super) fn counts(&self, suite: SuiteId) -> Counts {
        Counts::from_statuses(self.runs_of(suite).map(|run| run.status))
    }

    pub(super) fn insert(&mut self, new: &NewSuite) {
        let rows = new.rows();
        self.effects.add_completed(new.id, &rows.completed);
        self.suites.insert(new.id, (rows.suite, new.model_snapshot.clone()));
        for mut run in rows.runs {
            let source = run.source_run_id.and_then(|source| self.runs.get(&source));
            run.source_run_id = source.map(|source| source.id);
            if let Some(source) = source {
                run.copy_conversation(source);
                let copied = self.turns.get(&source.id).cloned().unwrap_or_default();
                self.turns.insert(run.id, copied);
            }
            self.runs.insert(run.id, run);
        }
    }
}
