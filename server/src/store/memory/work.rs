//! Suites and the queue in memory: the same rules ([`transition`], [`pick`])
//! over maps. For engine tests on paused time.

use crate::store::census::Census;
use crate::store::ended::{self, Ended};
use crate::store::hub::{Hub, Newest};
use crate::store::pick::{SuiteLoad, Take, pick};
use crate::store::queue::{Claim, Heartbeat, QueueStore, Reaped, Work};
use crate::store::rows::{
    CallDone, EvaluationRow, EventRow, Frozen, Intent, RunRow, SuiteRow, Transcript,
};
use crate::store::suites::{
    Before, CancelOutcome, Created, KEPT_KEYS, NewEvaluation, NewKey, NewSuite, SuiteStore,
};
use crate::store::transition::{Change, LEASE, Lease, Transition, transition};
use crate::store::{StoreError, Stored};
use app::backend::HistoryFilter;
use app::domain::{
    AgentId, Counts, Evaluation, EvaluationId, EvaluationStatus, Finished, RunId, RunStatus,
    ScenarioId, SpaceId, SuiteId, SuiteStatus, Timestamp, Turn, UserId, WaitingOn,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

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

#[async_trait]
impl QueueStore for MemoryWork {
    async fn claim(&self, claim: Claim) -> Stored<Vec<RunRow>> {
        let mut claimed = Vec::new();
        {
            let mut state = self.state.lock();
            while claimed.len() < claim.most as usize {
                let Some(take) = pick(&state.loads(), claim.runs_per_user, &claim.holds) else {
                    break;
                };
                let Some(id) = state.candidate(take) else { break };
                let what =
                    Transition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
                let row = state.apply(id, what, claim.now)?;
                if let Some((suite, _)) = state.suites.get_mut(&row.suite_id)
                    && suite.status == SuiteStatus::Pending
                {
                    suite.status = SuiteStatus::Running;
                    suite.started_at = Some(claim.now);
                }
                claimed.push(row);
            }
        }
        for row in &claimed {
            self.published(row.suite_id);
        }
        Ok(claimed)
    }

    async fn work(&self, run: &RunRow) -> Stored<Work> {
        let state = self.state.lock();
        let own = |row: &&EvaluationRow| row.run_id == run.id && row.view.is_first;
        Ok(Work {
            agent: self.documents.agent(run.agent.id, run.agent.revision),
            scenario: self.documents.scenario(run.scenario.id, run.scenario.revision),
            transcript: state.turns.get(&run.id).cloned().unwrap_or_default(),
            evaluation: state.evaluations.values().find(own).map(|row| row.view.clone()),
        })
    }

    async fn commit(&self, lease: &Lease, change: Change, now: Timestamp) -> Stored<RunRow> {
        let row = {
            let mut state = self.state.lock();
            let first = state.runs.get(&lease.run_id).map_or(0, |run| run.turns);
            let Change { turns, intents, calls_done, evaluation, .. } = change.clone();
            let what = Transition::Commit { attempt: lease.attempt, change: Box::new(change) };
            let row = state.apply(lease.run_id, what, now)?;
            let transcript = state.turns.entry(row.id).or_default();
            transcript
                .extend(turns.into_iter().zip(first..).map(|(turn, index)| Turn { index, ..turn }));
            for done in calls_done {
                if let Some(call) = state.calls.iter_mut().find(|call| call.1.id == done.id) {
                    call.2 = Some(done);
                }
            }
            state.calls.extend(intents.into_iter().map(|intent| (row.id, intent, None)));
            if let Some(view) = evaluation {
                let own = EvaluationRow::of_run(&row, *view);
                state.evaluations.insert(own.view.id, own);
            }
            row
        };
        self.published(row.suite_id);
        Ok(row)
    }

    async fn unpark(&self, lease: &Lease, runs_per_user: u32, now: Timestamp) -> Stored<bool> {
        {
            let state = self.state.lock();
            let row = state.runs.get(&lease.run_id).ok_or(StoreError::LeaseLost)?;
            let mine = state.loads().into_iter().filter(|load| load.user_id == row.user_id);
            if row.parked && mine.map(|load| load.active).sum::<u32>() >= runs_per_user {
                return Ok(false);
            }
        }
        let change = Change { parked: Some(false), waiting: Some(None), ..Change::default() };
        self.commit(lease, change, now).await.map(|_| true)
    }

    async fn hand_back(&self, lease: &Lease, now: Timestamp) -> Stored<()> {
        let what = Transition::HandBack { attempt: lease.attempt };
        let row = self.state.lock().apply(lease.run_id, what, now)?;
        self.published(row.suite_id);
        Ok(())
    }

    async fn claim_evaluations(&self, claim: Claim) -> Stored<Vec<EvaluationRow>> {
        let mut state = self.state.lock();
        let running = |row: &&EvaluationRow| {
            row.view.status == EvaluationStatus::Running && !row.view.is_first
        };
        let mut at_work: HashMap<UserId, u32> = HashMap::new();
        for row in state.evaluations.values().filter(running) {
            *at_work.entry(row.user_id).or_default() += 1;
        }
        let waiting = |row: &&EvaluationRow| {
            row.view.status == EvaluationStatus::Pending && !row.view.is_first
        };
        let mut asked: Vec<_> = state.evaluations.values().filter(waiting).collect();
        asked.sort_by_key(|row| (row.view.created_at, row.view.id));
        // Users take turns: a place counts what is at work for its user.
        let mut places = Vec::new();
        for row in asked {
            let place = at_work.entry(row.user_id).or_default();
            *place += 1;
            if *place <= claim.runs_per_user {
                places.push((*place, row.view.created_at, row.view.id));
            }
        }
        places.sort_unstable();
        let mut claimed = Vec::new();
        for (_, _, id) in places.into_iter().take(claim.most as usize) {
            if let Some(row) = state.evaluations.get_mut(&id) {
                row.claim(claim.owner.clone(), claim.max_wait, claim.now);
                claimed.push(row.clone());
            }
        }
        Ok(claimed)
    }

    async fn commit_evaluation(
        &self,
        id: EvaluationId,
        attempt: u32,
        view: Evaluation,
        now: Timestamp,
    ) -> Stored<()> {
        self.change_evaluation(id, attempt, |row| row.commit(view, now))
    }

    async fn work_of(&self, id: RunId) -> Stored<(RunRow, Work)> {
        let row = self.state.lock().runs.get(&id).cloned().ok_or(StoreError::LeaseLost)?;
        let work = self.work(&row).await?;
        Ok((row, work))
    }

    async fn intend_evaluation(&self, row: &EvaluationRow, call: Uuid, _: Timestamp) -> Stored<()> {
        let intent = Intent { id: call, role: crate::store::rows::Role::Judge, turn: 0 };
        let mut state = self.state.lock();
        if !state.evaluations.get(&row.id()).is_some_and(|known| known.is_held(row.attempt)) {
            return Err(StoreError::LeaseLost);
        }
        state.calls.push((row.run_id, intent, None));
        Ok(())
    }

    async fn hand_back_evaluation(&self, id: EvaluationId, attempt: u32) -> Stored<()> {
        self.change_evaluation(id, attempt, EvaluationRow::hand_back)
    }

    async fn heartbeat(&self, owner: &str, now: Timestamp) -> Stored<Heartbeat> {
        let mut state = self.state.lock();
        let mut beat = Heartbeat::default();
        for run in state.runs.values_mut().filter(|run| run.lease_owner.as_deref() == Some(owner)) {
            run.lease_until = Some(now.plus(LEASE));
            beat.held.push(Lease { run_id: run.id, attempt: run.attempt });
            if run.cancel_requested_at.is_some() {
                beat.cancelled.push(run.id);
            }
        }
        for row in state.evaluations.values_mut() {
            if row.lease_owner.as_deref() == Some(owner) {
                row.lease_until = Some(now.plus(LEASE));
                beat.evaluations.push((row.view.id, row.attempt));
            }
        }
        Ok(beat)
    }

    async fn reap(&self, now: Timestamp) -> Stored<Reaped> {
        Ok(self.recover(|until| until.is_some_and(|until| until < now), true, now))
    }

    async fn take_over(&self, now: Timestamp) -> Stored<Reaped> {
        Ok(self.recover(|_| true, false, now))
    }

    async fn census(&self) -> Stored<Census> {
        let mut census = Census::default();
        for run in self.state.lock().runs.values() {
            let what = run.waiting.map(|waiting| waiting.what);
            census.add(run.status, run.stage, what, run.lease_until, 1);
        }
        Ok(census)
    }
}

fn is_open(status: EvaluationStatus) -> bool {
    matches!(status, EvaluationStatus::Pending | EvaluationStatus::Running)
}

/// Whether a row is within a history filter.
fn within(at: Timestamp, filter: &HistoryFilter) -> bool {
    let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    time(&filter.since).is_none_or(|since| at >= since)
        && time(&filter.until).is_none_or(|until| at < until)
}

fn older(at: Timestamp, id: Uuid, before: Option<Before>) -> bool {
    before.is_none_or(|before| (at, id) < (before.at, before.id))
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
        let kind = |row: &RunRow| row.error.as_ref().map(|error| error.kind.as_str());
        let mut rows: Vec<_> = state
            .runs
            .values()
            .filter(|row| row.space_id == space && within(row.created_at, filter))
            .filter(|row| filter.agent.is_none_or(|agent| row.agent.id == agent))
            .filter(|row| filter.scenario.is_none_or(|scenario| row.scenario.id == scenario))
            .filter(|row| filter.status.as_deref().is_none_or(|word| row.status.as_str() == word))
            .filter(|row| filter.error_kind.is_none() || kind(row) == filter.error_kind.as_deref())
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
