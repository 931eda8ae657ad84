//! Settings, rejected form input and small facts in memory.

use super::MemoryStore;
use crate::store::Stored;
use crate::store::catalog::{KEPT_DRAFTS, SettingStore};
use app::domain::{DraftId, Settings, SpaceId, Timestamp};
use async_trait::async_trait;

#[async_trait]
impl SettingStore for MemoryStore {
    async fn settings(&self, space: SpaceId) -> Stored<Settings> {
        Ok(self.state.lock().settings.settings.get(&space).cloned().unwrap_or_default())
    }

    async fn put_settings(&self, space: SpaceId, settings: &Settings) -> Stored<()> {
        self.state.lock().settings.settings.insert(space, settings.clone());
        Ok(())
    }

    async fn put_draft(
        &self,
        space: Option<SpaceId>,
        id: DraftId,
        body: &str,
        now: Timestamp,
    ) -> Stored<()> {
        let drafts = &mut self.state.lock().settings.drafts;
        drafts.retain(|_, (_, _, at)| now.since(*at) < KEPT_DRAFTS);
        drafts.insert(id, (space, body.to_owned(), now));
        Ok(())
    }

    async fn draft(
        &self,
        space: Option<SpaceId>,
        id: DraftId,
        now: Timestamp,
    ) -> Stored<Option<String>> {
        let state = self.state.lock();
        let draft = state.settings.drafts.get(&id);
        let draft = draft.filter(|(of, _, at)| *of == space && now.since(*at) < KEPT_DRAFTS);
        Ok(draft.map(|(_, body, _)| body.clone()))
    }

    async fn fact(&self, name: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.state.lock().settings.facts.get(name).cloned())
    }

    async fn put_fact(&self, name: &str, value: &[u8]) -> Stored<()> {
        self.state.lock().settings.facts.insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    async fn writable(&self, _now: Timestamp) -> Stored<()> {
        Ok(())
    }
}
