//! Suites and the queue in memory: the same rules ([`transition`], [`pick`])
//! over maps. For engine tests on paused time. What is kept, and how it
//! changes; the traits over it stand in `queue` and `suites`.

mod queue;
mod suites;

use crate::store::ended::Ended;
use crate::store::hub::Hub;
use crate::store::pick::{SuiteLoad, Take};
use crate::store::queue::Reaped;
use crate::store::rows::{
    CallDone, EvaluationRow, EventRow, Frozen, Intent, RunRow, SuiteRow, Transcript,
};
use crate::store::suites::{CancelOutcome, Created, KEPT_KEYS, NewKey, NewSuite};
use crate::store::transition::{Transition, transition};
use crate::store::{StoreError, Stored};
use app::domain::{
    AgentId, Counts, EvaluationId, EvaluationStatus, Finished, RunId, RunStatus, ScenarioId,
    SpaceId, SuiteId, SuiteStatus, Timestamp, UserId, WaitingOn,
};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Where the documents of revisions come from.
pub trait Documents: Send + Sync + 'static {
    /// An agent's revision.
    fn agent(&self, id: AgentId, revision: u32) -> Option<Value>;
    /// A scenario's revision.
    fn scenario(&self, id: ScenarioId, revision: u32) -> Option<Value>;
}

/// A call as it is stored: its run, its intent and what became of it.
pub type StoredCall = (RunId, Intent, Option<CallDone>);

type Keys = HashMap<(UserId, String, String), (NewKey, SuiteId, Timestamp)>;

#[derive(Default)]
struct State {
    suites: BTreeMap<SuiteId, (SuiteRow, Frozen)>,
    runs: BTreeMap<RunId, RunRow>,
    turns: HashMap<RunId, Transcript>,
    calls: Vec<StoredCall>,
    evaluations: BTreeMap<EvaluationId, EvaluationRow>,
    events: HashMap<SuiteId, Vec<EventRow>>,
    keys: Keys,
    /// Suites whose events are told no more.
    untold: HashSet<SuiteId>,
}

/// Suites and the queue in memory.
pub struct MemoryWork {
    state: Mutex<State>,
    documents: Arc<dyn Documents>,
    hub: Hub,
}

impl State {
    /// Applies a transition with its events, and ends the suite with its last run.
    fn apply(&mut self, id: RunId, what: Transition, now: Timestamp) -> Stored<RunRow> {
        let row = self.runs.get_mut(&id).ok_or(StoreError::LeaseLost)?;
        let events = transition(row, what, now).map_err(|_| StoreError::LeaseLost)?;
        let row = row.clone();
        self.append(row.suite_id, events, now);
        Ok(row)
    }

    fn append(&mut self, suite: SuiteId, mut events: Vec<EventRow>, now: Timestamp) {
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

    fn loads(&self) -> Vec<SuiteLoad> {
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
    fn to_stop_and_free(&self) -> Vec<RunId> {
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

    fn candidate(&self, take: Take) -> Option<RunId> {
        let (suite, status) = match take {
            Take::Orphan(suite) => (suite, RunStatus::Running),
            Take::Pending(suite) => (suite, RunStatus::Pending),
        };
        let free = self.runs.values().filter(|run| {
            run.suite_id == suite && run.status == status && run.lease_owner.is_none()
        });
        free.min_by_key(|run| run.position).map(|run| run.id)
    }

    fn answered(&self, user: UserId, key: &NewKey, now: Timestamp) -> Option<Created> {
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

    fn keep(&mut self, user: UserId, key: &NewKey, suite: SuiteId, at: Timestamp) {
        self.keys.insert((user, key.path.clone(), key.key.clone()), (key.clone(), suite, at));
    }

    fn unfinished_over(
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
    fn ended(&self, before: Timestamp) -> Vec<SuiteId> {
        let rows = self.suites.values().map(|(row, _)| row);
        let mut old: Vec<_> = rows
            .filter_map(|row| Some((row.finished_at.filter(|at| *at <= before)?, row.id)))
            .collect();
        old.sort_unstable();
        old.into_iter().map(|(_, id)| id).collect()
    }

    fn counts(&self, suite: SuiteId) -> Counts {
        let runs = self.runs.values().filter(|run| run.suite_id == suite);
        Counts::from_statuses(runs.map(|run| run.status))
    }

    fn insert(&mut self, new: &NewSuite) {
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

impl MemoryWork {
    /// An empty store over these documents.
    #[must_use]
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self { state: Mutex::default(), documents, hub: Hub::default() }
    }

    /// Every call that was decided, in order: for tests that lay it beside a
    /// provider's journal.
    #[must_use]
    pub fn calls(&self) -> Vec<StoredCall> {
        self.state.lock().calls.clone()
    }

    /// Forgets keys that were used by then; answers how many.
    pub(super) fn forget_keys(&self, before: Timestamp, most: usize) -> usize {
        let mut state = self.state.lock();
        let old = state.keys.iter().filter(|(_, (_, _, at))| *at <= before);
        let old: Vec<_> = old.map(|(key, _)| key.clone()).take(most).collect();
        for key in &old {
            state.keys.remove(key);
        }
        old.len()
    }

    /// Forgets events of suites that ended by then; how many, and whether
    /// there may be more.
    pub(super) fn forget_events(&self, before: Timestamp, most: usize) -> (usize, bool) {
        let mut state = self.state.lock();
        let mut left = most;
        for suite in state.ended(before) {
            state.untold.insert(suite);
            let Some(events) = state.events.get_mut(&suite) else { continue };
            let gone = events.len().min(left);
            events.drain(..gone);
            left -= gone;
            if left == 0 {
                return (most, true);
            }
        }
        (most - left, false)
    }

    /// Forgets suites that ended by then, with everything in them; not those in
    /// which a judging is asked for or under way.
    pub(super) fn forget_suites(&self, before: Timestamp) -> usize {
        let mut state = self.state.lock();
        let mut old = state.ended(before);
        let judged = state.evaluations.values().filter(|row| !row.view.is_first);
        let judged: HashSet<SuiteId> =
            judged.filter(|row| is_open(row.view.status)).map(|row| row.suite_id).collect();
        old.retain(|suite| !judged.contains(suite));
        for suite in &old {
            let runs = state.runs.values().filter(|run| run.suite_id == *suite);
            let runs: HashSet<RunId> = runs.map(|run| run.id).collect();
            state.runs.retain(|id, _| !runs.contains(id));
            state.turns.retain(|id, _| !runs.contains(id));
            state.calls.retain(|call| !runs.contains(&call.0));
            state.evaluations.retain(|_, row| !runs.contains(&row.run_id));
            state.events.remove(suite);
            state.suites.remove(suite);
        }
        old.len()
    }

    fn published(&self, suite: SuiteId) {
        let seq = self.state.lock().suites.get(&suite).map_or(0, |(row, _)| row.seq);
        self.hub.publish(suite, seq);
    }

    fn change_evaluation(
        &self,
        id: EvaluationId,
        attempt: u32,
        change: impl FnOnce(&mut EvaluationRow),
    ) -> Stored<()> {
        let mut state = self.state.lock();
        let row = state.evaluations.get_mut(&id).ok_or(StoreError::LeaseLost)?;
        if !row.is_held(attempt) {
            return Err(StoreError::LeaseLost);
        }
        change(row);
        Ok(())
    }

    fn recover(
        &self,
        lapsed: impl Fn(Option<Timestamp>) -> bool,
        late: bool,
        now: Timestamp,
    ) -> Reaped {
        let mut reaped = Reaped::default();
        let mut state = self.state.lock();
        let held: Vec<RunId> = state
            .runs
            .values()
            .filter(|run| run.lease_owner.is_some() && lapsed(run.lease_until))
            .map(|run| run.id)
            .collect();
        let left: Vec<RunId> = state.to_stop_and_free();
        let all: Vec<RunId> = if late { state.runs.keys().copied().collect() } else { Vec::new() };
        let work = held.into_iter().map(|id| (id, Transition::Recover));
        let work = work.chain(left.into_iter().map(|id| (id, Transition::Cancel)));
        for (id, what) in work.chain(all.into_iter().map(|id| (id, Transition::Expire))) {
            match state.apply(id, what, now) {
                Ok(row) if row.status.is_final() => reaped.ended += 1,
                Ok(_) => reaped.recovered += 1,
                Err(_) => {}
            }
        }
        for row in state.evaluations.values_mut() {
            let held = row.lease_owner.is_some() && !row.view.is_first;
            let late = row.deadline_at.is_some_and(|deadline| deadline <= now);
            if !held || !(lapsed(row.lease_until) || late) {
                continue;
            }
            row.recover(now);
        }
        let suites: Vec<SuiteId> = state.suites.keys().copied().collect();
        drop(state);
        for suite in suites {
            self.published(suite);
        }
        reaped
    }

    fn cancel(&self, ids: Vec<RunId>, now: Timestamp) -> CancelOutcome {
        let mut state = self.state.lock();
        let mut held = Vec::new();
        for id in ids {
            if let Ok(row) = state.apply(id, Transition::Cancel, now)
                && !row.status.is_final()
            {
                held.push(id);
            }
        }
        CancelOutcome { held }
    }
}

fn is_open(status: EvaluationStatus) -> bool {
    matches!(status, EvaluationStatus::Pending | EvaluationStatus::Running)
}
