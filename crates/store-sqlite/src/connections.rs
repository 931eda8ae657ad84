//! Connections over SQLite.

use crate::SqliteStore;
use crate::cell::{Cell, RowReader};
use crate::prices::delete_prices;
use crate::quota::require_room;
use crate::rows::{document, readable};
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{ConnectionId, ConnectionKind, ConnectionPreset, SpaceId, Timestamp, limits};
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::catalog::{ConnectionRow, ConnectionStore, KeyEdit};
use store::{StoreError, StoreResult};

struct RawConnection {
    id: Cell<Vec<u8>>,
    space_id: Cell<Vec<u8>>,
    name: Cell<String>,
    kind: Cell<String>,
    base_url: Cell<String>,
    headers: Cell<String>,
    secret_headers: Option<Cell<Vec<u8>>>,
    auth: Cell<String>,
    query: Cell<String>,
    secret_query: Option<Cell<Vec<u8>>>,
    timeout_seconds: Option<Cell<i64>>,
    preset: Option<Cell<String>>,
    models: Cell<String>,
    key_ciphertext: Option<Cell<Vec<u8>>>,
    key_last4: Option<Cell<String>>,
    created_at: Cell<i64>,
    updated_at: Cell<i64>,
}

impl RawConnection {
    fn read(self) -> StoreResult<ConnectionRow> {
        let row = RowReader::new("connections", &self.id);
        Ok(ConnectionRow {
            id: row.get("id", self.id.clone())?,
            space_id: row.get("space_id", self.space_id)?,
            name: row.get("name", self.name)?,
            kind: row.parse("kind", self.kind, kind)?,
            base_url: row.get("base_url", self.base_url)?,
            headers: row.json("headers", self.headers)?,
            secret_headers: row.optional("secret_headers", self.secret_headers)?,
            auth: row.json("auth", self.auth)?,
            query: row.json("query", self.query)?,
            secret_query: row.optional("secret_query", self.secret_query)?,
            timeout_seconds: row.optional("timeout_seconds", self.timeout_seconds)?,
            preset: row.optional_parse("preset", self.preset, ConnectionPreset::parse)?,
            models: row.json("models", self.models)?,
            key_ciphertext: row.optional("key_ciphertext", self.key_ciphertext)?,
            key_last4: row.optional("key_last4", self.key_last4)?,
            created_at: row.get("created_at", self.created_at)?,
            updated_at: row.get("updated_at", self.updated_at)?,
        })
    }
}

fn kind(text: &str) -> Option<ConnectionKind> {
    ConnectionKind::ALL.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind)
}

/// Whether the space has this connection.
async fn exists(c: &mut SqliteConnection, row: &ConnectionRow) -> StoreResult<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM connections WHERE id = ? AND space_id = ?) AS "exists!: bool""#,
        row.id.0,
        row.space_id.0,
    )
    .fetch_one(c)
    .await
    .db()
}

/// Why the connection cannot be deleted, in words. Documents that cannot be read
/// do not count: nothing runs with them.
async fn used_by(c: &mut SqliteConnection, id: ConnectionId) -> StoreResult<Option<String>> {
    let agent = sqlx::query_scalar!(
        "SELECT name FROM agents WHERE connection_id = ? AND deleted_at IS NULL LIMIT 1",
        id.0,
    )
    .fetch_optional(&mut *c)
    .await
    .db()?;
    if let Some(name) = agent {
        let name = name.value().unwrap_or_default();
        return Ok(Some(format!("the agent “{name}” uses it")));
    }
    let id = id.to_string();
    let in_settings = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM settings WHERE CASE WHEN json_valid(body) THEN
           ?1 IN (body ->> '$.judge.connection_id', body ->> '$.simulated_user.connection_id')
           ELSE 0 END) AS "exists!: bool""#,
        id,
    )
    .fetch_one(&mut *c)
    .await
    .db()?;
    if in_settings {
        return Ok(Some("the settings name it for the judge or the simulated user".into()));
    }
    let in_suites = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM suites WHERE status IN ('pending', 'running') AND
           CASE WHEN json_valid(model_snapshot) THEN ?1 IN (model_snapshot ->> '$.agent.connection_id',
           model_snapshot ->> '$.judge.connection_id', model_snapshot ->> '$.simulated_user.connection_id')
           ELSE 0 END)
           OR EXISTS (SELECT 1 FROM evaluations WHERE is_first = 0
           AND status IN ('pending', 'running') AND
           CASE WHEN json_valid(judge) THEN ?1 = judge ->> '$.connection_id' ELSE 0 END)
           AS "exists!: bool""#,
        id,
    )
    .fetch_one(c)
    .await
    .db()?;
    Ok(in_suites.then(|| "unfinished runs use it".into()))
}

#[async_trait]
impl ConnectionStore for SqliteStore {
    async fn create_connection(&self, row: &ConnectionRow) -> StoreResult<()> {
        let (headers, auth) = (document(&row.headers)?, document(&row.auth)?);
        let (query, models) = (document(&row.query)?, document(&row.models)?);
        let row = row.clone();
        let written = self.writer.write(move |c| {
            async move {
                let count = sqlx::query_scalar!(
                    r#"SELECT COUNT(*) AS "count!: u32" FROM connections WHERE space_id = ?"#,
                    row.space_id.0,
                );
                let count = count.fetch_one(&mut *c).await.db()?;
                require_room(count, 1, limits::CONNECTIONS_PER_USER, "connections")?;
                let kind = row.kind.as_str();
                let preset = row.preset.map(ConnectionPreset::as_str);
                sqlx::query!(
                    "INSERT INTO connections (id, space_id, name, kind, base_url, headers, \
                     secret_headers, auth, query, secret_query, timeout_seconds, preset, models, \
                     key_ciphertext, key_last4, created_at, updated_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row.id.0,
                    row.space_id.0,
                    row.name,
                    kind,
                    row.base_url,
                    headers,
                    row.secret_headers,
                    auth,
                    query,
                    row.secret_query,
                    row.timeout_seconds,
                    preset,
                    models,
                    row.key_ciphertext,
                    row.key_last4,
                    row.created_at.0,
                    row.updated_at.0,
                )
                .run(c)
                .await
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
    ) -> StoreResult<Option<ConnectionRow>> {
        let (headers, auth) = (document(&row.headers)?, document(&row.auth)?);
        let (row, query) = (row.clone(), document(&row.query)?);
        let written = self.writer.write(move |c| {
            async move {
                let (kind, keeps_key) = (row.kind.as_str(), key == KeyEdit::Keep);
                let based_on = based_on.map(|at| at.0);
                let preset = row.preset.map(ConnectionPreset::as_str);
                let stored = sqlx::query_as!(
                    RawConnection,
                    "UPDATE connections SET name = ?1, kind = ?2, base_url = ?3, headers = ?4, \
                     key_ciphertext = CASE WHEN ?5 THEN key_ciphertext ELSE ?6 END, \
                     key_last4 = CASE WHEN ?5 THEN key_last4 ELSE ?7 END, updated_at = ?8, \
                     secret_headers = ?12, auth = ?13, query = ?14, secret_query = ?15, \
                     timeout_seconds = ?16, preset = ?17 \
                     WHERE id = ?9 AND space_id = ?10 AND updated_at = ifnull(?11, updated_at) \
                     AND (NOT ?5 OR key_ciphertext IS NULL OR (kind = ?2 AND base_url = ?3 AND \
                     ifnull(auth ->> '$.token_url', '') = ?18)) \
                     RETURNING *",
                    row.name,
                    kind,
                    row.base_url,
                    headers,
                    keeps_key,
                    row.key_ciphertext,
                    row.key_last4,
                    row.updated_at.0,
                    row.id.0,
                    row.space_id.0,
                    based_on,
                    row.secret_headers,
                    auth,
                    query,
                    row.secret_query,
                    row.timeout_seconds,
                    preset,
                    row.auth.token_url,
                )
                .fetch_optional(&mut *c)
                .await
                .db()?;
                if stored.is_none() && exists(c, &row).await? {
                    return Err(StoreError::Stale);
                }
                stored.map(RawConnection::read).transpose()
            }
            .boxed()
        });
        written.await
    }

    async fn put_connection_models(
        &self,
        space: SpaceId,
        id: ConnectionId,
        models: &[String],
    ) -> StoreResult<()> {
        let models = document(&models)?;
        let written = self.writer.write(move |c| {
            async move {
                sqlx::query!(
                    "UPDATE connections SET models = ? WHERE id = ? AND space_id = ?",
                    models,
                    id.0,
                    space.0,
                )
                .run(c)
                .await
            }
            .boxed()
        });
        written.await
    }

    async fn connections(&self, space: SpaceId) -> StoreResult<Vec<ConnectionRow>> {
        let connections = sqlx::query_as!(
            RawConnection,
            "SELECT * FROM connections WHERE space_id = ? ORDER BY name, id",
            space.0,
        )
        .fetch_all(&self.read)
        .await
        .db()?;
        Ok(readable(connections.into_iter().map(RawConnection::read)))
    }

    async fn connection(
        &self,
        space: SpaceId,
        id: ConnectionId,
    ) -> StoreResult<Option<ConnectionRow>> {
        let connection = sqlx::query_as!(
            RawConnection,
            "SELECT * FROM connections WHERE id = ? AND space_id = ?",
            id.0,
            space.0,
        );
        connection.fetch_optional(&self.read).await.db()?.map(RawConnection::read).transpose()
    }

    async fn all_connections(&self) -> StoreResult<Vec<ConnectionRow>> {
        let connections = sqlx::query_as!(RawConnection, "SELECT * FROM connections ORDER BY id");
        let connections = connections.fetch_all(&self.read).await.db()?;
        Ok(readable(connections.into_iter().map(RawConnection::read)))
    }

    async fn connection_for_engine(&self, id: ConnectionId) -> StoreResult<Option<ConnectionRow>> {
        let version = match self.connection_cache.get(id) {
            Ok(row) => return Ok(Some(row)),
            Err(version) => version,
        };
        let connection =
            sqlx::query_as!(RawConnection, "SELECT * FROM connections WHERE id = ?", id.0);
        let connection = connection.fetch_optional(&self.read).await.db()?;
        let row = connection.map(RawConnection::read).transpose()?;
        if let Some(row) = &row {
            self.connection_cache.insert(row, version);
        }
        Ok(row)
    }

    async fn delete_connection(&self, space: SpaceId, id: ConnectionId) -> StoreResult<bool> {
        let written = self.writer.write(move |c| {
            async move {
                let deleted = sqlx::query!(
                    "DELETE FROM connections WHERE id = ? AND space_id = ?",
                    id.0,
                    space.0,
                )
                .execute(&mut *c)
                .await
                .db()?;
                if deleted.rows_affected() == 0 {
                    return Ok(false);
                }
                // The delete has checked the owner; an error rolls it back.
                match used_by(c, id).await? {
                    Some(why) => Err(StoreError::InUse(why)),
                    None => delete_prices(c, space, id).await.map(|()| true),
                }
            }
            .boxed()
        });
        written.await
    }
}
