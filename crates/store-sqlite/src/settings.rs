//! Settings, rejected form input and small facts over SQLite.

use crate::trouble::DbResult;
use super::SqliteStore;
use super::agents::document;
use super::rows::json;
use store::Stored;
use store::catalog::{KEPT_DRAFTS, SettingStore};
use domain::{DraftId, Settings, SpaceId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;

/// The fact that readiness writes.
const HEARTBEAT: &str = "last_write_check";

#[async_trait]
impl SettingStore for SqliteStore {
    async fn settings(&self, space: SpaceId) -> Stored<Settings> {
        let row = sqlx::query("SELECT body FROM settings WHERE space_id = ?")
            .bind(space.0)
            .fetch_optional(&self.read)
            .await.db()?;
        row.map_or_else(|| Ok(Settings::default()), |row| json(&row, "body"))
    }

    async fn put_settings(&self, space: SpaceId, settings: &Settings) -> Stored<()> {
        let body = document(settings)?;
        let written = self.writer.write(move |c| {
            async move {
                sqlx::query(
                    "INSERT INTO settings (space_id, body) VALUES (?, ?) \
                     ON CONFLICT (space_id) DO UPDATE SET body = excluded.body",
                )
                .bind(space.0)
                .bind(body)
                .execute(c)
                .await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn put_draft(
        &self,
        space: Option<SpaceId>,
        id: DraftId,
        body: &str,
        now: Timestamp,
    ) -> Stored<()> {
        let body = body.to_owned();
        let written = self.writer.write(move |c| {
            async move {
                // Old ones go in the same step that brings a new one: never many at once.
                sqlx::query(
                    "DELETE FROM drafts WHERE rowid IN \
                     (SELECT rowid FROM drafts WHERE created_at <= ? LIMIT 20)",
                )
                .bind(now.minus(KEPT_DRAFTS).0)
                .execute(&mut *c)
                .await.db()?;
                sqlx::query(
                    "INSERT INTO drafts (id, space_id, body, created_at) VALUES (?, ?, ?, ?)",
                )
                .bind(id.0)
                .bind(space.map(|space| space.0))
                .bind(body)
                .bind(now.0)
                .execute(c)
                .await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn draft(
        &self,
        space: Option<SpaceId>,
        id: DraftId,
        now: Timestamp,
    ) -> Stored<Option<String>> {
        let body = sqlx::query_scalar(
            "SELECT body FROM drafts WHERE id = ? AND space_id IS ? AND created_at > ?",
        )
        .bind(id.0)
        .bind(space.map(|space| space.0))
        .bind(now.minus(KEPT_DRAFTS).0)
        .fetch_optional(&self.read)
        .await.db()?;
        Ok(body)
    }

    async fn fact(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        let value = sqlx::query_scalar("SELECT value FROM facts WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.read)
            .await.db()?;
        Ok(value)
    }

    async fn put_fact(&self, name: &str, value: &[u8]) -> Stored<()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        let written = self.writer.write(move |c| {
            async move {
                sqlx::query(
                    "INSERT INTO facts (name, value) VALUES (?, ?) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )
                .bind(name)
                .bind(value)
                .execute(c)
                .await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn writable(&self, now: Timestamp) -> Stored<()> {
        self.put_fact(HEARTBEAT, &now.0.to_be_bytes()).await
    }

    fn in_trouble(&self) -> bool {
        self.writer.in_trouble()
    }
}
