//! Connections of the caller, and those that the server offers.

use super::Catalog;
use super::connection_edit::ConnectionEdit;
use crate::account_log::{AccountEvent, log_event};
use crate::errors::{StoreResultExt, app_error};
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, ConnectionService};
use domain::{
    AuthScheme, Breaker, Connection, ConnectionId, ConnectionKind, ConnectionSpec, ConnectionTest,
    Draft, Timestamp,
};
use llm::{CallError, ChatReply, ChatRequest, Endpoint};
use std::time::Duration;
use store::StoreError;
use store::catalog::ConnectionRow;

/// The outbound path, as far as it concerns connections.
#[async_trait]
pub trait ProviderAccess: Send + Sync + 'static {
    /// Calls the provider for a plain reply and, if that succeeds, for a tool call and
    /// for structured output. A success ends a suspension and closes an open circuit of
    /// this caller.
    async fn test(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> ConnectionTest;

    /// The models that the server lists; empty if it has no list, or not in time.
    async fn models(&self, _endpoint: &Endpoint) -> Vec<String> {
        Vec::new()
    }

    /// Calls a model within this active time, under the limits and the circuit of the
    /// caller. Also returns the active time that the call used.
    async fn complete(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        request: &ChatRequest,
        time: Duration,
    ) -> (Result<ChatReply, CallError>, Duration);

    /// Why this base URL may not be called; the message follows "base_url".
    async fn check_base_url(&self, base_url: &str) -> Option<String>;

    /// Whether the address of this base URL accepts connections; the error message
    /// follows the connection's name. Dials only addresses that a call may dial.
    async fn check_reachable(&self, base_url: &str) -> Result<(), String>;

    /// The state of the caller's circuit on a connection.
    fn breaker(&self, _caller: &Caller, _id: ConnectionId) -> Breaker {
        Breaker::default()
    }

    /// The state of the caller's circuit for calls to `model`.
    fn model_breaker(&self, caller: &Caller, id: ConnectionId, _model: &str) -> Breaker {
        self.breaker(caller, id)
    }

    /// Forgets everything learned about a connection, because it was edited or deleted.
    fn reset_connection(&self, _id: ConnectionId) {}

    /// Ends the suspensions of a connection that was saved without a change of its
    /// endpoint, because their cause may have been fixed at the provider.
    /// What its server rejected is forgotten too; learned limits and circuits stay.
    fn clear_suspensions(&self, _id: ConnectionId) {}
}

/// The result of a test that ended before a call was made.
fn failed_test(message: String) -> ConnectionTest {
    ConnectionTest { message, ..ConnectionTest::default() }
}

fn connection_not_found() -> AppError {
    AppError::not_found("connection")
}

#[async_trait]
impl ConnectionService for Catalog {
    async fn connections(&self, caller: &Caller) -> AppResult<Vec<Connection>> {
        let own = self.store.connections(caller.space_id).await.or_app_error()?;
        let own = own.into_iter().map(|row| self.view(caller, row));
        let server_wide = self.endpoints.server_wide().iter();
        let server_wide =
            server_wide.map(|one| one.view(self.provider_access.breaker(caller, one.id)));
        Ok(own.chain(server_wide).collect())
    }

    async fn connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<Connection> {
        if let Some(server_wide) = self.endpoints.server_wide_connection(id) {
            return Ok(server_wide.view(self.provider_access.breaker(caller, id)));
        }
        Ok(self.view(caller, self.own_connection(caller, id).await?))
    }

    async fn create_connection(&self, caller: &Caller, draft: &Draft) -> AppResult<Connection> {
        let spec = self.connection_spec(draft).await?;
        let now = self.clock.now();
        let id = self.clock.uuid().into();
        let mut row = ConnectionRow::new(id, caller.space_id, &spec, now);
        let edit = self.edit_of(None, spec)?;
        self.put_secrets(&mut row, &edit)?;
        self.store.create_connection(&row).await.or_app_error()?;
        log_event(AccountEvent::ConnectionCreated, Some(caller.user_id), Some(row.id.0));
        Ok(self.view(caller, row))
    }

    async fn update_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> AppResult<Connection> {
        self.reject_server_wide(id)?;
        let known = self.own_connection(caller, id).await?;
        let spec = self.connection_spec(draft).await?;
        let edit = self.edit_of(Some(&known), spec)?;
        let mut row = known.edited(&edit.spec, self.clock.now());
        let key = self.put_secrets(&mut row, &edit)?;
        // Forms name the version that they showed; API clients may omit it.
        let based_on = draft.text("based_on").parse().ok().map(Timestamp);
        let stored = self.store.update_connection(&row, key, based_on).await.or_app_error()?;
        let stored = stored.ok_or_else(connection_not_found)?;
        log_event(AccountEvent::ConnectionChanged, Some(caller.user_id), Some(id.0));
        if edit.is_same_endpoint {
            self.provider_access.clear_suspensions(id);
        } else {
            self.provider_access.reset_connection(id);
        }
        Ok(self.view(caller, stored))
    }

    async fn delete_connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<()> {
        self.reject_server_wide(id)?;
        match self.store.delete_connection(caller.space_id, id).await {
            Ok(true) => {
                log_event(AccountEvent::ConnectionDeleted, Some(caller.user_id), Some(id.0));
                self.provider_access.reset_connection(id);
                Ok(())
            }
            Ok(false) => Err(connection_not_found()),
            Err(error @ StoreError::InUse(_)) => {
                let in_use = app_error(error);
                Err(match self.agents_using(caller, id).await?.first() {
                    Some(agent) => in_use.with_link(format!("/agents/{}", agent.id)),
                    None => in_use,
                })
            }
            Err(error) => Err(app_error(error)),
        }
    }

    async fn test_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        model: Option<String>,
    ) -> AppResult<ConnectionTest> {
        if !self.may_use(caller, id).await? {
            return Err(connection_not_found());
        }
        let endpoint = match self.endpoints.endpoint(id).await {
            Ok(endpoint) => endpoint,
            Err(error) => return Ok(failed_test(error.message)),
        };
        let tested = self.test_endpoint(caller, id, endpoint, model).await?;
        if !tested.models.is_empty() {
            let stored =
                self.store.put_connection_models(caller.space_id, id, &tested.models).await;
            stored.or_app_error()?;
        }
        Ok(tested)
    }

    async fn test_unsaved_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        typed: &Draft,
    ) -> AppResult<ConnectionTest> {
        self.reject_server_wide(id)?;
        let known = self.own_connection(caller, id).await?;
        let spec = self.connection_spec(typed).await?;
        let model = Some(typed.text("model"));
        let edit = self.edit_of(Some(&known), spec)?;
        if edit.is_same_endpoint {
            return self.test_connection(caller, id, model).await;
        }
        let typed_secrets = edit.typed_secrets();
        let ConnectionEdit { spec, headers, query, .. } = edit;
        let key = match spec.api_key {
            Some(key) => Some(key.into()),
            None if spec.remove_key || spec.auth.scheme == AuthScheme::None => None,
            None => match self.endpoints.endpoint(id).await {
                Ok(stored) => stored.key,
                Err(error) => return Ok(failed_test(error.message)),
            },
        };
        let endpoint = Endpoint {
            connection_id: self.clock.uuid().into(),
            kind: spec.kind,
            base_url: spec.base_url,
            headers,
            query,
            auth: spec.auth,
            key,
            timeout: spec.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        };
        let temporary_id = endpoint.connection_id;
        let mut tested = self.test_endpoint(caller, id, endpoint, model).await?;
        self.provider_access.reset_connection(temporary_id);
        tested.message.push_str(" This tested the unsaved values of the form.");
        if let Some(secrets) = typed_secrets {
            tested.message.push_str(&format!(" Enter {secrets} again before you save."));
        }
        Ok(tested)
    }
}

impl Catalog {
    fn view(&self, caller: &Caller, row: ConnectionRow) -> Connection {
        Connection {
            breaker: self.provider_access.breaker(caller, row.id),
            id: row.id,
            name: row.name,
            kind: row.kind,
            base_url: row.base_url,
            headers: row.headers,
            auth: row.auth,
            query: row.query,
            timeout_seconds: row.timeout_seconds,
            preset: row.preset,
            models: row.models,
            has_key: row.key_ciphertext.is_some(),
            key_last4: row.key_last4,
            server_wide: false,
            updated_at: row.updated_at,
        }
    }

    async fn own_connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<ConnectionRow> {
        let row = self.store.connection(caller.space_id, id).await.or_app_error()?;
        row.ok_or_else(connection_not_found)
    }

    fn reject_server_wide(&self, id: ConnectionId) -> AppResult<()> {
        match self.endpoints.server_wide_connection(id) {
            None => Ok(()),
            Some(_) => Err(AppError::conflict(
                "This connection is offered by the server and set up in its environment. It \
                 cannot be changed here.",
            )),
        }
    }

    /// Whether the connection belongs to the caller or to the server.
    pub(crate) async fn may_use(&self, caller: &Caller, id: ConnectionId) -> AppResult<bool> {
        Ok(self.connection_kind(caller, id).await?.is_some())
    }

    /// The kind of a connection of the caller or of the server; `None` if there is none.
    pub(crate) async fn connection_kind(
        &self,
        caller: &Caller,
        id: ConnectionId,
    ) -> AppResult<Option<ConnectionKind>> {
        if let Some(server_wide) = self.endpoints.server_wide_connection(id) {
            return Ok(Some(server_wide.kind));
        }
        let own = self.store.connection(caller.space_id, id).await.or_app_error()?;
        Ok(own.map(|row| row.kind))
    }

    /// The valid connection, or all of its problems.
    async fn connection_spec(&self, draft: &Draft) -> AppResult<ConnectionSpec> {
        let spec = ConnectionSpec::parse(draft).map_err(AppError::invalid)?;
        if spec.kind != ConnectionKind::Demo
            && let Some(why) = self.provider_access.check_base_url(&spec.base_url).await
        {
            return Err(AppError::problem("base_url", why));
        }
        if !spec.auth.token_url.is_empty()
            && let Some(why) = self.provider_access.check_base_url(&spec.auth.token_url).await
        {
            return Err(AppError::problem("auth.token_url", why));
        }
        Ok(spec)
    }

    /// Whether the address of a deployed agent accepts connections. What to send is known
    /// to its agents only.
    async fn test_agent_address(&self, endpoint: &Endpoint) -> ConnectionTest {
        match self.provider_access.check_reachable(&endpoint.base_url).await {
            Ok(()) => ConnectionTest {
                ok: true,
                message: "The address accepts connections. Nothing was sent: an agent that uses this connection knows what to send.".to_owned(),
                ..ConnectionTest::default()
            },
            Err(why) => failed_test(format!("The connection {why}.")),
        }
    }

    /// Tests `endpoint` and lists its models; without a model, tests one that the agents
    /// of connection `id` use.
    async fn test_endpoint(
        &self,
        caller: &Caller,
        id: ConnectionId,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> AppResult<ConnectionTest> {
        if endpoint.kind == ConnectionKind::HttpAgent {
            return Ok(self.test_agent_address(&endpoint).await);
        }
        let named = model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty());
        let model = match named {
            Some(model) => Some(model),
            None => self.model_used_by_agents(caller, id).await?,
        };
        let access = &self.provider_access;
        let listed = access.models(&endpoint);
        if model.is_none() && endpoint.kind != ConnectionKind::Demo {
            let models = listed.await;
            let example = models.first().map(|model| format!(", such as {model}"));
            let message = format!(
                "Enter a model{}: none of your agents uses this connection yet.",
                example.unwrap_or_default()
            );
            return Ok(ConnectionTest { models, ..failed_test(message) });
        }
        let (tested, models) = tokio::join!(access.test(caller, endpoint.clone(), model), listed);
        Ok(ConnectionTest { models, ..tested })
    }
}
