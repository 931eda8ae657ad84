//! Many documents in one transaction over SQLite.

use super::{SqliteStore, agents, scenario_rows};
use store::Stored;
use store::catalog::{ImportStore, NewDocument};
use domain::{SpaceId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;

#[async_trait]
impl ImportStore for SqliteStore {
    async fn save_all(
        &self,
        space: SpaceId,
        documents: Vec<NewDocument>,
        now: Timestamp,
    ) -> Stored<()> {
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
