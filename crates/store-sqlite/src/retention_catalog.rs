//! Retention of deleted agents and scenarios: their revisions are deleted unless a suite
//! or a run refers to them.

use crate::retention::Step;
use crate::sqlite_error::{DbResult, RunStatement};
use sqlx::SqliteConnection;
use store::StoreResult;

/// Milliseconds until a deleted object is checked again.
const CHECK_INTERVAL: i64 = 24 * 3600 * 1000;

impl Step {
    /// Returns whether no deleted agent is due.
    pub(super) async fn delete_agents(&mut self, c: &mut SqliteConnection) -> StoreResult<bool> {
        while self.left > 0 {
            let agent = sqlx::query_scalar!(
                r#"SELECT id AS "id: Vec<u8>" FROM agents WHERE deleted_at IS NOT NULL
                   AND cleanup_at <= ?1 AND deleted_at <= ?1 ORDER BY cleanup_at LIMIT 1"#,
                self.before,
            );
            let Some(agent) = agent.fetch_optional(&mut *c).await.db()? else { return Ok(true) };
            let unused = sqlx::query!(
                "DELETE FROM agent_revisions WHERE rowid IN (SELECT rowid FROM agent_revisions \
                 WHERE agent_id = ?1 AND revision NOT IN (SELECT s.agent_revision FROM agents a \
                 JOIN suites s ON s.space_id = a.space_id AND s.agent_id = a.id WHERE a.id = ?1) \
                 LIMIT ?2)",
                agent,
                self.left,
            );
            if !self.delete(c, "agent_revisions", unused).await? {
                return Ok(false);
            }
            let without_revisions = sqlx::query!(
                "DELETE FROM agents WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM agent_revisions WHERE agent_id = ?1)",
                agent,
            );
            let deleted = without_revisions.execute(&mut *c).await.db()?.rows_affected();
            self.count("agents", deleted);
            let next = self.before.saturating_add(CHECK_INTERVAL);
            sqlx::query!("UPDATE agents SET cleanup_at = ? WHERE id = ?", next, agent)
                .run(c)
                .await?;
            // An agent that stays counts too, because it takes time.
            self.left = self.left.saturating_sub(1);
        }
        Ok(false)
    }

    /// Returns whether no deleted scenario is due.
    pub(super) async fn delete_scenarios(&mut self, c: &mut SqliteConnection) -> StoreResult<bool> {
        while self.left > 0 {
            let scenario = sqlx::query_scalar!(
                r#"SELECT id AS "id: Vec<u8>" FROM scenarios WHERE deleted_at IS NOT NULL
                   AND cleanup_at <= ?1 AND deleted_at <= ?1 ORDER BY cleanup_at LIMIT 1"#,
                self.before,
            );
            let Some(scenario) = scenario.fetch_optional(&mut *c).await.db()? else {
                return Ok(true);
            };
            let unused = sqlx::query!(
                "DELETE FROM scenario_revisions WHERE rowid IN (SELECT rowid \
                 FROM scenario_revisions WHERE scenario_id = ?1 AND revision NOT IN \
                 (SELECT r.scenario_revision FROM scenarios s JOIN runs r \
                 ON r.space_id = s.space_id AND r.scenario_id = s.id WHERE s.id = ?1) LIMIT ?2)",
                scenario,
                self.left,
            );
            if !self.delete(c, "scenario_revisions", unused).await? {
                return Ok(false);
            }
            let without_revisions = sqlx::query!(
                "DELETE FROM scenarios WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM scenario_revisions WHERE scenario_id = ?1)",
                scenario,
            );
            let deleted = without_revisions.execute(&mut *c).await.db()?.rows_affected();
            self.count("scenarios", deleted);
            let next = self.before.saturating_add(CHECK_INTERVAL);
            sqlx::query!("UPDATE scenarios SET cleanup_at = ? WHERE id = ?", next, scenario)
                .run(c)
                .await?;
            self.left = self.left.saturating_sub(1);
        }
        Ok(false)
    }
}
