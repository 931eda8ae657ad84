//! Test profiles and their revisions.

use super::StoreResult;
use async_trait::async_trait;
use domain::{Profile, ProfileId, ProfileSpec, SpaceId, Timestamp};

/// A revision of a test profile with its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    /// Without the values of secret variables.
    pub profile: Profile,
    /// The secret values by name, encrypted; `None` if there are none.
    pub secrets: Option<Vec<u8>>,
}

/// What a save of a test profile stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProfile {
    /// Without the values of secret variables.
    pub spec: ProfileSpec,
    /// The secret values by name, encrypted; `None` if there are none.
    pub secrets: Option<Vec<u8>>,
}

#[async_trait]
pub trait ProfileStore: Send + Sync + 'static {
    /// Creates a profile at revision 1.
    async fn create_profile(
        &self,
        space: SpaceId,
        id: ProfileId,
        new: NewProfile,
        now: Timestamp,
    ) -> StoreResult<Profile>;
    /// Creates a new revision; `None` if the space has no such profile.
    ///
    /// # Errors
    /// `Stale` if `based_on` is not the newest revision.
    async fn update_profile(
        &self,
        space: SpaceId,
        id: ProfileId,
        based_on: u32,
        new: NewProfile,
        now: Timestamp,
    ) -> StoreResult<Option<Profile>>;
    /// The newest revision, unless the profile is deleted.
    async fn profile(&self, space: SpaceId, id: ProfileId) -> StoreResult<Option<ProfileRow>>;
    /// One revision, also of a deleted profile, because suites refer to it.
    async fn profile_revision(
        &self,
        space: SpaceId,
        id: ProfileId,
        revision: u32,
    ) -> StoreResult<Option<ProfileRow>>;
    /// Profiles by name, without deleted ones. A corrupt row is left out and logged.
    async fn profiles(&self, space: SpaceId) -> StoreResult<Vec<Profile>>;
    /// Hides a profile and keeps its revisions; `false` if the space has no such profile.
    async fn delete_profile(
        &self,
        space: SpaceId,
        id: ProfileId,
        now: Timestamp,
    ) -> StoreResult<bool>;
}
