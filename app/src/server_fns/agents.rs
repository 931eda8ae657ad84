//! Agents: the list and the editor.

use super::Choice;
#[cfg(feature = "ssr")]
use crate::domain::AgentSpec;
use crate::domain::{AgentId, Draft, Suite, Timestamp};
#[cfg(feature = "ssr")]
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::Page;
use crate::services::Rejected;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{AgentQuery, AgentsQuery, ask};

/// What the editor of an agent shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentData {
    /// Which one; `None` for a new one.
    pub agent: Option<AgentHead>,
    /// It as it is stored, as a form shows it.
    pub stored: Draft,
    /// What was typed before and not accepted, or is only half done.
    pub rejected: Option<Rejected>,
    /// Where that differs from what is stored, in words.
    pub differs: String,
    /// How models can be reached.
    pub connections: Vec<Choice>,
    /// Its latest suites.
    pub suites: Vec<Suite>,
}

/// An agent in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its category.
    pub category: String,
    /// Its model.
    pub model: String,
    /// How many tools it has.
    pub tools: u32,
    /// Its revision.
    pub revision: u32,
    /// When that was saved.
    pub updated_at: Timestamp,
}

/// Which agent is edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentHead {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u32,
}

/// Agents by name.
#[cfg(feature = "ssr")]
pub(super) async fn agents(AgentsQuery { after }: AgentsQuery) -> Result<Page<AgentRow>, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let cursor = crate::services::Cursor { after, limit: Some(100) };
    let page = ask::answered(services.agents.agents(&caller, &cursor).await)?;
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

/// The editor of one agent, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn agent_form(
    AgentQuery { id, draft }: AgentQuery,
) -> Result<AgentData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let mut form = AgentData {
        agent: None,
        stored: Draft::default(),
        rejected: ask::rejected(draft.as_deref()).await,
        differs: String::new(),
        connections: super::settings::choices(&caller).await?,
        suites: Vec::new(),
    };
    if let Some(id) = id {
        let id = ask::answered(ask::id(&id, "agent"))?;
        let agent = ask::answered(services.agents.agent(&caller, id).await)?;
        let spec = serde_json::to_value(&agent.spec).unwrap_or_default();
        let typed = form.rejected.as_ref().map(|typed| AgentSpec::parse(&typed.draft));
        form.differs = ask::differs(&spec, typed);
        form.stored = crate::components::form_data::stored(spec);
        form.agent = Some(AgentHead { id, name: agent.spec.name, revision: agent.revision });
        let filter = crate::services::HistoryFilter { agent: Some(id), ..Default::default() };
        let cursor = crate::services::Cursor { after: None, limit: Some(5) };
        form.suites =
            ask::answered(services.results.suites(&caller, &filter, &cursor).await)?.items;
    }
    Ok(form)
}
