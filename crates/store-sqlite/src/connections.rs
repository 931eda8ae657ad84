//! Connections over SQLite.

use crate::trouble::DbResult;
use super::SqliteStore;
use super::rows::{json, time_of, uuid_of, word};
use store::catalog::{ConnectionRow, ConnectionStore, KeyEdit};
use store::{StoreError, Stored};
use domain::{ConnectionId, ConnectionKind, SpaceId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

fn kind(text: &str) -> Option<ConnectionKind> {
    ConnectionKind::ALL.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind)
}

fn connection(row: &SqliteRow) -> Stored<ConnectionRow> {
    Ok(ConnectionRow {
        id: uuid_of(row, "id")?.into(),
        space_id: uuid_of(row, "space_id")?.into(),
        name: row.try_get("name").db()?,
        kind: word(row, "kind", kind)?,
        base_url: row.try_get("base_url").db()?,
        headers: json(row, "headers")?,
        key_ciphertext: row.try_get("key_ciphertext").db()?,
        key_last4: row.try_get("key_last4").db()?,
        created_at: time_of(row, "created_at")?,
        updated_at: time_of(row, "updated_at")?,
    })
}

fn headers(row: &ConnectionRow) -> Stored<String> {
    serde_json::to_string(&row.headers).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// Whether the space has this connection.
async fn is_there(c: &mut SqliteConnection, row: &ConnectionRow) -> Stored<bool> {
    let there = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM connections WHERE id = ? AND space_id = ?)",
    );
    Ok(there.bind(row.id.0).bind(row.space_id.0).fetch_one(c).await.db()?)
}

/// What holds a connection back from being deleted, in words. A document that
/// cannot be read holds nothing back: it cannot be run either.
async fn held_by(c: &mut SqliteConnection, id: ConnectionId) -> Stored<Option<String>> {
    let agent: Option<String> = sqlx::query_scalar(
        "SELECT name FROM agents WHERE connection_id = ? AND deleted_at IS NULL LIMIT 1",
    )
    .bind(id.0)
    .fetch_optional(&mut *c)
    .await.db()?;
    if let Some(name) = agent {
        return Ok(Some(format!("the agent “{name}” uses it")));
    }
    let chosen: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM settings WHERE CASE WHEN json_valid(body) THEN \
         ?1 IN (body ->> '$.judge.connection_id', body ->> '$.simulated_user.connection_id') \
         ELSE 0 END)",
    )
    .bind(id.to_string())
    .fetch_one(&mut *c)
    .await.db()?;
    if chosen > 0 {
        return Ok(Some("the settings name it for the judge or the simulated user".into()));
    }
    let running: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM suites WHERE status IN ('pending', 'running') AND \
         CASE WHEN json_valid(frozen) THEN ?1 IN (frozen ->> '$.agent.connection_id', \
         frozen ->> '$.judge.connection_id', frozen ->> '$.simulated_user.connection_id') \
         ELSE 0 END) \
         OR EXISTS (SELECT 1 FROM evaluations WHERE is_first = 0 \
         AND status IN ('pending', 'running') AND \
         CASE WHEN json_valid(judge) THEN ?1 = judge ->> '$.connection_id' ELSE 0 END)",
    )
    .bind(id.to_string())
    .fetch_one(c)
    .await.db()?;
    Ok((running > 0).then(|| "unfinished runs use it".into()))
}

#[async_trait]
impl ConnectionStore for SqliteStore {
    async fn create_connection(&self, row: &ConnectionRow) -> Stored<()> {
        let (row, headers) = (row.clone(), headers(row)?);
        let written = self.writer.write(move |c| {
            async move {
                sqlx::query(
                    "INSERT INTO connections (id, space_id, name, kind, base_url, headers, \
                     key_ciphertext, key_last4, created_at, updated_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(row.id.0)
                .bind(row.space_id.0)
                .bind(row.name)
                .bind(row.kind.as_str())
                .bind(row.base_url)
                .bind(headers)
                .bind(row.key_ciphertext)
                .bind(row.key_last4)
                .bind(row.created_at.0)
                .bind(row.updated_at.0)
                .execute(c)
                .await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn update_connection(
        &self,
        row: &ConnectionRow,
        key: KeyEdit,
        based_on: Option<Timestamp>,
    ) -> Stored<Option<ConnectionRow>> {
        let (row, headers) = (row.clone(), headers(row)?);
        let written = self.writer.write(move |c| {
            async move {
                let stored = sqlx::query(
                    "UPDATE connections SET name = ?1, kind = ?2, base_url = ?3, headers = ?4, \
                     key_ciphertext = CASE WHEN ?5 THEN key_ciphertext ELSE ?6 END, \
                     key_last4 = CASE WHEN ?5 THEN key_last4 ELSE ?7 END, updated_at = ?8 \
                     WHERE id = ?9 AND space_id = ?10 AND updated_at = ifnull(?11, updated_at) \
                     RETURNING *",
                )
                .bind(&row.name)
                .bind(row.kind.as_str())
                .bind(&row.base_url)
                .bind(headers)
                .bind(key == KeyEdit::Keep)
                .bind(&row.key_ciphertext)
                .bind(&row.key_last4)
                .bind(row.updated_at.0)
                .bind(row.id.0)
                .bind(row.space_id.0)
                .bind(based_on.map(|at| at.0))
                .fetch_optional(&mut *c)
                .await.db()?;
                if stored.is_none() && based_on.is_some() && is_there(c, &row).await? {
                    return Err(StoreError::Stale);
                }
                stored.as_ref().map(connection).transpose()
            }
            .boxed()
        });
        written.await
    }

    async fn connections(&self, space: SpaceId) -> Stored<Vec<ConnectionRow>> {
        let rows = sqlx::query("SELECT * FROM connections WHERE space_id = ? ORDER BY name, id")
            .bind(space.0)
            .fetch_all(&self.read)
            .await.db()?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            match connection(row) {
                Ok(row) => found.push(row),
                Err(error) => tracing::error!(%error, "a damaged connection is left out of a list"),
            }
        }
        Ok(found)
    }

    async fn connection(&self, space: SpaceId, id: ConnectionId) -> Stored<Option<ConnectionRow>> {
        let row = sqlx::query("SELECT * FROM connections WHERE id = ? AND space_id = ?")
            .bind(id.0)
            .bind(space.0)
            .fetch_optional(&self.read)
            .await.db()?;
        row.as_ref().map(connection).transpose()
    }

    async fn connection_for_engine(&self, id: ConnectionId) -> Stored<Option<ConnectionRow>> {
        let row = sqlx::query("SELECT * FROM connections WHERE id = ?")
            .bind(id.0)
            .fetch_optional(&self.read)
            .await.db()?;
        row.as_ref().map(connection).transpose()
    }

    async fn delete_connection(&self, space: SpaceId, id: ConnectionId) -> Stored<bool> {
        let written = self.writer.write(move |c| {
            async move {
                let done = sqlx::query("DELETE FROM connections WHERE id = ? AND space_id = ?")
                    .bind(id.0)
                    .bind(space.0)
                    .execute(&mut *c)
                    .await.db()?;
                if done.rows_affected() == 0 {
                    return Ok(false);
                }
                // Looked at after the delete has shown whose it is; an error undoes it.
                match held_by(c, id).await? {
                    Some(words) => Err(StoreError::InUse(words)),
                    None => Ok(true),
                }
            }
            .boxed()
        });
        written.await
    }
}
