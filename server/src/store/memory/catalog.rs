//! Connections, agents and scenarios in memory.

use super::work::Documents;
use super::{Kept, MemoryStore};
use crate::store::catalog::{
    After, AgentStore, ConnectionRow, ConnectionStore, OrderKey, ScenarioStore, says,
};
use crate::store::{StoreError, Stored};
use app::domain::{
    Agent, AgentId, AgentSpec, ConnectionId, ModelChoice, Scenario, ScenarioFilter, ScenarioId,
    ScenarioSpec, SpaceId, Timestamp,
};
use async_trait::async_trait;
use serde_json::Value;

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[async_trait]
impl ConnectionStore for MemoryStore {
    async fn create_connection(&self, row: &ConnectionRow) -> Stored<()> {
        self.state.lock().catalog.connections.insert(row.id, row.clone());
        Ok(())
    }

    async fn update_connection(&self, row: &ConnectionRow) -> Stored<bool> {
        let connections = &mut self.state.lock().catalog.connections;
        match connections.get_mut(&row.id) {
            Some(known) if known.space_id == row.space_id => {
                *known = ConnectionRow { created_at: known.created_at, ..row.clone() };
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn connections(&self, space: SpaceId) -> Stored<Vec<ConnectionRow>> {
        let state = self.state.lock();
        let own = state.catalog.connections.values().filter(|row| row.space_id == space);
        let mut rows: Vec<_> = own.cloned().collect();
        rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(rows)
    }

    async fn connection(&self, space: SpaceId, id: ConnectionId) -> Stored<Option<ConnectionRow>> {
        let state = self.state.lock();
        Ok(state.catalog.connections.get(&id).filter(|row| row.space_id == space).cloned())
    }

    async fn connection_for_engine(&self, id: ConnectionId) -> Stored<Option<ConnectionRow>> {
        Ok(self.state.lock().catalog.connections.get(&id).cloned())
    }

    async fn delete_connection(&self, space: SpaceId, id: ConnectionId) -> Stored<bool> {
        let held_by_runs = self.held_by_runs(id);
        let mut state = self.state.lock();
        if state.catalog.connections.get(&id).is_none_or(|row| row.space_id != space) {
            return Ok(false);
        }
        let mut agents = state.catalog.agents.values().filter_map(Kept::newest);
        if let Some(agent) = agents.find(|agent| agent.spec.connection_id == id) {
            let words = format!("the agent “{}” uses it", agent.spec.name);
            return Err(StoreError::InUse(words));
        }
        let names_it = |choice: &Option<ModelChoice>| {
            choice.as_ref().is_some_and(|choice| choice.connection_id == id)
        };
        let mut settings = state.settings.settings.values();
        if settings.any(|s| names_it(&s.judge) || names_it(&s.simulated_user)) {
            let words = "the settings name it for the judge or the simulated user";
            return Err(StoreError::InUse(words.into()));
        }
        if held_by_runs {
            return Err(StoreError::InUse("unfinished runs use it".into()));
        }
        Ok(state.catalog.connections.remove(&id).is_some())
    }
}

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
        Ok(count(own.filter_map(Kept::newest).count()))
    }

    async fn delete_agent(&self, space: SpaceId, id: AgentId, _now: Timestamp) -> Stored<bool> {
        let agents = &mut self.state.lock().catalog.agents;
        let kept = agents.get_mut(&id).filter(|kept| kept.space == Some(space) && !kept.deleted);
        Ok(kept.map(|kept| kept.deleted = true).is_some())
    }
}

/// Whether a space sees it: its own, or built in.
fn seen(kept: &Kept<Scenario>, space: SpaceId) -> bool {
    kept.space.is_none_or(|owner| owner == space)
}

fn fits(scenario: &Scenario, filter: &ScenarioFilter) -> bool {
    let spec = &scenario.spec;
    filter.category.is_none_or(|category| category == spec.category)
        && filter.difficulty.is_none_or(|difficulty| difficulty == spec.difficulty)
        && filter.tag.as_ref().is_none_or(|tag| spec.tags.contains(tag))
        && filter.built_in.is_none_or(|built_in| built_in == scenario.is_built_in)
        && says(filter.q.as_deref(), &spec.name, &spec.description)
}

#[async_trait]
impl ScenarioStore for MemoryStore {
    async fn create_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<Scenario> {
        let scenarios = &mut self.state.lock().catalog.scenarios;
        if scenarios.contains_key(&id) {
            return Err(StoreError::Duplicate("scenario"));
        }
        let made = revision(id, 1, None, spec, now);
        scenarios.insert(id, Kept::new(Some(space), made.clone()));
        Ok(made)
    }

    async fn update_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        based_on: u32,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<Option<Scenario>> {
        let scenarios = &mut self.state.lock().catalog.scenarios;
        let Some(kept) = scenarios.get_mut(&id).filter(|kept| kept.space == Some(space)) else {
            return Ok(None);
        };
        let Some(newest) = kept.newest() else { return Ok(None) };
        if newest.revision != based_on {
            return Err(StoreError::Stale);
        }
        let saved = revision(id, based_on + 1, None, spec, now);
        kept.revisions.push(saved.clone());
        Ok(Some(saved))
    }

    async fn scenario(&self, space: SpaceId, id: ScenarioId) -> Stored<Option<Scenario>> {
        let state = self.state.lock();
        let kept = state.catalog.scenarios.get(&id).filter(|kept| seen(kept, space));
        Ok(kept.and_then(Kept::newest).cloned())
    }

    async fn scenarios_by_id(&self, space: SpaceId, ids: &[ScenarioId]) -> Stored<Vec<Scenario>> {
        let state = self.state.lock();
        let known = ids.iter().filter_map(|id| state.catalog.scenarios.get(id));
        Ok(known.filter(|kept| seen(kept, space)).filter_map(Kept::newest).cloned().collect())
    }

    async fn scenarios(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<After>,
        limit: u32,
    ) -> Stored<Vec<Scenario>> {
        let after = after.and_then(|after| Some((OrderKey::parse(&after.key)?, after.id)));
        let state = self.state.lock();
        let known = state.catalog.scenarios.values().filter(|kept| seen(kept, space));
        let mut found: Vec<_> = known
            .filter_map(Kept::newest)
            .filter(|scenario| fits(scenario, filter))
            .map(|scenario| ((OrderKey::of(&scenario.spec), scenario.id.0), scenario))
            .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found.into_iter().take(limit as usize).map(|(_, scenario)| scenario.clone()).collect())
    }

    async fn scenario_revisions(&self, space: SpaceId, id: ScenarioId) -> Stored<Vec<Scenario>> {
        let state = self.state.lock();
        let kept = state.catalog.scenarios.get(&id).filter(|kept| seen(kept, space));
        Ok(kept.map_or_else(Vec::new, |kept| kept.revisions.iter().rev().cloned().collect()))
    }

    async fn count_scenarios(&self, space: SpaceId) -> Stored<(u32, u32)> {
        let state = self.state.lock();
        let known = state.catalog.scenarios.values().filter(|kept| seen(kept, space));
        let seen: Vec<_> = known.filter_map(Kept::newest).collect();
        let built_in = seen.iter().filter(|scenario| scenario.is_built_in).count();
        Ok((count(seen.len() - built_in), count(built_in)))
    }

    async fn delete_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        _now: Timestamp,
    ) -> Stored<bool> {
        let scenarios = &mut self.state.lock().catalog.scenarios;
        let kept = scenarios.get_mut(&id).filter(|kept| kept.space == Some(space) && !kept.deleted);
        Ok(kept.map(|kept| kept.deleted = true).is_some())
    }

    async fn put_built_in(
        &self,
        slug: &str,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<ScenarioId> {
        let scenarios = &mut self.state.lock().catalog.scenarios;
        let of_slug = |kept: &&mut Kept<Scenario>| {
            kept.newest().is_some_and(|newest| newest.slug.as_deref() == Some(slug))
        };
        if let Some(kept) = scenarios.values_mut().find(of_slug)
            && let Some(newest) = kept.newest()
        {
            let (known, number) = (newest.id, newest.revision);
            if newest.spec != *spec {
                kept.revisions.push(revision(known, number + 1, Some(slug), spec, now));
            }
            return Ok(known);
        }
        scenarios.insert(id, Kept::new(None, revision(id, 1, Some(slug), spec, now)));
        Ok(id)
    }
}

fn revision(
    id: ScenarioId,
    revision: u32,
    slug: Option<&str>,
    spec: &ScenarioSpec,
    now: Timestamp,
) -> Scenario {
    Scenario {
        id,
        revision,
        slug: slug.map(str::to_owned),
        is_built_in: slug.is_some(),
        updated_at: now,
        spec: spec.clone(),
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
