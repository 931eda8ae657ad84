//! What the in-memory store keeps, and how it changes.

use super::StoredCall;
use crate::ended::Ended;
use crate::pick::{SuiteLoad, Take};
use crate::rows::{EvaluationRow, EventRow, Frozen, RunRow, SuiteRow, Transcript};
use crate::suites::{Created, KEPT_KEYS, NewKey, NewSuite};
use crate::transition::{Transition, transition};
use crate::{StoreError, Stored};
use domain::{
    AgentId, Counts, EvaluationId, Finished, RunId, RunStatus, ScenarioId, SpaceId, SuiteId,
    SuiteStatus, Timestamp, UserId, WaitingOn,
};
use std::collections::{BTreeMap, HashMap, HashSet};

type Keys = HashMap<(UserId, String, String), (NewKey, SuiteId, Timestamp)>;

#[derive(Default)]
pub(super) struct State {
    pub(super) suites: BTreeMap<SuiteId, (SuiteRow, Frozen)>,
    pub(super) runs: BTreeMap<RunId, RunRow>,
    pub(super) turns: HashMap<RunId, Transcript>,
    pub(super) calls: Vec<StoredCall>,
    pub(super) evaluations: BTreeMap<EvaluationId, EvaluationRow>,
    pub(super) events: HashMap<SuiteId, Vec<EventRow>>,
    pub(super) keys: Keys,
    /// Suites whose events are told no more.
    pub(super) untold: HashSet<SuiteId>,
}

impl State {
    /// Applies a transition with its events, and ends the suite with its last run.
    pub(super) fn apply(&mut self, id: RunId, what: Transition, now: Timestamp) -> Stored<RunRow> {
        let row = self.runs.get_mut(&id).ok_or(StoreError::LeaseLost)?;
        let events = transition(row, what, now).map_err(|_| StoreError::LeaseLost)?;
        let row = row.clone();
        self.append(row.suite_id, events, now);
        Ok(row)
    }

    pub(super) fn append(&mut self, suite: SuiteId, mut events: Vec<EventRow>, now: Timestamp) {
        let statuses = self.runs.values().filter(|run| run.suite_id == suite).map(|run| run.status);
        let counts = Counts::from_statuses(statuses);
        let Some((row, _)) = self.suites.get_mut(&suite) else { return };
        let ended = events.iter().any(|e| matches!(e, EventRow::Run(run) if run.status.is_final()));
        if ended && counts.done() == counts.total() && !row.status.is_final() {
            let cancelled = row.cancel_requested_at.is_some();
            row.status = if cancelled { SuiteStatus::Cancelled } else { SuiteStatus::Finished };
            row.finished_at = Some(now);
            events.push(EventRow::Finished(Finished { status: row.status, counts }));
        }
        Ended::of(suite, &events).tell();
        row.seq += i64::try_from(events.len()).unwrap_or(0);
        self.events.entry(suite).or_default().append(&mut events);
    }

    pub(super) fn loads(&self) -> Vec<SuiteLoad> {
        let open = |suite: &&(SuiteRow, Frozen)| {
            !suite.0.status.is_final() && suite.0.cancel_requested_at.is_none()
        };
        let count = |suite: SuiteId, wanted: &dyn Fn(&RunRow) -> bool| {
            let runs = self.runs.values().filter(|run| run.suite_id == suite);
            u32::try_from(runs.filter(|run| wanted(run)).count()).unwrap_or(u32::MAX)
        };
        let running = |run: &RunRow| run.status == RunStatus::Running;
        self.suites
            .values()
            .filter(open)
            .map(|(suite, frozen)| SuiteLoad {
                suite_id: suite.id,
                user_id: suite.user_id,
                agent: Some(frozen.agent.clone()),
                created_at: suite.created_at,
                concurrency: suite.concurrency,
                pending: count(suite.id, &|run| run.status == RunStatus::Pending),
                begun: count(suite.id, &running),
                orphaned: count(suite.id, &|run| running(run) && run.lease_owner.is_none()),
                active: count(suite.id, &|run| {
                    running(run) && run.lease_owner.is_some() && !run.parked
                }),
                wanting: count(suite.id, &|run| {
                    let slot = run.waiting.is_some_and(|waiting| waiting.what == WaitingOn::Slot);
                    running(run) && run.lease_owner.is_some() && run.parked && slot
                }),
            })
            .collect()
    }

    /// Unfinished runs that are to stop and that nobody holds.
    pub(super) fn to_stop_and_free(&self) -> Vec<RunId> {
        let stops = |run: &&RunRow| {
            let suite = self.suites.get(&run.suite_id);
            run.cancel_requested_at.is_some()
                || suite.is_some_and(|(suite, _)| suite.cancel_requested_at.is_some())
        };
        let free = self
            .runs
            .values()
            .filter(|run| !run.status.is_final() && run.lease_owner.is_none() && stops(run));
        free.map(|run| run.id).collect()
    }

    pub(super) fn candidate(&self, take: Take) -> Option<RunId> {
        let (suite, status) = match take {
            Take::Orphan(suite) => (suite, RunStatus::Running),
            Take::Pending(suite) => (suite, RunStatus::Pending),
        };
        let free = self.runs.values().filter(|run| {
            run.suite_id == suite && run.status == status && run.lease_owner.is_none()
        });
        free.min_by_key(|run| run.position).map(|run| run.id)
    }

    pub(super) fn answered(&self, user: UserId, key: &NewKey, now: Timestamp) -> Option<Created> {
        let (known, suite_id, at) = self.keys.get(&(user, key.path.clone(), key.key.clone()))?;
        if now.since(*at) >= KEPT_KEYS {
            return None;
        }
        Some(if known.request == key.request {
            Created::Replayed { suite_id: *suite_id, response: known.response.clone() }
        } else {
            Created::KeyReused { suite_id: *suite_id }
        })
    }

    pub(super) fn keep(&mut self, user: UserId, key: &NewKey, suite: SuiteId, at: Timestamp) {
        self.keys.insert((user, key.path.clone(), key.key.clone()), (key.clone(), suite, at));
    }

    pub(super) fn unfinished_over(
        &self,
        space: SpaceId,
        agent: AgentId,
        scenarios: &[ScenarioId],
    ) -> Option<SuiteId> {
        let mut open = self.runs.values().filter(|run| !run.status.is_final());
        open.find(|run| {
            run.space_id == space && run.agent.id == agent && scenarios.contains(&run.scenario.id)
        })
        .map(|run| run.suite_id)
    }

    /// Suites that ended by then, oldest end first.
    pub(super) fn ended(&self, before: Timestamp) -> Vec<SuiteId> {
        let rows = self.suites.values().map(|(row, _)| row);
        let mut old: Vec<_> = rows
            .filter_map(|row| Some((row.finished_at.filter(|at| *at <= before)?, row.id)))
            .collect();
        old.sort_unstable();
        old.into_iter().map(|(_, id)| id).collect()
    }

    pub(super) fn counts(&self, suite: SuiteId) -> Counts {
        let runs = self.runs.values().filter(|run| run.suite_id == suite);
        Counts::from_statuses(runs.map(|run| run.status))
    }

    pub(super) fn insert(&mut self, new: &NewSuite) {
        let nothing = new.runs.iter().all(|run| run.error.is_some());
        let row = SuiteRow {
            id: new.id,
            space_id: new.space_id,
            user_id: new.user_id,
            agent: new.agent.clone(),
            status: if nothing { SuiteStatus::Finished } else { SuiteStatus::Pending },
            total: u32::try_from(new.runs.len()).unwrap_or(u32::MAX),
            concurrency: new.concurrency,
            repeats: new.repeats,
            parent_id: new.parent_id,
            note: new.note.clone(),
            seq: 0,
            created_at: new.at,
            started_at: None,
            finished_at: nothing.then_some(new.at),
            cancel_requested_at: None,
        };
        self.suites.insert(new.id, (row, new.frozen.clone()));
        for (position, run) in new.runs.iter().enumerate() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let mut row = RunRow::fresh(new, run, position);
            let source = run.source_run_id.and_then(|source| self.runs.get(&source));
            row.source_run_id = source.map(|source| source.id);
            if let Some(source) = source {
                row.end_reason = source.end_reason;
                (row.user_turns, row.turns) = (source.user_turns, source.turns);
                let copied = self.turns.get(&source.id).cloned().unwrap_or_default();
                self.turns.insert(run.id, copied);
            }
            self.runs.insert(run.id, row);
        }
    }
}
