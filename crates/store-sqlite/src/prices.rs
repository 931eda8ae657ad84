//! The prices that users entered, over SQLite.

use crate::SqliteStore;
use crate::cell::{Cell, RowReader};
use crate::rows::readable;
use crate::spending::stored;
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{ConnectionId, ModelPrice, NanoUsd, SpaceId};
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::StoreResult;
use store::spending::PriceStore;

struct RawPrice {
    connection_id: Cell<Vec<u8>>,
    model: Cell<String>,
    input_nano_usd: Cell<i64>,
    cached_input_nano_usd: Cell<i64>,
    cache_write_nano_usd: Cell<i64>,
    output_nano_usd: Cell<i64>,
    max_input_tokens: Option<Cell<i64>>,
    as_of: Cell<String>,
}

impl RawPrice {
    fn read(self) -> StoreResult<ModelPrice> {
        let row = RowReader::new("model_prices", &self.connection_id);
        let amount = |column, cell| row.get::<u64>(column, cell).map(NanoUsd);
        Ok(ModelPrice {
            model: row.get("model", self.model)?,
            input_usd: amount("input_nano_usd", self.input_nano_usd)?,
            cached_input_usd: amount("cached_input_nano_usd", self.cached_input_nano_usd)?,
            cache_write_usd: amount("cache_write_nano_usd", self.cache_write_nano_usd)?,
            output_usd: amount("output_nano_usd", self.output_nano_usd)?,
            as_of: row.get("as_of", self.as_of)?,
            max_input_tokens: row.optional("max_input_tokens", self.max_input_tokens)?,
            source: None,
        })
    }
}

/// Deletes the prices of a connection.
pub(crate) async fn delete_prices(
    c: &mut SqliteConnection,
    space: SpaceId,
    connection: ConnectionId,
) -> StoreResult<()> {
    sqlx::query!(
        "DELETE FROM model_prices WHERE space_id = ? AND connection_id = ?",
        space.0,
        connection.0,
    )
    .run(c)
    .await
}

#[async_trait]
impl PriceStore for SqliteStore {
    async fn prices(
        &self,
        space: SpaceId,
        connection: ConnectionId,
    ) -> StoreResult<Vec<ModelPrice>> {
        let rows = sqlx::query_as!(
            RawPrice,
            "SELECT connection_id, model, input_nano_usd, cached_input_nano_usd, \
             cache_write_nano_usd, output_nano_usd, max_input_tokens, as_of FROM model_prices \
             WHERE space_id = ? AND connection_id = ? ORDER BY model",
            space.0,
            connection.0,
        );
        Ok(readable(rows.fetch_all(&self.read).await.db()?.into_iter().map(RawPrice::read)))
    }

    async fn put_prices(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        prices: Vec<ModelPrice>,
    ) -> StoreResult<()> {
        let written = self.writer.write(move |c| {
            async move {
                delete_prices(c, space, connection).await?;
                for price in prices {
                    insert_price(c, space, connection, &price).await?;
                }
                Ok(())
            }
            .boxed()
        });
        written.await
    }
}

async fn insert_price(
    c: &mut SqliteConnection,
    space: SpaceId,
    connection: ConnectionId,
    price: &ModelPrice,
) -> StoreResult<()> {
    let (input, output) = (stored(price.input_usd), stored(price.output_usd));
    let (cached, written) = (stored(price.cached_input_usd), stored(price.cache_write_usd));
    let max_input_tokens = price.max_input_tokens.and_then(|max| i64::try_from(max).ok());
    sqlx::query!(
        "INSERT INTO model_prices (space_id, connection_id, model, input_nano_usd, \
         cached_input_nano_usd, cache_write_nano_usd, output_nano_usd, max_input_tokens, as_of) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        space.0,
        connection.0,
        price.model,
        input,
        cached,
        written,
        output,
        max_input_tokens,
        price.as_of,
    )
    .run(c)
    .await
}
