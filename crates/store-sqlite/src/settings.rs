//! Settings, rejected form input and metadata over SQLite.

use crate::SqliteStore;
use crate::cell::RowReader;
use crate::rows::document;
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{SavedFormId, Settings, SpaceId, Timestamp, limits};
use futures::FutureExt;
use store::StoreResult;
use store::catalog::{SAVED_FORM_TTL, SettingStore};

/// The metadata that the readiness check writes.
const LAST_WRITE_CHECK: &str = "last_write_check";

/// The maximum number of saved forms of visitors who are not signed in.
const MAX_ANONYMOUS_FORMS: u32 = 2000;

#[async_trait]
impl SettingStore for SqliteStore {
    async fn settings(&self, space: SpaceId) -> StoreResult<Settings> {
        let body = sqlx::query_scalar!("SELECT body FROM settings WHERE space_id = ?", space.0)
            .fetch_optional(&self.read)
            .await
            .db()?;
        body.map_or_else(
            || Ok(Settings::default()),
            |body| RowReader::new("settings", &space).json("body", body),
        )
    }

    async fn put_settings(&self, space: SpaceId, settings: &Settings) -> StoreResult<()> {
        let body = document(settings)?;
        let statement = sqlx::query!(
            "INSERT INTO settings (space_id, body) VALUES (?, ?) \
                     ON CONFLICT (space_id) DO UPDATE SET body = excluded.body",
            space.0,
            body,
        );
        self.writer.execute(statement).await.map(|_| ())
    }

    async fn put_saved_form(
        &self,
        space: Option<SpaceId>,
        id: SavedFormId,
        body: &str,
        now: Timestamp,
    ) -> StoreResult<()> {
        let body = body.to_owned();
        let space = space.map(|space| space.0);
        let expired = now.minus(SAVED_FORM_TTL).0;
        let max_forms =
            if space.is_some() { limits::SAVED_FORMS_PER_USER } else { MAX_ANONYMOUS_FORMS };
        let written = self.writer.write(move |c| {
            async move {
                // Each new form deletes a few expired ones, so that they never pile up.
                sqlx::query!(
                    "DELETE FROM drafts WHERE rowid IN \
                     (SELECT rowid FROM drafts WHERE created_at <= ? LIMIT 20)",
                    expired,
                )
                .run(c)
                .await?;
                sqlx::query!(
                    "INSERT INTO drafts (id, space_id, body, created_at) VALUES (?, ?, ?, ?)",
                    id.0,
                    space,
                    body,
                    now.0,
                )
                .run(&mut *c)
                .await?;
                // The newest forms stay, as many as the limits allow. Visitors who are
                // not signed in share one set of limits.
                sqlx::query!(
                    "DELETE FROM drafts WHERE id IN (SELECT id FROM \
                     (SELECT id, ROW_NUMBER() OVER newest AS number, \
                      SUM(octet_length(body)) OVER newest AS bytes FROM drafts \
                      WHERE space_id IS ?1 WINDOW newest AS \
                      (ORDER BY created_at DESC, id DESC ROWS UNBOUNDED PRECEDING)) \
                     WHERE number > ?2 OR bytes > ?3)",
                    space,
                    max_forms,
                    limits::SAVED_FORM_BYTES_PER_USER,
                )
                .run(c)
                .await
            }
            .boxed()
        });
        written.await
    }

    async fn saved_form(
        &self,
        space: Option<SpaceId>,
        id: SavedFormId,
        now: Timestamp,
    ) -> StoreResult<Option<String>> {
        let space = space.map(|space| space.0);
        let expired = now.minus(SAVED_FORM_TTL).0;
        let body = sqlx::query_scalar!(
            "SELECT body FROM drafts WHERE id = ? AND space_id IS ? AND created_at > ?",
            id.0,
            space,
            expired,
        )
        .fetch_optional(&self.read)
        .await
        .db()?;
        RowReader::new("drafts", &id).optional("body", body)
    }

    async fn metadata(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
        let value = sqlx::query_scalar!("SELECT value FROM facts WHERE name = ?", name)
            .fetch_optional(&self.read)
            .await
            .db()?;
        RowReader::new("facts", &name).optional("value", value)
    }

    async fn put_metadata(&self, name: &str, value: &[u8]) -> StoreResult<()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        let statement = sqlx::query!(
            "INSERT INTO facts (name, value) VALUES (?, ?) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            value,
        );
        self.writer.execute(statement).await.map(|_| ())
    }

    async fn check_writable(&self, now: Timestamp) -> StoreResult<()> {
        self.put_metadata(LAST_WRITE_CHECK, &now.0.to_be_bytes()).await
    }

    fn is_failing(&self) -> bool {
        self.writer.is_failing()
    }
}
