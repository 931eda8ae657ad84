//! Agents.

use super::{Catalog, cursor, naming};
use crate::account_log::{AccountEvent, log_event};
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use conversation::check_tool_schema;
use domain::error::AppError;
use domain::services::{AgentService, AppResult, Caller, Cursor, ListPage};
use domain::{Agent, AgentId, AgentSpec, ConnectionId, ConnectionKind, Draft, Problem};
use store::catalog::NameCursor;
use uuid::Uuid;

fn agent_not_found() -> AppError {
    AppError::not_found("agent")
}

fn cursor_of(agent: &Agent) -> String {
    cursor::encode(&NameCursor { key: agent.spec.name.clone(), id: agent.id.0 })
}

/// A problem for each tool whose schema cannot be used to validate calls of that tool.
fn unusable_schemas(spec: &AgentSpec) -> Vec<Problem> {
    let checked = spec.tools.iter().map(|tool| check_tool_schema(&tool.parameters));
    let failed = checked.enumerate().filter_map(|(i, result)| Some((i, result.err()?)));
    failed.map(|(i, why)| Problem::new(format!("tools[{i}].parameters"), why)).collect()
}

/// Why an agent cannot use a connection of this kind.
fn unfit_connection(kind: Option<ConnectionKind>, is_deployed: bool) -> Option<&'static str> {
    match (kind, is_deployed) {
        (None, _) => Some("is not one of your connections"),
        (Some(ConnectionKind::HttpAgent), false) => {
            Some("leads to a deployed agent, which has no model; describe the agent in http")
        }
        (Some(ConnectionKind::HttpAgent), true) | (Some(_), false) => None,
        (Some(_), true) => {
            Some("leads to a model; an agent with http needs a connection of kind http_agent")
        }
    }
}

#[async_trait]
impl AgentService for Catalog {
    async fn agents(&self, caller: &Caller, cursor: &Cursor) -> AppResult<ListPage<Agent>> {
        let (after, limit) = cursor::read(cursor)?;
        let agents = self.store.agents(caller.space_id, after, limit + 1).await.or_app_error()?;
        Ok(cursor::page(agents, limit, cursor_of))
    }

    async fn agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent> {
        let agent = self.store.agent(caller.space_id, id).await.or_app_error()?;
        agent.ok_or_else(agent_not_found)
    }

    async fn agent_revisions(&self, caller: &Caller, id: AgentId) -> AppResult<Vec<Agent>> {
        let revisions = self.store.agent_revisions(caller.space_id, id).await.or_app_error()?;
        if revisions.is_empty() { Err(agent_not_found()) } else { Ok(revisions) }
    }

    async fn create_agent(&self, caller: &Caller, draft: &Draft) -> AppResult<Agent> {
        let spec = self.agent_spec(caller, draft).await?;
        self.put_agent(caller, &spec).await
    }

    async fn update_agent(
        &self,
        caller: &Caller,
        id: AgentId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Agent> {
        // The owner is checked first: another user learns nothing about their draft.
        self.check_agent_owner(caller, id).await?;
        let spec = self.agent_spec(caller, draft).await?;
        let now = self.clock.now();
        let saved = self.store.update_agent(caller.space_id, id, revision, &spec, now);
        saved.await.or_app_error()?.ok_or_else(agent_not_found)
    }

    async fn delete_agent(&self, caller: &Caller, id: AgentId) -> AppResult<()> {
        let now = self.clock.now();
        let deleted = self.store.delete_agent(caller.space_id, id, now).await.or_app_error()?;
        if !deleted {
            return Err(agent_not_found());
        }
        log_event(AccountEvent::AgentDeleted, Some(caller.user_id), Some(id.0));
        Ok(())
    }

    async fn duplicate_agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent> {
        let original = self.agent(caller, id).await?;
        for name in naming::copies(&original.spec.name) {
            if self.agent_named(caller, &name).await?.is_none() {
                let spec = AgentSpec { name, ..original.spec.clone() };
                return self.put_agent(caller, &spec).await;
            }
        }
        Err(AppError::conflict("There are too many copies of this agent."))
    }
}

impl Catalog {
    /// The caller's agents that use a connection, among the first 200 by name.
    pub(super) async fn agents_using(
        &self,
        caller: &Caller,
        connection: ConnectionId,
    ) -> AppResult<Vec<Agent>> {
        let mut agents =
            self.agents(caller, &Cursor { after: None, limit: Some(200) }).await?.items;
        agents.retain(|agent| agent.spec.connection_id == connection);
        Ok(agents)
    }

    /// A model of a connection, taken from an agent that uses it.
    pub(super) async fn model_used_by_agents(
        &self,
        caller: &Caller,
        connection: ConnectionId,
    ) -> AppResult<Option<String>> {
        let agents = self.agents_using(caller, connection).await?;
        Ok(agents.into_iter().map(|agent| agent.spec.model).min())
    }

    /// The valid agent, or all of its problems. The caller must be allowed to use
    /// its connection.
    pub(super) async fn agent_spec(&self, caller: &Caller, draft: &Draft) -> AppResult<AgentSpec> {
        let parsed = AgentSpec::parse(draft);
        let mut problems = parsed.as_ref().err().cloned().unwrap_or_default();
        // The parser reports an id that cannot be parsed.
        if let Ok(id) = draft.text("connection_id").parse::<ConnectionId>() {
            let kind = self.connection_kind(caller, id).await?;
            let is_deployed = draft.at("http").is_some_and(|http| !http.is_null());
            if let Some(problem) = unfit_connection(kind, is_deployed) {
                problems.push(Problem::new("connection_id", problem));
            }
        }
        problems.extend(parsed.iter().flat_map(unusable_schemas));
        match parsed {
            Ok(spec) if problems.is_empty() => Ok(spec),
            _ => Err(AppError::invalid(problems)),
        }
    }

    pub(super) async fn put_agent(&self, caller: &Caller, spec: &AgentSpec) -> AppResult<Agent> {
        let (id, now) = (self.clock.uuid().into(), self.clock.now());
        self.store.create_agent(caller.space_id, id, spec, now).await.or_app_error()
    }

    /// Checks that the agent belongs to the caller. A corrupt agent does too, so
    /// that saving can repair it.
    async fn check_agent_owner(&self, caller: &Caller, id: AgentId) -> AppResult<()> {
        match self.store.agent(caller.space_id, id).await {
            Ok(None) => Err(agent_not_found()),
            Ok(Some(_)) | Err(store::StoreError::Corrupt { .. }) => Ok(()),
            Err(other) => Err(crate::errors::app_error(other)),
        }
    }

    /// The first agent with exactly this name.
    pub(crate) async fn agent_named(
        &self,
        caller: &Caller,
        name: &str,
    ) -> AppResult<Option<Agent>> {
        let before = NameCursor { key: name.to_owned(), id: Uuid::nil() };
        let next = self.store.agents(caller.space_id, Some(before), 1).await.or_app_error()?;
        Ok(next.into_iter().next().filter(|agent| agent.spec.name == name))
    }
}
