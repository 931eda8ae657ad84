//! Agents and their revisions over SQLite.

use crate::trouble::DbResult;
use super::SqliteStore;
use super::accounts::unique;
use super::rows::{json, time_of, u32_of, uuid_of};
use store::catalog::{After, AgentStore};
use store::{StoreError, Stored};
use domain::{Agent, AgentId, AgentSpec, SpaceId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// An agent with its newest revision. A revision that is missing is a damaged
/// row, not an absent agent: hence the outer join.
macro_rules! select_agents {
    ($tail:literal) => {
        concat!(
            "SELECT a.id, a.name, a.revision, r.body, r.created_at AS saved_at FROM agents a ",
            "LEFT JOIN agent_revisions r ON r.agent_id = a.id AND r.revision = a.revision ",
            $tail
        )
    };
}

fn agent(row: &SqliteRow) -> Stored<Agent> {
    Ok(Agent {
        id: uuid_of(row, "id")?.into(),
        revision: u32_of(row, "revision")?,
        updated_at: time_of(row, "saved_at")?,
        spec: json(row, "body")?,
    })
}

/// A document as it is stored.
pub(super) fn document<T: Serialize>(value: &T) -> Stored<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

async fn save_revision(
    c: &mut SqliteConnection,
    id: AgentId,
    revision: u32,
    body: String,
    now: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO agent_revisions (agent_id, revision, body, created_at) VALUES (?, ?, ?, ?)",
    )
    .bind(id.0)
    .bind(revision)
    .bind(body)
    .bind(now.0)
    .execute(c)
    .await.db()?;
    Ok(())
}

/// A new agent at its first revision.
pub(super) async fn insert(
    c: &mut SqliteConnection,
    space: SpaceId,
    id: AgentId,
    spec: &AgentSpec,
    now: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO agents (id, space_id, name, connection_id, revision, created_at) \
         VALUES (?, ?, ?, ?, 1, ?)",
    )
    .bind(id.0)
    .bind(space.0)
    .bind(&spec.name)
    .bind(spec.connection_id.0)
    .bind(now.0)
    .execute(&mut *c)
    .await
    .map_err(unique("agent"))?;
    save_revision(c, id, 1, document(spec)?, now).await
}

#[async_trait]
impl AgentStore for SqliteStore {
    async fn create_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> Stored<Agent> {
        let made = Agent { id, revision: 1, updated_at: now, spec: spec.clone() };
        let spec = spec.clone();
        let written = self
            .writer
            .write(move |c| async move { insert(c, space, id, &spec, now).await }.boxed());
        written.await.map(|()| made)
    }

    async fn update_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        based_on: u32,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> Stored<Option<Agent>> {
        let revision = based_on.saturating_add(1);
        let saved = Agent { id, revision, updated_at: now, spec: spec.clone() };
        let (spec, body) = (spec.clone(), document(spec)?);
        let written = self.writer.write(move |c| {
            async move {
                let newest: Option<i64> = sqlx::query_scalar(
                    "SELECT revision FROM agents \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
                )
                .bind(id.0)
                .bind(space.0)
                .fetch_optional(&mut *c)
                .await.db()?;
                match newest {
                    None => return Ok(false),
                    Some(newest) if newest != i64::from(based_on) => return Err(StoreError::Stale),
                    Some(_) => {}
                }
                sqlx::query(
                    "UPDATE agents SET name = ?, connection_id = ?, revision = ? WHERE id = ?",
                )
                .bind(spec.name)
                .bind(spec.connection_id.0)
                .bind(revision)
                .bind(id.0)
                .execute(&mut *c)
                .await.db()?;
                save_revision(c, id, revision, body, now).await?;
                Ok(true)
            }
            .boxed()
        });
        Ok(written.await?.then_some(saved))
    }

    async fn agent(&self, space: SpaceId, id: AgentId) -> Stored<Option<Agent>> {
        let row = sqlx::query(select_agents!(
            "WHERE a.id = ? AND a.space_id = ? AND a.deleted_at IS NULL"
        ))
        .bind(id.0)
        .bind(space.0)
        .fetch_optional(&self.read)
        .await.db()?;
        row.as_ref().map(agent).transpose()
    }

    async fn agents(&self, space: SpaceId, after: Option<After>, limit: u32) -> Stored<Vec<Agent>> {
        let wanted = limit as usize;
        let mut found = Vec::new();
        let mut after = after;
        while found.len() < wanted {
            let rows = sqlx::query(select_agents!(
                "WHERE a.space_id = ?1 AND a.deleted_at IS NULL \
                 AND (?2 IS NULL OR (a.name, a.id) > (?2, ?3)) ORDER BY a.name, a.id LIMIT ?4"
            ))
            .bind(space.0)
            .bind(after.as_ref().map(|after| after.key.clone()))
            .bind(after.as_ref().map(|after| after.id))
            .bind(limit)
            .fetch_all(&self.read)
            .await.db()?;
            for row in &rows {
                match agent(row) {
                    Ok(agent) if found.len() < wanted => found.push(agent),
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "a damaged agent is left out of a list"),
                }
            }
            match rows.last() {
                Some(last) if rows.len() >= wanted => {
                    after = Some(After { key: last.try_get("name").db()?, id: uuid_of(last, "id")? });
                }
                _ => break,
            }
        }
        Ok(found)
    }

    async fn agent_revisions(&self, space: SpaceId, id: AgentId) -> Stored<Vec<Agent>> {
        let rows = sqlx::query(
            "SELECT r.agent_id AS id, r.revision, r.body, r.created_at AS saved_at \
             FROM agent_revisions r JOIN agents a ON a.id = r.agent_id \
             WHERE a.id = ? AND a.space_id = ? ORDER BY r.revision DESC",
        )
        .bind(id.0)
        .bind(space.0)
        .fetch_all(&self.read)
        .await.db()?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            match agent(row) {
                Ok(agent) => found.push(agent),
                Err(error) => tracing::error!(%error, "a damaged revision is left out of a list"),
            }
        }
        Ok(found)
    }

    async fn count_agents(&self, space: SpaceId) -> Stored<u32> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM agents WHERE space_id = ? AND deleted_at IS NULL",
        )
        .bind(space.0)
        .fetch_one(&self.read)
        .await.db()?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn delete_agent(&self, space: SpaceId, id: AgentId, now: Timestamp) -> Stored<bool> {
        let written = self.writer.write(move |c| {
            async move {
                let done = sqlx::query(
                    "UPDATE agents SET deleted_at = ? \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
                )
                .bind(now.0)
                .bind(id.0)
                .bind(space.0)
                .execute(c)
                .await.db()?;
                Ok(done.rows_affected() > 0)
            }
            .boxed()
        });
        written.await
    }
}
