//! Retention of deleted agents, scenarios and test profiles: their revisions are deleted
//! unless a suite or a run refers to them.

use crate::retention::Step;
use crate::sqlite_error::{DbResult, RunStatement, Statement};
use sqlx::SqliteConnection;
use store::StoreResult;

/// Milliseconds until a deleted object is checked again.
const CHECK_INTERVAL: i64 = 24 * 3600 * 1000;

/// What has revisions.
#[derive(Clone, Copy)]
pub(super) enum Versioned {
    Agent,
    Scenario,
    Profile,
}

impl Versioned {
    /// The tables of the objects and of their revisions.
    fn tables(self) -> (&'static str, &'static str) {
        match self {
            Self::Agent => ("agents", "agent_revisions"),
            Self::Scenario => ("scenarios", "scenario_revisions"),
            Self::Profile => ("profiles", "profile_revisions"),
        }
    }

    /// The next deleted object that is due.
    async fn next_due(self, c: &mut SqliteConnection, before: i64) -> StoreResult<Option<Vec<u8>>> {
        let due = match self {
            Self::Agent => {
                let agent = sqlx::query_scalar!(
                    r#"SELECT id AS "id: Vec<u8>" FROM agents WHERE deleted_at IS NOT NULL
                       AND cleanup_at <= ?1 AND deleted_at <= ?1 ORDER BY cleanup_at LIMIT 1"#,
                    before,
                );
                agent.fetch_optional(c).await
            }
            Self::Scenario => {
                let scenario = sqlx::query_scalar!(
                    r#"SELECT id AS "id: Vec<u8>" FROM scenarios WHERE deleted_at IS NOT NULL
                       AND cleanup_at <= ?1 AND deleted_at <= ?1 ORDER BY cleanup_at LIMIT 1"#,
                    before,
                );
                scenario.fetch_optional(c).await
            }
            Self::Profile => {
                let profile = sqlx::query_scalar!(
                    r#"SELECT id AS "id: Vec<u8>" FROM profiles WHERE deleted_at IS NOT NULL
                       AND cleanup_at <= ?1 AND deleted_at <= ?1 ORDER BY cleanup_at LIMIT 1"#,
                    before,
                );
                profile.fetch_optional(c).await
            }
        };
        due.db()
    }

    /// Deletes revisions to which no suite or run refers.
    fn delete_unused_revisions(self, id: &[u8], limit: u32) -> Statement<'_> {
        match self {
            Self::Agent => sqlx::query!(
                "DELETE FROM agent_revisions WHERE rowid IN (SELECT rowid FROM agent_revisions \
                 WHERE agent_id = ?1 AND revision NOT IN (SELECT s.agent_revision FROM agents a \
                 JOIN suites s ON s.space_id = a.space_id AND s.agent_id = a.id WHERE a.id = ?1) \
                 LIMIT ?2)",
                id,
                limit,
            ),
            Self::Scenario => sqlx::query!(
                "DELETE FROM scenario_revisions WHERE rowid IN (SELECT rowid \
                 FROM scenario_revisions WHERE scenario_id = ?1 AND revision NOT IN \
                 (SELECT r.scenario_revision FROM scenarios s JOIN runs r \
                 ON r.space_id = s.space_id AND r.scenario_id = s.id WHERE s.id = ?1) LIMIT ?2)",
                id,
                limit,
            ),
            Self::Profile => sqlx::query!(
                "DELETE FROM profile_revisions WHERE rowid IN (SELECT rowid \
                 FROM profile_revisions WHERE profile_id = ?1 AND revision NOT IN \
                 (SELECT profile_revision FROM suites WHERE profile_id = ?1 \
                 AND profile_revision IS NOT NULL) LIMIT ?2)",
                id,
                limit,
            ),
        }
    }

    /// Deletes the object if it has no revision left.
    fn delete_without_revisions(self, id: &[u8]) -> Statement<'_> {
        match self {
            Self::Agent => sqlx::query!(
                "DELETE FROM agents WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM agent_revisions WHERE agent_id = ?1)",
                id,
            ),
            Self::Scenario => sqlx::query!(
                "DELETE FROM scenarios WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM scenario_revisions WHERE scenario_id = ?1)",
                id,
            ),
            Self::Profile => sqlx::query!(
                "DELETE FROM profiles WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM profile_revisions WHERE profile_id = ?1)",
                id,
            ),
        }
    }

    fn check_again_at(self, id: &[u8], at: i64) -> Statement<'_> {
        match self {
            Self::Agent => sqlx::query!("UPDATE agents SET cleanup_at = ? WHERE id = ?", at, id),
            Self::Scenario => {
                sqlx::query!("UPDATE scenarios SET cleanup_at = ? WHERE id = ?", at, id)
            }
            Self::Profile => {
                sqlx::query!("UPDATE profiles SET cleanup_at = ? WHERE id = ?", at, id)
            }
        }
    }
}

impl Step {
    /// Returns whether no deleted object of this kind is due.
    pub(super) async fn delete_versioned(
        &mut self,
        c: &mut SqliteConnection,
        kind: Versioned,
    ) -> StoreResult<bool> {
        let (objects, revisions) = kind.tables();
        while self.left > 0 {
            let Some(id) = kind.next_due(c, self.before).await? else { return Ok(true) };
            let unused = kind.delete_unused_revisions(&id, self.left);
            if !self.delete(c, revisions, unused).await? {
                return Ok(false);
            }
            let deleted = kind.delete_without_revisions(&id).execute(&mut *c).await.db()?;
            self.count(objects, deleted.rows_affected());
            let next = self.before.saturating_add(CHECK_INTERVAL);
            kind.check_again_at(&id, next).run(c).await?;
            // An object that stays counts too, because it takes time.
            self.left = self.left.saturating_sub(1);
        }
        Ok(false)
    }
}
