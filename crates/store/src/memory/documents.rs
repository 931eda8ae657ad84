//! Where the documents of revisions come from.

use domain::{AgentId, ScenarioId};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;

/// Where the documents of revisions come from.
pub trait Documents: Send + Sync + 'static {
    /// An agent's revision.
    fn agent(&self, id: AgentId, revision: u32) -> Option<Value>;
    /// A scenario's revision.
    fn scenario(&self, id: ScenarioId, revision: u32) -> Option<Value>;
}

/// Documents that are put in, one for all revisions of a thing.
#[derive(Debug, Default)]
pub struct Papers {
    agents: Mutex<HashMap<AgentId, Value>>,
    scenarios: Mutex<HashMap<ScenarioId, Value>>,
}

impl Papers {
    /// Puts an agent in.
    pub fn put_agent(&self, id: AgentId, document: Value) {
        self.agents.lock().insert(id, document);
    }

    /// Puts a scenario in.
    pub fn put_scenario(&self, id: ScenarioId, document: Value) {
        self.scenarios.lock().insert(id, document);
    }
}

impl Documents for Papers {
    fn agent(&self, id: AgentId, _: u32) -> Option<Value> {
        self.agents.lock().get(&id).cloned()
    }
    fn scenario(&self, id: ScenarioId, _: u32) -> Option<Value> {
        self.scenarios.lock().get(&id).cloned()
    }
}
