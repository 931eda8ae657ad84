//! Agents: the list and the editor.

use crate::backend::{Page, Rejected};
use crate::domain::{Agent, Connection, Suite};
use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::ask;

/// What the editor of an agent shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentData {
    /// The agent as it is stored; `None` for a new one.
    pub agent: Option<Agent>,
    /// What was typed before and not accepted, or is only half done.
    pub rejected: Option<Rejected>,
    /// How models can be reached.
    pub connections: Vec<Connection>,
    /// Its latest suites.
    pub suites: Vec<Suite>,
}

/// Agents by name.
#[server(prefix = "/fn", endpoint = "agents", input = Json)]
pub async fn agents(after: Option<String>) -> Result<Page<Agent>, AppError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    let cursor = crate::backend::Cursor { after, limit: Some(100) };
    ask::answered(backend.agents(&caller, &cursor).await)
}

/// The editor of one agent, or of a new one.
#[server(prefix = "/fn", endpoint = "agent-form", input = Json)]
pub async fn agent_form(id: Option<String>, draft: Option<String>) -> Result<AgentData, AppError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    let mut form = AgentData {
        agent: None,
        rejected: ask::rejected(draft.as_deref()).await,
        connections: ask::answered(backend.connections(&caller).await)?,
        suites: Vec::new(),
    };
    if let Some(id) = id {
        let id = ask::answered(ask::id(&id, "agent"))?;
        form.agent = Some(ask::answered(backend.agent(&caller, id).await)?);
        let filter = crate::backend::HistoryFilter { agent: Some(id), ..Default::default() };
        let cursor = crate::backend::Cursor { after: None, limit: Some(5) };
        form.suites = ask::answered(backend.suites(&caller, &filter, &cursor).await)?.items;
    }
    Ok(form)
}
