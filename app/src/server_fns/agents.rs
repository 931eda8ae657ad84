//! Agents: the list and the editor.

use super::{Choice, ConnectionChoice};
#[cfg(feature = "ssr")]
use crate::domain::AgentSpec;
#[cfg(feature = "ssr")]
use crate::domain::http_agent::{AgentPreset, without_hidden_fields};
use crate::domain::{AgentCost, AgentId, Draft, Suite, Timestamp, Turn};
#[cfg(feature = "ssr")]
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::ListPage;
use crate::services::{AgentTrial, SavedForm};
use serde::{Deserialize, Serialize};
#[cfg(feature = "ssr")]
use serde_json::json;

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
    /// The presets of a new deployed agent. The description of each is what to know about it.
    pub presets: Vec<Choice>,
    /// The chosen preset.
    pub preset: String,
    /// What a deployed agent answered when it was tried with the rejected input.
    pub trial: Option<AgentTrial>,
    pub suites: Vec<Suite>,
    /// The cost of all suites of the agent.
    pub cost: AgentCost,
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
    /// The session with a deployed agent as JSON, which the form posts too.
    pub session: String,
    /// Whether the agent is called over HTTP.
    pub is_deployed: bool,
    /// Whether the agent speaks first, and has not yet.
    pub agent_begins: bool,
    /// Whether there is a session that can be ended.
    pub may_end: bool,
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
    let session = saved.draft.text("session");
    let http = agent.spec.http.as_deref();
    let has_end = http.is_some_and(|http| http.session.end.is_some());
    Ok(AgentChatData {
        is_deployed: http.is_some(),
        agent_begins: http.is_some() && agent.spec.begins() && turns.is_empty(),
        may_end: has_end && !turns.is_empty() && !session.is_empty(),
        session,
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
        is_deployed: deployed.is_some(),
        presets: Vec::new(),
        preset: String::new(),
        trial: None,
        suites: Vec::new(),
        cost: AgentCost::default(),
    };
    if let Some(id) = id {
        let id = request::id(&id, "agent")?;
        let agent = services.agents.agent(&caller, id).await?;
        let spec = serde_json::to_value(&agent.spec).unwrap_or_default();
        let typed = form.rejected.as_ref();
        let typed = typed.map(|typed| AgentSpec::parse(&without_hidden_fields(&typed.draft)));
        form.differs = request::differs(&spec, typed);
        form.stored = crate::components::form_data::editable_draft(spec);
        form.agent = Some(AgentHead { id, name: agent.spec.name, revision: agent.revision });
        let filter = crate::services::HistoryFilter { agent: Some(id), ..Default::default() };
        let cursor = crate::services::Cursor { after: None, limit: Some(5) };
        form.cost = services.costs.agent_cost(&caller, id).await?;
        form.suites = services.results.suites(&caller, &filter, &cursor).await?.items;
    }
    let drafts = [form.rejected.as_ref().map(|rejected| &rejected.draft), Some(&form.stored)];
    form.is_deployed |= drafts.into_iter().flatten().any(is_deployed);
    form.connections = super::settings::choices(&caller, form.is_deployed).await?;
    let trial = form.rejected.as_ref().map(|rejected| rejected.draft.text("trial"));
    form.trial = trial.and_then(|trial| serde_json::from_str(&trial).ok());
    if form.agent.is_none() && form.is_deployed {
        let preset = deployed.as_deref().and_then(AgentPreset::parse);
        form.stored = new_deployed_agent(preset, &form.connections);
        form.presets = presets();
        form.preset = preset.map_or_else(String::new, |preset| preset.to_string());
    }
    Ok(form)
}

#[cfg(feature = "ssr")]
fn presets() -> Vec<Choice> {
    let choice = |(id, preset): &(&str, AgentPreset)| Choice {
        id: (*id).to_owned(),
        name: preset.label().to_owned(),
        about: preset.hint().to_owned(),
    };
    AgentPreset::ALL.iter().map(choice).collect()
}

/// What the form of a new deployed agent begins with: a preset, or a JSON endpoint that
/// gets the whole conversation.
#[cfg(feature = "ssr")]
fn new_deployed_agent(preset: Option<AgentPreset>, connections: &[ConnectionChoice]) -> Draft {
    let name = preset.map_or("", AgentPreset::label);
    let http = preset.map_or_else(
        || {
            json!({"request": {"path": "/chat", "body": {"messages": "{{messages}}"}},
                "response": {"text": "/reply"}})
        },
        AgentPreset::http,
    );
    let connection = match connections {
        [only] => only.id.as_str(),
        _ => "",
    };
    let draft = json!({"name": name, "connection_id": connection, "http": http});
    crate::components::form_data::editable_draft(draft)
}

/// Whether a draft describes an agent that is called over HTTP.
#[must_use]
pub fn is_deployed(draft: &Draft) -> bool {
    draft.at("http").is_some_and(|http| !http.is_null())
}
