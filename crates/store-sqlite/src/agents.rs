//! Agents and their revisions over SQLite.

use crate::SqliteStore;
use crate::accounts::unique;
use crate::cell::{Cell, RowReader};
use crate::quota::require_room;
use crate::rows::{document, readable};
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{Agent, AgentId, AgentSpec, SpaceId, Timestamp, limits};
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::catalog::{AgentStore, NameCursor};
use store::{StoreError, StoreResult};

struct RawAgent {
    id: Cell<Vec<u8>>,
    name: Cell<String>,
    revision: Cell<i64>,
    body: Option<Cell<String>>,
    saved_at: Option<Cell<i64>>,
}

/// Agents with their newest revision. The join is an outer one, because an
/// agent whose revision is missing is corrupt, not absent.
macro_rules! select_agents {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            RawAgent,
            "SELECT a.id, a.name, a.revision, r.body, r.created_at AS saved_at FROM agents a \
             LEFT JOIN agent_revisions r ON r.agent_id = a.id AND r.revision = a.revision " + $tail
            $(, $argument)*
        )
    };
}

impl RawAgent {
    fn read(self) -> StoreResult<Agent> {
        let row = RowReader::new("agents", &self.id);
        Ok(Agent {
            id: row.get("id", self.id.clone())?,
            revision: row.get("revision", self.revision)?,
            updated_at: row.get("created_at", self.saved_at)?,
            spec: row.json("body", self.body)?,
        })
    }

    /// The position of the row in the list.
    fn cursor(&self) -> StoreResult<NameCursor> {
        let row = RowReader::new("agents", &self.id);
        let id: AgentId = row.get("id", self.id.clone())?;
        Ok(NameCursor { key: row.get("name", self.name.clone())?, id: id.0 })
    }
}

async fn save_revision(
    c: &mut SqliteConnection,
    id: AgentId,
    revision: u32,
    body: String,
    now: Timestamp,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO agent_revisions (agent_id, revision, body, created_at) VALUES (?, ?, ?, ?)",
        id.0,
        revision,
        body,
        now.0,
    )
    .run(c)
    .await
}

/// Fails if the space would have too many agents with `new` more of them.
pub(super) async fn check_quota(
    c: &mut SqliteConnection,
    space: SpaceId,
    new: usize,
) -> StoreResult<()> {
    let count = sqlx::query_scalar!(
        r#"SELECT COUNT(*) AS "count!: u32" FROM agents
           WHERE space_id = ? AND deleted_at IS NULL"#,
        space.0,
    );
    let count = count.fetch_one(c).await.db()?;
    require_room(count, new, limits::AGENTS_PER_USER, "agents")
}

/// Inserts a new agent with its first revision.
pub(super) async fn insert(
    c: &mut SqliteConnection,
    space: SpaceId,
    id: AgentId,
    spec: &AgentSpec,
    now: Timestamp,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO agents (id, space_id, name, connection_id, revision, created_at) \
         VALUES (?, ?, ?, ?, 1, ?)",
        id.0,
        space.0,
        spec.name,
        spec.connection_id.0,
        now.0,
    )
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
    ) -> StoreResult<Agent> {
        let created = Agent { id, revision: 1, updated_at: now, spec: spec.clone() };
        let spec = spec.clone();
        let written = self.writer.write(move |c| {
            async move {
                check_quota(&mut *c, space, 1).await?;
                insert(c, space, id, &spec, now).await
            }
            .boxed()
        });
        written.await.map(|()| created)
    }

    async fn update_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        based_on: u32,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> StoreResult<Option<Agent>> {
        let revision = based_on.saturating_add(1);
        let saved = Agent { id, revision, updated_at: now, spec: spec.clone() };
        let (spec, body) = (spec.clone(), document(spec)?);
        let written = self.writer.write(move |c| {
            async move {
                let newest = sqlx::query_scalar!(
                    "SELECT revision FROM agents \
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
                    "UPDATE agents SET name = ?, connection_id = ?, revision = ? WHERE id = ?",
                    spec.name,
                    spec.connection_id.0,
                    revision,
                    id.0,
                )
                .run(c)
                .await?;
                save_revision(c, id, revision, body, now).await?;
                Ok(true)
            }
            .boxed()
        });
        Ok(written.await?.then_some(saved))
    }

    async fn agent(&self, space: SpaceId, id: AgentId) -> StoreResult<Option<Agent>> {
        let agent = select_agents!(
            "WHERE a.id = ? AND a.space_id = ? AND a.deleted_at IS NULL",
            id.0,
            space.0
        );
        agent.fetch_optional(&self.read).await.db()?.map(RawAgent::read).transpose()
    }

    async fn agents(
        &self,
        space: SpaceId,
        after: Option<NameCursor>,
        limit: u32,
    ) -> StoreResult<Vec<Agent>> {
        let wanted = limit as usize;
        let mut agents = Vec::new();
        let mut after = after;
        while agents.len() < wanted {
            let (name, after_id) = after.map(|after| (after.key, after.id)).unzip();
            let page = select_agents!(
                "WHERE a.space_id = ?1 AND a.deleted_at IS NULL \
                 AND (?2 IS NULL OR (a.name, a.id) > (?2, ?3)) ORDER BY a.name, a.id LIMIT ?4",
                space.0,
                name,
                after_id,
                limit
            );
            let page = page.fetch_all(&self.read).await.db()?;
            let is_full = page.len() >= wanted;
            let last = page.last().map(RawAgent::cursor).transpose()?;
            agents.extend(readable(page.into_iter().map(RawAgent::read)));
            if !is_full {
                break;
            }
            after = last;
        }
        agents.truncate(wanted);
        Ok(agents)
    }

    async fn agent_revisions(&self, space: SpaceId, id: AgentId) -> StoreResult<Vec<Agent>> {
        let revisions = sqlx::query!(
            "SELECT r.revision, r.body, r.created_at FROM agent_revisions r \
             JOIN agents a ON a.id = r.agent_id \
             WHERE a.id = ? AND a.space_id = ? ORDER BY r.revision DESC",
            id.0,
            space.0,
        )
        .fetch_all(&self.read)
        .await
        .db()?;
        Ok(readable(revisions.into_iter().map(|revision| {
            let row = RowReader::new("agent_revisions", &id);
            Ok(Agent {
                id,
                revision: row.get("revision", revision.revision)?,
                updated_at: row.get("created_at", revision.created_at)?,
                spec: row.json("body", revision.body)?,
            })
        })))
    }

    async fn count_agents(&self, space: SpaceId) -> StoreResult<u32> {
        let count = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "count!: u32" FROM agents
               WHERE space_id = ? AND deleted_at IS NULL"#,
            space.0,
        );
        count.fetch_one(&self.read).await.db()
    }

    async fn delete_agent(&self, space: SpaceId, id: AgentId, now: Timestamp) -> StoreResult<bool> {
        let deleted = sqlx::query!(
            "UPDATE agents SET deleted_at = ? \
                     WHERE id = ? AND space_id = ? AND deleted_at IS NULL",
            now.0,
            id.0,
            space.0,
        );
        Ok(self.writer.execute(deleted).await? > 0)
    }
}
