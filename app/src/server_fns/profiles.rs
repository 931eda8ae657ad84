//! Test profiles.

#[cfg(feature = "ssr")]
use crate::domain::Profile;
use crate::domain::{Draft, ProfileRef};
#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{Choice, ProfileQuery, ProfilesQuery, request};

/// The data of the editor of a test profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileData {
    /// `None` for a new profile.
    pub profile: Option<ProfileRef>,
    /// The stored profile without the values of secrets.
    pub stored: Draft,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
}

/// Test profiles by name.
#[cfg(feature = "ssr")]
pub(super) async fn profiles(_: ProfilesQuery) -> Result<Vec<Profile>, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    services.profiles.profiles(&caller).await
}

/// The test profiles to select from.
#[cfg(feature = "ssr")]
pub(super) async fn choices(caller: &crate::services::Caller) -> Result<Vec<Choice>, AppError> {
    let profiles = request::services().profiles.profiles(caller).await?;
    let choice = |profile: Profile| Choice {
        id: profile.id.to_string(),
        name: profile.spec.name,
        about: String::new(),
    };
    Ok(profiles.into_iter().map(choice).collect())
}

/// The editor of a test profile, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn profile_form(
    ProfileQuery { id, saved_form }: ProfileQuery,
) -> Result<ProfileData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let rejected = request::rejected(saved_form.as_deref()).await;
    let Some(id) = id else { return Ok(ProfileData { rejected, ..ProfileData::default() }) };
    let profile = services.profiles.profile(&caller, request::id(&id, "test profile")?).await?;
    let (id, revision, name) = (profile.id, profile.revision, profile.spec.name.clone());
    let stored = Draft(serde_json::to_value(profile.spec).unwrap_or_default());
    Ok(ProfileData { profile: Some(ProfileRef { id, revision, name }), stored, rejected })
}
