//! The agent and scenario documents that runs refer to.

use domain::{AgentId, ScenarioId};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;

pub trait RevisionSource: Send + Sync + 'static {
    fn agent(&self, id: AgentId, revision: u32) -> Option<Value>;
    fn scenario(&self, id: ScenarioId, revision: u32) -> Option<Value>;
}

/// One document per agent and scenario, the same for all revisions.
#[derive(Debug, Default)]
pub struct InMemoryRevisions {
    agents: Mutex<HashMap<AgentId, Value>>,
    scenarios: Mutex<HashMap<ScenarioId, Value>>,
}

impl InMemoryRevisions {
    pub fn put_agent(&self, id: AgentId, document: Value) {
        self.agents.lock().insert(id, document);
    }

    pub fn put_scenario(&self, id: ScenarioId, document: Value) {
        self.scenarios.lock().insert(id, document);
    }
}

impl RevisionSource for InMemoryRevisions {
    fn agent(&self, id: AgentId, _: u32) -> Option<Value> {
        self.agents.lock().get(&id).cloned()
    }
    fn scenario(&self, id: ScenarioId, _: u32) -> Option<Value> {
        self.scenarios.lock().get(&id).cloned()
    }
}
