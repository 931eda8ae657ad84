//! Agents.

use super::{Catalog, cursor, naming};
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AgentService, AppResult, Caller, Cursor, Page};
use domain::{Agent, AgentId, AgentSpec, ConnectionId, Draft, Problem};
use store::catalog::After;
use uuid::Uuid;

fn no_agent() -> AppError {
    AppError::not_found("agent")
}

fn place(agent: &Agent) -> After {
    After { key: agent.spec.name.clone(), id: agent.id.0 }
}

/// A problem for each tool whose schema cannot be used: calls of that tool
/// could not be checked.
fn unusable_schemas(spec: &AgentSpec) -> Vec<Problem> {
    let compiled = spec.tools.iter().map(|tool| jsonschema::validator_for(&tool.parameters));
    let failed = compiled.enumerate().filter_map(|(i, result)| Some((i, result.err()?)));
    failed
        .map(|(i, error)| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { place } else { format!(" (at {place})") };
            let message = format!("is no JSON Schema that can be used{place}");
            Problem::new(format!("tools[{i}].parameters"), message)
        })
        .collect()
}

#[async_trait]
impl AgentService for Catalog {
    async fn agents(&self, caller: &Caller, cursor: &Cursor) -> AppResult<Page<Agent>> {
        let (after, limit) = cursor::read(cursor)?;
        let agents =
            self.stores.agents.agents(caller.space_id, after, limit + 1).await.or_app_error()?;
        Ok(cursor::page(agents, limit, place))
    }

    async fn agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent> {
        self.stores.agents.agent(caller.space_id, id).await.or_app_error()?.ok_or_else(no_agent)
    }

    async fn agent_revisions(&self, caller: &Caller, id: AgentId) -> AppResult<Vec<Agent>> {
        let revisions =
            self.stores.agents.agent_revisions(caller.space_id, id).await.or_app_error()?;
        if revisions.is_empty() { Err(no_agent()) } else { Ok(revisions) }
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
        // Whose it is comes first: a stranger hears nothing of their draft.
        self.own_agent(caller, id).await?;
        let spec = self.agent_spec(caller, draft).await?;
        let now = self.clock.now();
        let saved = self.stores.agents.update_agent(caller.space_id, id, revision, &spec, now);
        saved.await.or_app_error()?.ok_or_else(no_agent)
    }

    async fn delete_agent(&self, caller: &Caller, id: AgentId) -> AppResult<()> {
        let now = self.clock.now();
        let gone =
            self.stores.agents.delete_agent(caller.space_id, id, now).await.or_app_error()?;
        if gone { Ok(()) } else { Err(no_agent()) }
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
    /// The agents of the caller that use a connection, by name, among their
    /// first two hundred.
    pub(super) async fn agents_of(
        &self,
        caller: &Caller,
        connection: ConnectionId,
    ) -> AppResult<Vec<Agent>> {
        let mut agents =
            self.agents(caller, &Cursor { after: None, limit: Some(200) }).await?.items;
        agents.retain(|agent| agent.spec.connection_id == connection);
        Ok(agents)
    }

    /// A model that a connection offers, as one of its agents says.
    pub(super) async fn a_model_of(
        &self,
        caller: &Caller,
        connection: ConnectionId,
    ) -> AppResult<Option<String>> {
        let agents = self.agents_of(caller, connection).await?;
        Ok(agents.into_iter().map(|agent| agent.spec.model).min())
    }

    /// The valid agent, or all that is wrong with it: the connection too must
    /// be one that the caller may use.
    pub(super) async fn agent_spec(&self, caller: &Caller, draft: &Draft) -> AppResult<AgentSpec> {
        let parsed = AgentSpec::parse(draft);
        let connection = draft.text("connection_id").parse::<ConnectionId>();
        let foreign = match connection {
            Ok(id) => !self.may_use(caller, id).await?,
            Err(_) => false, // said by the parser
        };
        let foreign =
            foreign.then(|| Problem::new("connection_id", "is not one of your connections"));
        let (spec, mut problems) = match parsed {
            Ok(spec) => (Some(spec), Vec::new()),
            Err(problems) => (None, problems),
        };
        problems.extend(foreign);
        problems.extend(spec.iter().flat_map(unusable_schemas));
        match spec {
            Some(spec) if problems.is_empty() => Ok(spec),
            _ => Err(AppError::invalid(problems)),
        }
    }

    pub(super) async fn put_agent(&self, caller: &Caller, spec: &AgentSpec) -> AppResult<Agent> {
        let (id, now) = (self.clock.uuid().into(), self.clock.now());
        Ok(self.stores.agents.create_agent(caller.space_id, id, spec, now).await.or_app_error()?)
    }

    /// That it is the caller's; a damaged one is theirs too, to be repaired.
    async fn own_agent(&self, caller: &Caller, id: AgentId) -> AppResult<()> {
        match self.stores.agents.agent(caller.space_id, id).await {
            Ok(None) => Err(no_agent()),
            Ok(Some(_)) | Err(store::StoreError::Damaged(_)) => Ok(()),
            Err(other) => Err(crate::errors::app_error(other)),
        }
    }

    /// The first agent of exactly this name.
    pub(crate) async fn agent_named(
        &self,
        caller: &Caller,
        name: &str,
    ) -> AppResult<Option<Agent>> {
        let before = After { key: name.to_owned(), id: Uuid::nil() };
        let next =
            self.stores.agents.agents(caller.space_id, Some(before), 1).await.or_app_error()?;
        Ok(next.into_iter().next().filter(|agent| agent.spec.name == name))
    }
}
