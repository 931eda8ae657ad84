//! Test profiles and their revisions over SQLite.

use crate::SqliteStore;
use crate::accounts::unique;
use crate::cell::{Cell, RowReader};
use crate::quota::require_room;
use crate::rows::{document, readable};
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{Profile, ProfileId, SpaceId, Timestamp, limits};
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::profiles::{NewProfile, ProfileRow, ProfileStore};
use store::{StoreError, StoreResult};

struct RawProfile {
    id: Cell<Vec<u8>>,
    revision: Cell<i64>,
    body: Option<Cell<String>>,
    secrets: Option<Cell<Vec<u8>>>,
    saved_at: Option<Cell<i64>>,
}

impl RawProfile {
    fn read(self) -> StoreResult<ProfileRow> {
        let row = RowReader::new("profiles", &self.id);
        let profile = Profile {
            id: row.get("id", self.id.clone())?,
            revision: row.get("revision", self.revision)?,
            updated_at: row.get("created_at", self.saved_at)?,
            spec: row.json("body", self.body)?,
        };
        Ok(ProfileRow { profile, secrets: row.optional("secrets", self.secrets)? })
    }
}

/// Profiles with their newest revision. The join is an outer one, because a profile whose
/// revision is missing is corrupt, not absent.
macro_rules! select_profiles {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            RawProfile,
            "SELECT p.id, p.revision, r.body, r.secrets, r.created_at AS saved_at \
             FROM profiles p LEFT JOIN profile_revisions r \
             ON r.profile_id = p.id AND r.revision = p.revision " + $tail
            $(, $argument)*
        )
    };
}

async fn save_revision(
    c: &mut SqliteConnection,
    id: ProfileId,
    revision: u32,
    new: &NewProfile,
    now: Timestamp,
) -> StoreResult<()> {
    let body = document(&new.spec)?;
    sqlx::query!(
        "INSERT INTO profile_revisions (profile_id, revision, body, secrets, created_at) \
         VALUES (?, ?, ?, ?, ?)",
        id.0,
        revision,
        body,
        new.secrets,
        now.0,
    )
    .run(c)
    .await
}

/// Fails if the space would have too many profiles with `new` more of them.
pub(super) async fn check_quota(
    c: &mut SqliteConnection,
    space: SpaceId,
    new: usize,
) -> StoreResult<()> {
    let count = sqlx::query_scalar!(
        r#"SELECT COUNT(*) AS "count!: u32" FROM profiles
           WHERE space_id = ? AND deleted_at IS NULL"#,
        space.0,
    );
    let count = count.fetch_one(c).await.db()?;
    require_room(count, new, limits::PROFILES_PER_USER, "test profiles")
}

/// Inserts a new profile with its first revision.
pub(super) async fn insert(
    c: &mut SqliteConnection,
    space: SpaceId,
    id: ProfileId,
    new: &NewProfile,
    now: Timestamp,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO profiles (id, space_id, name, revision, created_at) VALUES (?, ?, ?, 1, ?)",
        id.0,
        space.0,
        new.spec.name,
        now.0,
    )
    .execute(&mut *c)
    .await
    .map_err(unique("test profile"))?;
    save_revision(c, id, 1, new, now).await
}

#[async_trait]
impl ProfileStore for SqliteStore {
    async fn create_profile(
        &self,
        space: SpaceId,
        id: ProfileId,
        new: NewProfile,
        now: Timestamp,
    ) -> StoreResult<Profile> {
        let created = Profile { id, revision: 1, updated_at: now, spec: new.spec.clone() };
        let written = self.writer.write(move |c| {
            async move {
                check_quota(&mut *c, space, 1).await?;
                insert(c, space, id, &new, now).await
            }
            .boxed()
        });
        written.await.map(|()| created)
    }

    async fn update_profile(
        &self,
        space: SpaceId,
        id: ProfileId,
        based_on: u32,
        new: NewProfile,
        now: Timestamp,
    ) -> StoreResult<Option<Profile>> {
        let revision = based_on.saturating_add(1);
        let saved = Profile { id, revision, updated_at: now, spec: new.spec.clone() };
        let written = self.writer.write(move |c| {
            async move {
                let newest = sqlx::query_scalar!(
                    "SELECT revision FROM profiles \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
                    id.0,
                    space.0,
                )
                .fetch_optional(&mut *c)
                .await
                .db()?;
                let Some(newest) = newest else { return Ok(false) };
                if newest.value() != Some(i64::from(based_on)) {
                    return Err(StoreError::Stale);
                }
                sqlx::query!(
                    "UPDATE profiles SET name = ?, revision = ? WHERE id = ?",
                    new.spec.name,
                    revision,
                    id.0,
                )
                .run(&mut *c)
                .await?;
                save_revision(c, id, revision, &new, now).await?;
                Ok(true)
            }
            .boxed()
        });
        Ok(written.await?.then_some(saved))
    }

    async fn profile(&self, space: SpaceId, id: ProfileId) -> StoreResult<Option<ProfileRow>> {
        let profile = select_profiles!(
            "WHERE p.id = ? AND p.space_id = ? AND p.deleted_at IS NULL",
            id.0,
            space.0
        );
        profile.fetch_optional(&self.read).await.db()?.map(RawProfile::read).transpose()
    }

    async fn profile_revision(
        &self,
        space: SpaceId,
        id: ProfileId,
        revision: u32,
    ) -> StoreResult<Option<ProfileRow>> {
        let profile = sqlx::query_as!(
            RawProfile,
            "SELECT p.id, r.revision, r.body, r.secrets, r.created_at AS saved_at \
             FROM profiles p JOIN profile_revisions r ON r.profile_id = p.id \
             WHERE p.id = ? AND p.space_id = ? AND r.revision = ?",
            id.0,
            space.0,
            revision,
        );
        profile.fetch_optional(&self.read).await.db()?.map(RawProfile::read).transpose()
    }

    async fn profiles(&self, space: SpaceId) -> StoreResult<Vec<Profile>> {
        let profiles = select_profiles!(
            "WHERE p.space_id = ? AND p.deleted_at IS NULL ORDER BY p.name, p.id",
            space.0
        );
        let profiles = profiles.fetch_all(&self.read).await.db()?;
        let rows = readable(profiles.into_iter().map(RawProfile::read));
        Ok(rows.into_iter().map(|row| row.profile).collect())
    }

    async fn delete_profile(
        &self,
        space: SpaceId,
        id: ProfileId,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let deleted = sqlx::query!(
            "UPDATE profiles SET deleted_at = ? \
             WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
            now.0,
            id.0,
            space.0,
        );
        Ok(self.writer.execute(deleted).await? > 0)
    }
}
