//! Imports over SQLite: many documents in one transaction.

use crate::{SqliteStore, agents, scenario_rows};
use async_trait::async_trait;
use domain::{SpaceId, Timestamp};
use futures::FutureExt;
use store::StoreResult;
use store::catalog::{ImportStore, NewDocument};

#[async_trait]
impl ImportStore for SqliteStore {
    async fn save_all(
        &self,
        space: SpaceId,
        documents: Vec<NewDocument>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let written = self.writer.write(move |c| {
            async move {
                for document in &documents {
                    match document {
                        NewDocument::Agent(id, spec) => {
                            agents::insert(c, space, *id, spec, now).await?;
                        }
                        NewDocument::Scenario(id, spec) => {
                            scenario_rows::insert(c, *id, Some(space), None, now).await?;
                            scenario_rows::save(c, *id, 1, spec, now).await?;
                        }
                    }
                }
                Ok(())
            }
            .boxed()
        });
        written.await
    }
}
