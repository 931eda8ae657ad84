//! Scenarios in memory.

use super::{Kept, MemoryStore};
use crate::store::catalog::{After, OrderKey, ScenarioStore, says};
use crate::store::{StoreError, Stored};
use app::domain::{Scenario, ScenarioFilter, ScenarioId, ScenarioSpec, SpaceId, Timestamp};
use async_trait::async_trait;

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
        Ok((super::count(seen.len() - built_in), super::count(built_in)))
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

pub(super) fn revision(
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
