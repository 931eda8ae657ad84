//! What servers of models reject, over SQLite.

use crate::SqliteStore;
use crate::cell::{Cell, RowReader};
use crate::rows::readable;
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{ConnectionId, Timestamp};
use futures::FutureExt;
use store::StoreResult;
use store::learned::{LEARNED_TTL, LearnedRow, LearnedStore, MAX_LEARNED};

struct RawLearned {
    connection_id: Cell<Vec<u8>>,
    base_url: Cell<String>,
    model: Cell<String>,
    body: Cell<String>,
}

impl RawLearned {
    fn read(self) -> StoreResult<LearnedRow> {
        let row = RowReader::new("learned_adjustments", &self.connection_id);
        Ok(LearnedRow {
            connection_id: row.get("connection_id", self.connection_id.clone())?,
            base_url: row.get("base_url", self.base_url)?,
            model: row.get("model", self.model)?,
            body: row.get("body", self.body)?,
        })
    }
}

#[async_trait]
impl LearnedStore for SqliteStore {
    async fn learned(&self) -> StoreResult<Vec<LearnedRow>> {
        let rows = sqlx::query_as!(
            RawLearned,
            "SELECT connection_id, base_url, model, body FROM learned_adjustments \
             ORDER BY updated_at DESC LIMIT ?",
            MAX_LEARNED,
        );
        let rows = rows.fetch_all(&self.read).await.db()?;
        Ok(readable(rows.into_iter().map(RawLearned::read)))
    }

    async fn put_learned(&self, row: &LearnedRow, now: Timestamp) -> StoreResult<()> {
        let row = row.clone();
        let expired = now.minus(LEARNED_TTL).0;
        let written = self.writer.write(move |c| {
            async move {
                sqlx::query!("DELETE FROM learned_adjustments WHERE updated_at < ?", expired)
                    .run(&mut *c)
                    .await?;
                sqlx::query!(
                    "INSERT INTO learned_adjustments (connection_id, base_url, model, body, \
                     updated_at) VALUES (?, ?, ?, ?, ?) \
                     ON CONFLICT (connection_id, base_url, model) \
                     DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
                    row.connection_id.0,
                    row.base_url,
                    row.model,
                    row.body,
                    now.0,
                )
                .run(c)
                .await
            }
            .boxed()
        });
        written.await
    }

    async fn forget_learned(&self, connection: ConnectionId) -> StoreResult<()> {
        let statement =
            sqlx::query!("DELETE FROM learned_adjustments WHERE connection_id = ?", connection.0,);
        self.writer.execute(statement).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::open;
    use std::time::Duration;
    use uuid::Uuid;

    fn row(connection: u128, model: &str, body: &str) -> LearnedRow {
        LearnedRow {
            connection_id: ConnectionId(Uuid::from_u128(connection)),
            base_url: "http://x/v1".into(),
            model: model.into(),
            body: body.into(),
        }
    }

    #[tokio::test]
    async fn newest_row_of_a_model_stays_until_forgotten_or_expired() {
        let (_folder, store) = open().await;
        let at = |days: u64| Timestamp(0).plus(Duration::from_hours(24 * days));
        store.put_learned(&row(1, "a", "{}"), at(0)).await.expect("stored");
        store.put_learned(&row(1, "a", "{\"x\":1}"), at(1)).await.expect("stored");
        store.put_learned(&row(2, "a", "{}"), at(2)).await.expect("stored");
        let newest = [row(2, "a", "{}"), row(1, "a", "{\"x\":1}")];
        assert_eq!(store.learned().await.expect("rows"), newest);
        store.forget_learned(newest[0].connection_id).await.expect("deleted");
        assert_eq!(store.learned().await.expect("rows"), newest[1..]);
        store.put_learned(&row(3, "b", "{}"), at(92)).await.expect("stored");
        assert_eq!(store.learned().await.expect("rows"), [row(3, "b", "{}")]);
    }
}
