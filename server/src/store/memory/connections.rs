//! Connections in memory.

use super::{Kept, MemoryStore};
use crate::store::catalog::{ConnectionRow, ConnectionStore, KeyEdit};
use crate::store::{StoreError, Stored};
use app::domain::{ConnectionId, ModelChoice, SpaceId, Timestamp};
use async_trait::async_trait;

#[async_trait]
impl ConnectionStore for MemoryStore {
    async fn create_connection(&self, row: &ConnectionRow) -> Stored<()> {
        self.state.lock().catalog.connections.insert(row.id, row.clone());
        Ok(())
    }

    async fn update_connection(
        &self,
        row: &ConnectionRow,
        key: KeyEdit,
        based_on: Option<Timestamp>,
    ) -> Stored<Option<ConnectionRow>> {
        let connections = &mut self.state.lock().catalog.connections;
        let known = connections.get_mut(&row.id).filter(|known| known.space_id == row.space_id);
        let Some(known) = known else { return Ok(None) };
        if based_on.is_some_and(|at| at != known.updated_at) {
            return Err(StoreError::Stale);
        }
        let mut changed = ConnectionRow { created_at: known.created_at, ..row.clone() };
        if key == KeyEdit::Keep {
            changed.key_ciphertext = known.key_ciphertext.take();
            changed.key_last4 = known.key_last4.take();
        }
        *known = changed.clone();
        Ok(Some(changed))
    }

    async fn connections(&self, space: SpaceId) -> Stored<Vec<ConnectionRow>> {
        let state = self.state.lock();
        let own = state.catalog.connections.values().filter(|row| row.space_id == space);
        let mut rows: Vec<_> = own.cloned().collect();
        rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(rows)
    }

    async fn connection(&self, space: SpaceId, id: ConnectionId) -> Stored<Option<ConnectionRow>> {
        let state = self.state.lock();
        Ok(state.catalog.connections.get(&id).filter(|row| row.space_id == space).cloned())
    }

    async fn connection_for_engine(&self, id: ConnectionId) -> Stored<Option<ConnectionRow>> {
        Ok(self.state.lock().catalog.connections.get(&id).cloned())
    }

    async fn delete_connection(&self, space: SpaceId, id: ConnectionId) -> Stored<bool> {
        let held_by_runs = self.held_by_runs(id);
        let mut state = self.state.lock();
        if state.catalog.connections.get(&id).is_none_or(|row| row.space_id != space) {
            return Ok(false);
        }
        let mut agents = state.catalog.agents.values().filter_map(Kept::newest);
        if let Some(agent) = agents.find(|agent| agent.spec.connection_id == id) {
            let words = format!("the agent “{}” uses it", agent.spec.name);
            return Err(StoreError::InUse(words));
        }
        let names_it = |choice: &Option<ModelChoice>| {
            choice.as_ref().is_some_and(|choice| choice.connection_id == id)
        };
        let mut settings = state.settings.settings.values();
        if settings.any(|s| names_it(&s.judge) || names_it(&s.simulated_user)) {
            let words = "the settings name it for the judge or the simulated user";
            return Err(StoreError::InUse(words.into()));
        }
        if held_by_runs {
            return Err(StoreError::InUse("unfinished runs use it".into()));
        }
        Ok(state.catalog.connections.remove(&id).is_some())
    }
}
