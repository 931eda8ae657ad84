//! The documents of agents, scenarios and test profiles that runs refer to.

use domain::{AgentId, ProfileId, ScenarioId};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;

/// The document of a test profile, and its encrypted secrets.
pub type ProfileDocument = (Value, Option<Vec<u8>>);

pub trait RevisionSource: Send + Sync + 'static {
    fn agent(&self, id: AgentId, revision: u32) -> Option<Value>;
    fn scenario(&self, id: ScenarioId, revision: u32) -> Option<Value>;
    fn profile(&self, id: ProfileId, revision: u32) -> Option<ProfileDocument>;
}

/// One document per agent, scenario and profile, the same for all revisions.
#[derive(Debug, Default)]
pub struct InMemoryRevisions {
    agents: Mutex<HashMap<AgentId, Value>>,
    scenarios: Mutex<HashMap<ScenarioId, Value>>,
    profiles: Mutex<HashMap<ProfileId, ProfileDocument>>,
}

impl InMemoryRevisions {
    pub fn put_agent(&self, id: AgentId, document: Value) {
        self.agents.lock().insert(id, document);
    }

    pub fn put_scenario(&self, id: ScenarioId, document: Value) {
        self.scenarios.lock().insert(id, document);
    }

    pub fn put_profile(&self, id: ProfileId, document: Value, secrets: Option<Vec<u8>>) {
        self.profiles.lock().insert(id, (document, secrets));
    }
}

impl RevisionSource for InMemoryRevisions {
    fn agent(&self, id: AgentId, _: u32) -> Option<Value> {
        self.agents.lock().get(&id).cloned()
    }
    fn scenario(&self, id: ScenarioId, _: u32) -> Option<Value> {
        self.scenarios.lock().get(&id).cloned()
    }
    fn profile(&self, id: ProfileId, _: u32) -> Option<ProfileDocument> {
        self.profiles.lock().get(&id).cloned()
    }
}
