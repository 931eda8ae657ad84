//! Imports over SQLite: many documents in one transaction.

use crate::{SqliteStore, agents, profiles, scenario_rows};
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
                let (mut new_agents, mut new_scenarios, mut new_profiles) = (0, 0, 0);
                for document in &documents {
                    match document {
                        NewDocument::Agent(..) => new_agents += 1,
                        NewDocument::Scenario(..) => new_scenarios += 1,
                        NewDocument::Profile(..) => new_profiles += 1,
                    }
                }
                agents::check_quota(&mut *c, space, new_agents).await?;
                scenario_rows::check_quota(&mut *c, space, new_scenarios).await?;
                profiles::check_quota(&mut *c, space, new_profiles).await?;
                for document in &documents {
                    match document {
                        NewDocument::Agent(id, spec) => {
                            agents::insert(c, space, *id, spec, now).await?;
                        }
                        NewDocument::Scenario(id, spec) => {
                            scenario_rows::insert(c, *id, Some(space), None, now).await?;
                            scenario_rows::save(c, *id, 1, spec, now).await?;
                        }
                        NewDocument::Profile(id, new) => {
                            profiles::insert(c, space, *id, new, now).await?;
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
