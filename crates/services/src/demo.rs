//! The demo agent and its connection.

use super::Catalog;
use super::errors::internal;
use crate::builtin;
use domain::services::{AppResult, Caller, ConnectionService};
use domain::{Agent, ConnectionId, ConnectionKind, Draft};
use serde_json::json;

impl Catalog {
    /// The caller's demo agent with a demo connection. Creates what is missing.
    pub async fn demo_agent(&self, caller: &Caller) -> AppResult<Agent> {
        let _one_at_a_time = self.demo_creation.lock().await;
        let demo_connections = self.demo_connections(caller).await?;
        let spec = builtin::demo_agent(demo_connections[0])
            .map_err(|error| internal(&error, "read the demo agent"))?;
        match self.agent_named(caller, &spec.name).await? {
            Some(agent) if demo_connections.contains(&agent.spec.connection_id) => Ok(agent),
            _ => self.put_agent(caller, &spec).await,
        }
    }

    /// The caller's demo connections, at least one. Creates one if there is none.
    async fn demo_connections(&self, caller: &Caller) -> AppResult<Vec<ConnectionId>> {
        let mut connections = self.connections(caller).await?;
        connections.retain(|connection| connection.kind == ConnectionKind::Demo);
        if connections.is_empty() {
            let draft = Draft(json!({"name": "Demo (offline model)", "kind": "demo"}));
            connections.push(self.create_connection(caller, &draft).await?);
        }
        Ok(connections.into_iter().map(|connection| connection.id).collect())
    }
}
