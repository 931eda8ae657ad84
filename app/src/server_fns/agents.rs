//! Agents: the list and the editor.

use super::ConnectionChoice;
#[cfg(feature = "ssr")]
use crate::domain::AgentSpec;
use crate::domain::{AgentId, Draft, Suite, Timestamp};
#[cfg(feature = "ssr")]
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::Page;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{AgentQuery, AgentsQuery, request};

/// The data of the agent editor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentData {
    pub agent: Option<AgentHead>,
    /// The stored object in the shape of the form.
    pub stored: Draft,
    /// The rejected or unfinished input to restore.
    pub rejected: Option<SavedForm>,
    /// The differences between `rejected` and the stored object, as text.
    pub differs: String,
    /// The connections to select from.
    pub connections: Vec<ConnectionChoice>,
    pub suites: Vec<Suite>,
}

/// An agent in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    pub id: AgentId,
    pub name: String,
    pub description: String,
    pub category: String,
    pub model: String,
    pub tools: u32,
    pub revision: u32,
    pub updated_at: Timestamp,
}

/// The edited agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentHead {
    pub id: AgentId,
    pub name: String,
    pub revision: u32,
}

/// Agents by name.
#[cfg(feature = "ssr")]
pub(super) async fn agents(AgentsQuery { after }: AgentsQuery) -> Result<Page<AgentRow>, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let cursor = crate::services::Cursor { after, limit: Some(100) };
    let page = services.agents.agents(&caller, &cursor).await?;
    let row = |agent: crate::domain::Agent| AgentRow {
        id: agent.id,
        name: agent.spec.name,
        description: agent.spec.description,
        category: agent.spec.category,
        model: agent.spec.model,
        tools: u32::try_from(agent.spec.tools.len()).unwrap_or(u32::MAX),
        revision: agent.revision,
        updated_at: agent.updated_at,
    };
    Ok(Page { items: page.items.into_iter().map(row).collect(), next: page.next })
}

/// The editor of an agent, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn agent_form(
    AgentQuery { id, saved_form }: AgentQuery,
) -> Result<AgentData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let mut form = AgentData {
        agent: None,
        stored: Draft::default(),
        rejected: request::rejected(saved_form.as_deref()).await,
        differs: String::new(),
        connections: super::settings::choices(&caller).await?,
        suites: Vec::new(),
    };
    if let Some(id) = id {
        let id = request::id(&id, "agent")?;
        let agent = services.agents.agent(&caller, id).await?;
        let spec = serde_json::to_value(&agent.spec).unwrap_or_default();
        let typed = form.rejected.as_ref().map(|typed| AgentSpec::parse(&typed.draft));
        form.differs = request::differs(&spec, typed);
        form.stored = crate::components::form_data::editable_draft(spec);
        form.agent = Some(AgentHead { id, name: agent.spec.name, revision: agent.revision });
        let filter = crate::services::HistoryFilter { agent: Some(id), ..Default::default() };
        let cursor = crate::services::Cursor { after: None, limit: Some(5) };
        form.suites = services.results.suites(&caller, &filter, &cursor).await?.items;
    }
    Ok(form)
}
