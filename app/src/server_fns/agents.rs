//! Agents: the list and the editor.

use super::ConnectionChoice;
#[cfg(feature = "ssr")]
use crate::domain::AgentSpec;
use crate::domain::{AgentId, Draft, Suite, Timestamp, Turn};
#[cfg(feature = "ssr")]
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::ListPage;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{AgentChatQuery, AgentQuery, AgentsQuery, request};

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
    /// Whether the agent is called over HTTP.
    pub is_deployed: bool,
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

/// The data of the chat with an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentChatData {
    pub agent: AgentHead,
    pub turns: Vec<Turn>,
    /// The turns as JSON, which the form posts with the next message.
    pub conversation: String,
    /// A message that could not be sent.
    pub message: String,
    /// Why a message or an answer failed.
    pub detail: String,
    /// Whether the answer to the last message is incomplete.
    pub awaits_answer: bool,
    pub ended: bool,
}

/// A chat with an agent, or the beginning of one.
#[cfg(feature = "ssr")]
pub(super) async fn agent_chat(
    AgentChatQuery { id, saved_form }: AgentChatQuery,
) -> Result<AgentChatData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let id = request::id(&id, "agent")?;
    let agent = services.agents.agent(&caller, id).await?;
    let saved = request::rejected(saved_form.as_deref()).await.unwrap_or_default();
    let conversation = saved.draft.text("conversation");
    let turns: Vec<Turn> = serde_json::from_str(&conversation).unwrap_or_default();
    Ok(AgentChatData {
        agent: AgentHead { id, name: agent.spec.name, revision: agent.revision },
        conversation: if turns.is_empty() { String::new() } else { conversation },
        turns,
        message: saved.draft.text("message"),
        detail: saved.detail,
        awaits_answer: saved.draft.flag("awaits_answer", false),
        ended: saved.draft.flag("ended", false),
    })
}

/// Agents by name.
#[cfg(feature = "ssr")]
pub(super) async fn agents(
    AgentsQuery { after }: AgentsQuery,
) -> Result<ListPage<AgentRow>, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let cursor = crate::services::Cursor { after, limit: Some(100) };
    let page = services.agents.agents(&caller, &cursor).await?;
    let row = |agent: crate::domain::Agent| AgentRow {
        id: agent.id,
        name: agent.spec.name,
        description: agent.spec.description,
        category: agent.spec.category,
        model: if agent.spec.http.is_some() { "HTTP".to_owned() } else { agent.spec.model },
        tools: u32::try_from(agent.spec.tools.len()).unwrap_or(u32::MAX),
        revision: agent.revision,
        updated_at: agent.updated_at,
    };
    Ok(ListPage { items: page.items.into_iter().map(row).collect(), next: page.next })
}

/// The editor of an agent, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn agent_form(
    AgentQuery { id, saved_form, deployed }: AgentQuery,
) -> Result<AgentData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let mut form = AgentData {
        agent: None,
        stored: Draft::default(),
        rejected: request::rejected(saved_form.as_deref()).await,
        differs: String::new(),
        connections: Vec::new(),
        is_deployed: deployed,
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
    let drafts = [form.rejected.as_ref().map(|rejected| &rejected.draft), Some(&form.stored)];
    form.is_deployed |= drafts.into_iter().flatten().any(is_deployed);
    form.connections = super::settings::choices(&caller, form.is_deployed).await?;
    Ok(form)
}

/// Whether a draft describes an agent that is called over HTTP.
#[must_use]
pub fn is_deployed(draft: &Draft) -> bool {
    draft.at("http").is_some_and(|http| !http.is_null())
}
