//! Test profiles.

use super::Catalog;
use crate::account_log::{AccountEvent, log_event};
use crate::errors::{StoreResultExt, internal};
use async_trait::async_trait;
use conversation::is_time_zone;
use domain::error::AppError;
use domain::services::{AppResult, Caller, ProfileService};
use domain::{Draft, Problem, Problems, Profile, ProfileId, ProfileSpec};
use std::collections::BTreeMap;
use store::StoreError;
use store::profiles::{NewProfile, ProfileRow};

pub(super) fn profile_not_found() -> AppError {
    AppError::not_found("test profile")
}

#[async_trait]
impl ProfileService for Catalog {
    async fn profiles(&self, caller: &Caller) -> AppResult<Vec<Profile>> {
        self.store.profiles(caller.space_id).await.or_app_error()
    }

    async fn profile(&self, caller: &Caller, id: ProfileId) -> AppResult<Profile> {
        let row = self.store.profile(caller.space_id, id).await.or_app_error()?;
        row.map(|row| row.profile).ok_or_else(profile_not_found)
    }

    async fn create_profile(&self, caller: &Caller, draft: &Draft) -> AppResult<Profile> {
        let spec = profile_spec(draft).map_err(AppError::invalid)?;
        let id = self.clock.uuid().into();
        let new = self.new_profile(caller, id, spec, BTreeMap::new())?;
        let created = self.store.create_profile(caller.space_id, id, new, self.clock.now());
        created.await.or_app_error()
    }

    async fn update_profile(
        &self,
        caller: &Caller,
        id: ProfileId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Profile> {
        // The owner is checked first: another user learns nothing about their draft.
        let stored = match self.store.profile(caller.space_id, id).await {
            Ok(row) => Some(row.ok_or_else(profile_not_found)?),
            // Saving can repair a corrupt profile, without its secrets.
            Err(StoreError::Corrupt { .. }) => None,
            Err(error) => return Err(crate::errors::app_error(error)),
        };
        let spec = profile_spec(draft).map_err(AppError::invalid)?;
        let known = stored.map(|row| self.stored_secrets(caller, &row)).transpose()?;
        let new = self.new_profile(caller, id, spec, known.unwrap_or_default())?;
        let saved = self.store.update_profile(caller.space_id, id, revision, new, self.clock.now());
        saved.await.or_app_error()?.ok_or_else(profile_not_found)
    }

    async fn delete_profile(&self, caller: &Caller, id: ProfileId) -> AppResult<()> {
        let now = self.clock.now();
        if !self.store.delete_profile(caller.space_id, id, now).await.or_app_error()? {
            return Err(profile_not_found());
        }
        log_event(AccountEvent::ProfileDeleted, Some(caller.user_id), Some(id.0));
        Ok(())
    }
}

/// The valid profile, or all of its problems.
pub(super) fn profile_spec(draft: &Draft) -> Result<ProfileSpec, Problems> {
    let parsed = ProfileSpec::parse(draft);
    let zone = draft.text("time_zone");
    let zone = zone.trim();
    if zone.is_empty() || is_time_zone(zone) {
        return parsed;
    }
    let mut problems = parsed.err().unwrap_or_default();
    if !problems.iter().any(|problem| problem.path == "time_zone") {
        let message = "is not a time zone such as Europe/Berlin or UTC";
        problems.push(Problem::new("time_zone", message));
    }
    Err(problems)
}

impl Catalog {
    /// What is stored of a profile. A secret variable without a value keeps that of `known`.
    pub(super) fn new_profile(
        &self,
        caller: &Caller,
        id: ProfileId,
        mut spec: ProfileSpec,
        known: BTreeMap<String, String>,
    ) -> AppResult<NewProfile> {
        let mut secrets = BTreeMap::new();
        for variable in spec.variables.iter_mut().filter(|variable| variable.secret) {
            let value = variable.value.take().or_else(|| known.get(&variable.name).cloned());
            variable.is_set = value.is_some();
            if let Some(value) = value {
                secrets.insert(variable.name.clone(), value);
            }
        }
        let encrypt = || self.endpoints.secrets.encrypt_variables(caller.space_id, id, &secrets);
        let secrets = (!secrets.is_empty()).then(encrypt).transpose();
        let secrets = secrets.map_err(|error| internal(&error, "encrypt a test profile"))?;
        Ok(NewProfile { spec, secrets })
    }

    /// The secret values of a profile.
    pub(super) fn stored_secrets(
        &self,
        caller: &Caller,
        row: &ProfileRow,
    ) -> AppResult<BTreeMap<String, String>> {
        let Some(stored) = &row.secrets else { return Ok(BTreeMap::new()) };
        let id = row.profile.id;
        let secrets = self.endpoints.secrets.decrypt_variables(caller.space_id, id, stored);
        secrets.map_err(|error| {
            tracing::error!(%error, profile = %id, "the secrets of a test profile cannot be decrypted");
            let name = &row.profile.spec.name;
            AppError::conflict(format!(
                "The secret variables of the test profile “{name}” cannot be read any more. Delete it and create it again."
            ))
        })
    }
}
