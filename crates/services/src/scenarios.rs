//! Scenarios: the caller's own, and built-in ones that every user can read.

use super::{Catalog, cursor, naming};
use crate::account_log::{AccountEvent, log_event};
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, Cursor, ListPage, ScenarioService};
use domain::{Draft, Scenario, ScenarioFilter, ScenarioId, ScenarioSpec};
use store::StoreError;
use store::catalog::{NameCursor, OrderKey};
use uuid::Uuid;

fn scenario_not_found() -> AppError {
    AppError::not_found("scenario")
}

fn built_in_error() -> AppError {
    AppError::conflict(
        "Built-in scenarios cannot be edited or deleted. Duplicate it and change the copy.",
    )
}

pub(super) fn cursor_of(scenario: &Scenario) -> NameCursor {
    NameCursor { key: OrderKey::of(&scenario.spec).text(), id: scenario.id.0 }
}

/// Removes blank texts, which a form sends for unused fields.
fn without_blank_texts(filter: &ScenarioFilter) -> ScenarioFilter {
    let text = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    ScenarioFilter { tag: text(&filter.tag), q: text(&filter.q), ..filter.clone() }
}

#[async_trait]
impl ScenarioService for Catalog {
    async fn scenarios(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
        cursor: &Cursor,
    ) -> AppResult<ListPage<Scenario>> {
        let (after, limit) = cursor::read(cursor)?;
        if after.as_ref().is_some_and(|after| OrderKey::parse(&after.key).is_none()) {
            return Err(cursor::invalid());
        }
        let (space, filter) = (caller.space_id, without_blank_texts(filter));
        let found = self.store.scenarios(space, &filter, after, limit + 1).await.or_app_error()?;
        Ok(cursor::page(found, limit, |scenario| cursor::encode(&cursor_of(scenario))))
    }

    async fn scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<Scenario> {
        let scenario = self.store.scenario(caller.space_id, id).await.or_app_error()?;
        scenario.ok_or_else(scenario_not_found)
    }

    async fn scenario_revisions(
        &self,
        caller: &Caller,
        id: ScenarioId,
    ) -> AppResult<Vec<Scenario>> {
        let revisions = self.store.scenario_revisions(caller.space_id, id).await.or_app_error()?;
        if revisions.is_empty() { Err(scenario_not_found()) } else { Ok(revisions) }
    }

    async fn create_scenario(&self, caller: &Caller, draft: &Draft) -> AppResult<Scenario> {
        let spec = ScenarioSpec::parse(draft).map_err(AppError::invalid)?;
        self.put_scenario(caller, &spec).await
    }

    async fn update_scenario(
        &self,
        caller: &Caller,
        id: ScenarioId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Scenario> {
        // The owner is checked first: another user learns nothing about their draft.
        self.check_scenario_owner(caller, id).await?;
        let spec = ScenarioSpec::parse(draft).map_err(AppError::invalid)?;
        let now = self.clock.now();
        let saved = self.store.update_scenario(caller.space_id, id, revision, &spec, now);
        saved.await.or_app_error()?.ok_or_else(scenario_not_found)
    }

    async fn delete_scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<()> {
        self.check_scenario_owner(caller, id).await?;
        let now = self.clock.now();
        let deleted = self.store.delete_scenario(caller.space_id, id, now).await.or_app_error()?;
        if !deleted {
            return Err(scenario_not_found());
        }
        log_event(AccountEvent::ScenarioDeleted, Some(caller.user_id), Some(id.0));
        Ok(())
    }

    async fn duplicate_scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<Scenario> {
        let original = self.scenario(caller, id).await?;
        for name in naming::copies(&original.spec.name) {
            let spec = ScenarioSpec { name, ..original.spec.clone() };
            if !self.has_scenario_named(caller, &spec).await? {
                return self.put_scenario(caller, &spec).await;
            }
        }
        Err(AppError::conflict("There are too many copies of this scenario."))
    }
}

impl Catalog {
    async fn put_scenario(&self, caller: &Caller, spec: &ScenarioSpec) -> AppResult<Scenario> {
        let (id, now) = (self.clock.uuid().into(), self.clock.now());
        self.store.create_scenario(caller.space_id, id, spec, now).await.or_app_error()
    }

    /// Checks that the caller may change the scenario. A corrupt one can be changed
    /// too, so that saving can repair it.
    async fn check_scenario_owner(&self, caller: &Caller, id: ScenarioId) -> AppResult<()> {
        match self.store.scenario(caller.space_id, id).await {
            Ok(None) => Err(scenario_not_found()),
            Ok(Some(scenario)) if scenario.is_built_in => Err(built_in_error()),
            Ok(Some(_)) | Err(StoreError::Corrupt { .. }) => Ok(()),
            Err(other) => Err(crate::errors::app_error(other)),
        }
    }

    /// Whether the caller has another scenario of this name.
    async fn has_scenario_named(&self, caller: &Caller, spec: &ScenarioSpec) -> AppResult<bool> {
        let before = NameCursor { key: OrderKey::of(spec).text(), id: Uuid::nil() };
        let own = ScenarioFilter {
            category: Some(spec.category),
            difficulty: Some(spec.difficulty),
            built_in: Some(false),
            ..ScenarioFilter::default()
        };
        let next = self.store.scenarios(caller.space_id, &own, Some(before), 1);
        let next = next.await.or_app_error()?;
        Ok(next.first().is_some_and(|next| next.spec.name == spec.name))
    }
}
