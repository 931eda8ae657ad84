//! Suites and the queue in memory: the same rules ([`transition`], [`pick`])
//! over maps. For engine tests on paused time. What is kept stands in `state`,
//! the traits over it in `queue` and `suites`.
//!
//! [`transition`]: crate::transition::transition
//! [`pick`]: crate::pick::pick

mod clean;
mod documents;
mod queue;
mod state;
mod suites;

pub use documents::{Documents, Papers};

use crate::hub::Hub;
use crate::queue::Reaped;
use crate::rows::{CallDone, EvaluationRow, Intent};
use crate::suites::CancelOutcome;
use crate::transition::Transition;
use crate::{StoreError, Stored};
use domain::{EvaluationId, EvaluationStatus, RunId, SuiteId, Timestamp};
use parking_lot::Mutex;
use state::State;
use std::collections::HashSet;
use std::sync::Arc;

/// A call as it is stored: its run, its intent and what became of it.
pub type StoredCall = (RunId, Intent, Option<CallDone>);

/// Suites and the queue in memory.
pub struct MemoryWork {
    state: Mutex<State>,
    documents: Arc<dyn Documents>,
    hub: Hub,
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

#[cfg(test)]
mod contract_tests {
    use super::MemoryWork;
    use crate::contract::work::QueueFixture;
    use domain::{AgentId, ScenarioId};
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// The same document for every revision.
    struct AnyRevision;

    impl super::Documents for AnyRevision {
        fn agent(&self, _: AgentId, _: u32) -> Option<Value> {
            Some(json!({"name": "agent"}))
        }
        fn scenario(&self, _: ScenarioId, _: u32) -> Option<Value> {
            Some(json!({"name": "scenario"}))
        }
    }

    async fn open() -> QueueFixture {
        QueueFixture::new(MemoryWork::new(Arc::new(AnyRevision)), ())
    }

    crate::queue_contract!(open);
}
