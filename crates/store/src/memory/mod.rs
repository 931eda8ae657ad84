//! Suites and the queue in memory, for engine tests on paused time. The store
//! shares all decisions ([`transition`](crate::transition),
//! [`schedule`](crate::schedule)) with the databases.

mod queue;
mod retention;
mod revisions;
mod spending;
mod state;
mod suites;

pub use revisions::{InMemoryRevisions, ProfileDocument, RevisionSource};

use crate::StoreResult;
use crate::commit_effects::CommitEffects;
use crate::event_notifier::EventNotifier;
use crate::rows::{CallDone, Intent};
use domain::RunId;
use parking_lot::Mutex;
use state::State;
use std::sync::Arc;

/// A provider call of a run, and its result once it completed.
pub type StoredCall = (RunId, Intent, Option<CallDone>);

pub struct InMemoryQueue {
    state: Mutex<State>,
    revisions: Arc<dyn RevisionSource>,
    event_notifier: EventNotifier,
}

impl InMemoryQueue {
    #[must_use]
    pub fn new(revisions: Arc<dyn RevisionSource>) -> Self {
        Self { state: Mutex::default(), revisions, event_notifier: EventNotifier::default() }
    }

    /// All provider calls in the order of their intents, for comparison with the
    /// journal of a mock provider.
    #[must_use]
    pub fn calls(&self) -> Vec<StoredCall> {
        self.state.lock().calls.clone()
    }

    /// Runs a change and publishes its effects, unless it fails.
    fn write<T>(&self, change: impl FnOnce(&mut State) -> StoreResult<T>) -> StoreResult<T> {
        let mut state = self.state.lock();
        state.effects = CommitEffects::default();
        let result = change(&mut state);
        let effects = std::mem::take(&mut state.effects);
        drop(state);
        if result.is_ok() {
            effects.publish(&self.event_notifier);
        }
        result
    }
}

#[cfg(test)]
mod contract_tests {
    use super::{InMemoryQueue, ProfileDocument, RevisionSource};
    use crate::contract::queue::QueueFixture;
    use domain::{AgentId, ProfileId, ScenarioId};
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// The same document for every agent, scenario and profile.
    struct AnyRevision;

    impl RevisionSource for AnyRevision {
        fn agent(&self, _: AgentId, _: u32) -> Option<Value> {
            Some(json!({"name": "agent"}))
        }
        fn scenario(&self, _: ScenarioId, _: u32) -> Option<Value> {
            Some(json!({"name": "scenario"}))
        }
        fn profile(&self, _: ProfileId, _: u32) -> Option<ProfileDocument> {
            Some((json!({"name": "profile"}), Some(vec![1])))
        }
    }

    async fn open() -> QueueFixture {
        QueueFixture::new(InMemoryQueue::new(Arc::new(AnyRevision)), ())
    }

    crate::queue_contract!(open);
}
