//! Agents in memory, and the documents of revisions for the engine.

use super::work::Documents;
use super::{Kept, MemoryStore};
use crate::store::catalog::{After, AgentStore};
use crate::store::{StoreError, Stored};
use app::domain::{Agent, AgentId, AgentSpec, ScenarioId, SpaceId, Timestamp};
use async_trait::async_trait;
use serde_json::Value;

#[async_trait]
impl AgentStore for MemoryStore {
    async fn create_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> Stored<Agent> {
        let agents = &mut self.state.lock().catalog.agents;
        if agents.contains_key(&id) {
            return Err(StoreError::Duplicate("agent"));
        }
        let agent = Agent { id, revision: 1, updated_at: now, spec: spec.clone() };
        agents.insert(id, Kept::new(Some(space), agent.clone()));
        Ok(agent)
    }

    async fn update_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        based_on: u32,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> Stored<Option<Agent>> {
        let agents = &mut self.state.lock().catalog.agents;
        let Some(kept) = agents.get_mut(&id).filter(|kept| kept.space == Some(space)) else {
            return Ok(None);
        };
        let Some(newest) = kept.newest() else { return Ok(None) };
        if newest.revision != based_on {
            return Err(StoreError::Stale);
        }
        let saved = Agent { id, revision: based_on + 1, updated_at: now, spec: spec.clone() };
        kept.revisions.push(saved.clone());
        Ok(Some(saved))
    }

    async fn agent(&self, space: SpaceId, id: AgentId) -> Stored<Option<Agent>> {
        let state = self.state.lock();
        let kept = state.catalog.agents.get(&id).filter(|kept| kept.space == Some(space));
        Ok(kept.and_then(Kept::newest).cloned())
    }

    async fn agents(&self, space: SpaceId, after: Option<After>, limit: u32) -> Stored<Vec<Agent>> {
        let state = self.state.lock();
        let own = state.catalog.agents.values().filter(|kept| kept.space == Some(space));
        let mut agents: Vec<_> = own.filter_map(Kept::newest).collect();
        agents.sort_by(|a, b| (&a.spec.name, a.id).cmp(&(&b.spec.name, b.id)));
        let beyond = |agent: &&Agent| {
            after
                .as_ref()
                .is_none_or(|after| (&agent.spec.name, agent.id.0) > (&after.key, after.id))
        };
        Ok(agents.into_iter().filter(beyond).take(limit as usize).cloned().collect())
    }

    async fn agent_revisions(&self, space: SpaceId, id: AgentId) -> Stored<Vec<Agent>> {
        let state = self.state.lock();
        let kept = state.catalog.agents.get(&id).filter(|kept| kept.space == Some(space));
        Ok(kept.map_or_else(Vec::new, |kept| kept.revisions.iter().rev().cloned().collect()))
    }

    async fn count_agents(&self, space: SpaceId) -> Stored<u32> {
        let state = self.state.lock();
        let own = state.catalog.agents.values().filter(|kept| kept.space == Some(space));
        Ok(super::count(own.filter_map(Kept::newest).count()))
    }

    async fn delete_agent(&self, space: SpaceId, id: AgentId, _now: Timestamp) -> Stored<bool> {
        let agents = &mut self.state.lock().catalog.agents;
        let kept = agents.get_mut(&id).filter(|kept| kept.space == Some(space) && !kept.deleted);
        Ok(kept.map(|kept| kept.deleted = true).is_some())
    }
}

impl Documents for MemoryStore {
    fn agent(&self, id: AgentId, revision: u32) -> Option<Value> {
        let state = self.state.lock();
        let kept = state.catalog.agents.get(&id)?;
        let found = kept.revisions.iter().find(|agent| agent.revision == revision)?;
        serde_json::to_value(&found.spec).ok()
    }

    fn scenario(&self, id: ScenarioId, revision: u32) -> Option<Value> {
        let state = self.state.lock();
        let kept = state.catalog.scenarios.get(&id)?;
        let found = kept.revisions.iter().find(|scenario| scenario.revision == revision)?;
        serde_json::to_value(&found.spec).ok()
    }
}
