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
                let is_agent = |new: &&NewDocument| matches!(new, NewDocument::Agent(..));
                let new_agents = documents.iter().filter(is_agent).count();
                agents::check_quota(&mut *c, space, new_agents).await?;
                let new_scenarios = documents.len() - new_agents;
                scenario_rows::check_quota(&mut *c, space, new_scenarios).await?;
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
