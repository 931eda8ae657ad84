//! Many documents at once, in memory.

use super::{Kept, MemoryStore, scenarios};
use crate::store::catalog::{ImportStore, NewDocument};
use crate::store::{StoreError, Stored};
use app::domain::{Agent, SpaceId, Timestamp};
use async_trait::async_trait;

#[async_trait]
impl ImportStore for MemoryStore {
    async fn save_all(
        &self,
        space: SpaceId,
        documents: Vec<NewDocument>,
        now: Timestamp,
    ) -> Stored<()> {
        let catalog = &mut self.state.lock().catalog;
        let (mut agents, mut kept) = (catalog.agents.clone(), catalog.scenarios.clone());
        for document in documents {
            match document {
                NewDocument::Agent(id, spec) => {
                    let agent = Agent { id, revision: 1, updated_at: now, spec: *spec };
                    if agents.insert(id, Kept::new(Some(space), agent)).is_some() {
                        return Err(StoreError::Duplicate("agent"));
                    }
                }
                NewDocument::Scenario(id, spec) => {
                    let first = scenarios::revision(id, 1, None, &spec, now);
                    if kept.insert(id, Kept::new(Some(space), first)).is_some() {
                        return Err(StoreError::Duplicate("scenario"));
                    }
                }
            }
        }
        (catalog.agents, catalog.scenarios) = (agents, kept);
        Ok(())
    }
}
