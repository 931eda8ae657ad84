//! Connections of the caller, and those that the server offers.

use super::Catalog;
use super::errors::internal;
use crate::endpoints::last4;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, ConnectionService};
use domain::{
    Breaker, Connection, ConnectionId, ConnectionKind, ConnectionSpec, ConnectionTest, Draft,
    Timestamp,
};
use llm::Endpoint;
use store::StoreError;
use store::catalog::{ConnectionRow, KeyEdit};

/// The outbound path, as far as it concerns connections.
#[async_trait]
pub trait ConnectionTester: Send + Sync + 'static {
    /// Calls the provider once. A success ends a suspension and closes an open
    /// circuit of this caller.
    async fn test(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> ConnectionTest;

    /// Why this base URL may not be called; the message follows "base_url".
    async fn check_base_url(&self, base_url: &str) -> Option<String>;

    /// Whether the address of this base URL accepts connections; the error message
    /// follows the connection's name. Dials only addresses that a call may dial.
    async fn check_reachable(&self, base_url: &str) -> Result<(), String>;

    /// The state of the caller's circuit on a connection.
    fn breaker(&self, caller: &Caller, id: ConnectionId) -> Breaker {
        let _ = (caller, id);
        Breaker::default()
    }

    /// The state of the caller's circuit for calls to `model`.
    fn model_breaker(&self, caller: &Caller, id: ConnectionId, model: &str) -> Breaker {
        let _ = model;
        self.breaker(caller, id)
    }

    /// A connection was edited or deleted: forgets everything learned about it.
    fn connection_changed(&self, caller: &Caller, id: ConnectionId) {
        let _ = (caller, id);
    }

    /// A connection was saved without a change of its endpoint: ends its
    /// suspensions, because their cause may have been fixed at the provider.
    /// Everything else that was learned stays.
    fn connection_saved(&self, caller: &Caller, id: ConnectionId) {
        let _ = (caller, id);
    }
}

/// The result of a test that ended before a call was made.
fn failed_test(message: String) -> ConnectionTest {
    ConnectionTest {
        ok: false,
        message,
        request: String::new(),
        answer: String::new(),
        latency_ms: 0,
    }
}

fn server_wide_error() -> AppError {
    AppError::conflict(
        "This connection is offered by the server and set up in its environment. It cannot be \
         changed here.",
    )
}

/// Whether calls use the same endpoint and key as before. Then everything learned
/// about the connection remains valid.
fn same_endpoint(known: &ConnectionRow, spec: &ConnectionSpec) -> bool {
    (known.kind, &known.base_url, &known.headers) == (spec.kind, &spec.base_url, &spec.headers)
        && spec.api_key.is_none()
        && !spec.remove_key
}

#[async_trait]
impl ConnectionService for Catalog {
    async fn connections(&self, caller: &Caller) -> AppResult<Vec<Connection>> {
        let own = self.stores.connections.connections(caller.space_id).await.or_app_error()?;
        let own = own.into_iter().map(|row| self.shown(caller, row));
        let offered = self.endpoints.server_wide().iter();
        let offered = offered.map(|one| one.view(self.tester.breaker(caller, one.id)));
        Ok(own.chain(offered).collect())
    }

    async fn connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<Connection> {
        if let Some(offered) = self.endpoints.server_wide_connection(id) {
            return Ok(offered.view(self.tester.breaker(caller, id)));
        }
        Ok(self.shown(caller, self.own_connection(caller, id).await?))
    }

    async fn create_connection(&self, caller: &Caller, draft: &Draft) -> AppResult<Connection> {
        let spec = self.connection_spec(draft).await?;
        let now = self.clock.now();
        let mut row = ConnectionRow {
            id: self.clock.uuid().into(),
            space_id: caller.space_id,
            name: spec.name.clone(),
            kind: spec.kind,
            base_url: spec.base_url.clone(),
            headers: spec.headers.clone(),
            key_ciphertext: None,
            key_last4: None,
            created_at: now,
            updated_at: now,
        };
        self.put_key(&mut row, &spec)?;
        self.stores.connections.create_connection(&row).await.or_app_error()?;
        Ok(self.shown(caller, row))
    }

    async fn update_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> AppResult<Connection> {
        if self.endpoints.server_wide_connection(id).is_some() {
            return Err(server_wide_error());
        }
        let known = self.own_connection(caller, id).await?;
        let spec = self.connection_spec(draft).await?;
        let as_before = same_endpoint(&known, &spec);
        let mut row = ConnectionRow {
            name: spec.name.clone(),
            kind: spec.kind,
            base_url: spec.base_url.clone(),
            headers: spec.headers.clone(),
            updated_at: self.clock.now(),
            ..known
        };
        let key = self.put_key(&mut row, &spec)?;
        // Forms name the version that they showed; API clients may omit it.
        let based_on = draft.text("based_on").parse().ok().map(Timestamp);
        let stored =
            self.stores.connections.update_connection(&row, key, based_on).await.or_app_error()?;
        let stored = stored.ok_or_else(|| AppError::not_found("connection"))?;
        if as_before {
            self.tester.connection_saved(caller, id);
        } else {
            self.tester.connection_changed(caller, id);
        }
        Ok(self.shown(caller, stored))
    }

    async fn delete_connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<()> {
        if self.endpoints.server_wide_connection(id).is_some() {
            return Err(server_wide_error());
        }
        let gone = match self.stores.connections.delete_connection(caller.space_id, id).await {
            Err(error @ StoreError::InUse(_)) => {
                let held = crate::errors::app_error(error);
                return Err(match self.agents_using(caller, id).await?.first() {
                    Some(agent) => held.with_link(format!("/agents/{}", agent.id)),
                    None => held,
                });
            }
            other => other.or_app_error()?,
        };
        if !gone {
            return Err(AppError::not_found("connection"));
        }
        self.tester.connection_changed(caller, id);
        Ok(())
    }

    async fn test_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        model: Option<String>,
    ) -> AppResult<ConnectionTest> {
        if !self.may_use(caller, id).await? {
            return Err(AppError::not_found("connection"));
        }
        match self.endpoints.endpoint(id).await {
            Ok(endpoint) => self.call_once(caller, id, endpoint, model).await,
            Err(error) => Ok(failed_test(error.message)),
        }
    }

    async fn test_unsaved_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        typed: &Draft,
    ) -> AppResult<ConnectionTest> {
        if self.endpoints.server_wide_connection(id).is_some() {
            return Err(server_wide_error());
        }
        let known = self.own_connection(caller, id).await?;
        let spec = self.connection_spec(typed).await?;
        let model = Some(typed.text("model"));
        let new_key = spec.api_key.is_some();
        if same_endpoint(&known, &spec) {
            return self.test_connection(caller, id, model).await;
        }
        let key = match spec.api_key {
            Some(key) => Some(key.into()),
            None if spec.remove_key || spec.kind == ConnectionKind::Demo => None,
            None => match self.endpoints.endpoint(id).await {
                Ok(stored) => stored.key,
                Err(error) => return Ok(failed_test(error.message)),
            },
        };
        let endpoint = Endpoint {
            connection_id: self.clock.uuid().into(),
            kind: spec.kind,
            base_url: spec.base_url,
            headers: spec.headers,
            key,
        };
        let asked = endpoint.connection_id;
        let mut tested = self.call_once(caller, id, endpoint, model).await?;
        self.tester.connection_changed(caller, asked);
        tested.message.push_str(" This tested the unsaved values of the form.");
        if new_key {
            tested.message.push_str(" Enter the key again before you save.");
        }
        Ok(tested)
    }
}

impl Catalog {
    fn shown(&self, caller: &Caller, row: ConnectionRow) -> Connection {
        Connection {
            breaker: self.tester.breaker(caller, row.id),
            id: row.id,
            name: row.name,
            kind: row.kind,
            base_url: row.base_url,
            headers: row.headers,
            has_key: row.key_ciphertext.is_some(),
            key_last4: row.key_last4,
            server_wide: false,
            updated_at: row.updated_at,
        }
    }

    async fn own_connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<ConnectionRow> {
        let row = self.stores.connections.connection(caller.space_id, id).await.or_app_error()?;
        row.ok_or_else(|| AppError::not_found("connection"))
    }

    /// Whether the connection belongs to the caller or to the server.
    pub(crate) async fn may_use(&self, caller: &Caller, id: ConnectionId) -> AppResult<bool> {
        let offered = self.endpoints.server_wide_connection(id).is_some();
        Ok(offered
            || self
                .stores
                .connections
                .connection(caller.space_id, id)
                .await
                .or_app_error()?
                .is_some())
    }

    /// The valid connection, or all of its problems.
    async fn connection_spec(&self, draft: &Draft) -> AppResult<ConnectionSpec> {
        let spec = ConnectionSpec::parse(draft).map_err(AppError::invalid)?;
        if spec.kind != ConnectionKind::Demo
            && let Some(why) = self.tester.check_base_url(&spec.base_url).await
        {
            return Err(AppError::problem("base_url", why));
        }
        Ok(spec)
    }

    /// Sets the key columns and returns whether they change: without a new key
    /// they do not. The key is removed on request and for the demo model, which
    /// needs none.
    fn put_key(&self, row: &mut ConnectionRow, spec: &ConnectionSpec) -> AppResult<KeyEdit> {
        if spec.kind == ConnectionKind::Demo || spec.remove_key {
            row.key_ciphertext = None;
            row.key_last4 = None;
        } else if let Some(key) = &spec.api_key {
            let sealed = self.endpoints.seal(row.space_id, row.id, &key.as_str().into());
            row.key_ciphertext = Some(sealed.map_err(|error| internal(&error, "encrypt a key"))?);
            row.key_last4 = last4(key);
        } else {
            return Ok(KeyEdit::Keep);
        }
        Ok(KeyEdit::Replace)
    }

    /// Calls `endpoint` once; without a model, with one that the agents of
    /// connection `id` use.
    async fn call_once(
        &self,
        caller: &Caller,
        id: ConnectionId,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> AppResult<ConnectionTest> {
        let named = model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty());
        let model = match named {
            Some(model) => Some(model),
            None => self.model_used_by_agents(caller, id).await?,
        };
        if model.is_none() && endpoint.kind != ConnectionKind::Demo {
            let message = "Enter a model: none of your agents uses this connection yet.";
            return Ok(failed_test(message.to_owned()));
        }
        Ok(self.tester.test(caller, endpoint, model).await)
    }
}
