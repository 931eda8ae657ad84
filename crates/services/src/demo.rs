//! The demo agent and its connection.

use super::Catalog;
use super::errors::internal;
use crate::builtin;
use domain::services::ConnectionService;
use domain::services::{AppResult, Caller};
use domain::{Agent, Connection, ConnectionId, ConnectionKind, Draft};
use serde_json::json;

impl Catalog {
    /// The caller's demo agent with a demo connection. Creates what is missing.
    pub async fn demo_agent(&self, caller: &Caller) -> AppResult<Agent> {
        let _one_at_a_time = self.demo_creation.lock().await;
        let connection = self.demo_connection(caller).await?;
        let spec = builtin::demo_agent(connection)
            .map_err(|error| internal(&error, "read the demo agent"))?;
        match self.agent_named(caller, &spec.name).await? {
            Some(agent) if self.is_demo(caller, agent.spec.connection_id).await? => Ok(agent),
            _ => self.put_agent(caller, &spec).await,
        }
    }

    async fn demo_connection(&self, caller: &Caller) -> AppResult<ConnectionId> {
        let known = self.connections(caller).await?;
        let demo = |connection: &&Connection| connection.kind == ConnectionKind::Demo;
        if let Some(connection) = known.iter().find(demo) {
            return Ok(connection.id);
        }
        let draft = Draft(json!({"name": "Demo (offline model)", "kind": "demo"}));
        Ok(self.create_connection(caller, &draft).await?.id)
    }

    async fn is_demo(&self, caller: &Caller, id: ConnectionId) -> AppResult<bool> {
        let known = self.connections(caller).await?;
        Ok(known.iter().any(|known| known.id == id && known.kind == ConnectionKind::Demo))
    }
}
