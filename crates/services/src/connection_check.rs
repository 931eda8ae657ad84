//! Checks whether a connection can be used, without a paid call: does it exist,
//! has it a key, may its address be called, does its circuit let calls through,
//! does its address accept connections.

use super::Catalog;
use domain::services::Caller;
use domain::{
    AuthScheme, Breaker, BreakerState, ConnectionId, ConnectionKind, Timestamp, is_hosted_api,
};
use store::rows::ModelRef;

/// The result of checking a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckedConnection {
    /// Empty if the caller has no such connection.
    pub(crate) name: String,
    /// `None` if the caller has no such connection.
    pub(crate) kind: Option<ConnectionKind>,
    pub(crate) usability: Usability,
}

/// Whether a connection can be used. Messages continue a sentence that begins
/// with the name of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Usability {
    /// Calls go through, as far as is known.
    Ready,
    /// Calls may fail, but runs wait or probe: reported, and the start goes on.
    Degraded {
        message: String,
        /// The next probe.
        until: Option<Timestamp>,
    },
    /// No call would get through: the connection does not exist, its key is
    /// missing or rejected, its quota is exhausted, or its address is unreachable.
    Unusable(String),
}

impl Catalog {
    /// Checks a connection regardless of the model.
    pub(crate) async fn check_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
    ) -> CheckedConnection {
        let name = match self.endpoints.server_wide_connection(id) {
            Some(connection) => Ok(Some((connection.name.clone(), connection.kind))),
            None => {
                let row = self.store.connection(caller.space_id, id).await;
                row.map(|row| row.map(|row| (row.name, row.kind)))
            }
        };
        let unusable = |message: &str| Usability::Unusable(message.to_owned());
        let usability = match &name {
            Ok(Some(_)) => self.usability(id).await,
            Ok(None) => unusable("no longer exists; choose another connection"),
            Err(_) => unusable("cannot be looked up at the moment"),
        };
        let (name, kind) = name.ok().flatten().unzip();
        CheckedConnection { name: name.unwrap_or_default(), kind, usability }
    }

    /// Whether the caller's circuit would let a call to this model through.
    pub(crate) fn check_circuit(&self, caller: &Caller, model: &ModelRef) -> Usability {
        let breaker = self.provider_access.model_breaker(caller, model.connection_id, &model.model);
        circuit_usability(breaker, self.clock.now())
    }

    /// Whether a call over a connection could reach its provider.
    async fn usability(&self, id: ConnectionId) -> Usability {
        let endpoint = match self.endpoints.endpoint(id).await {
            Ok(endpoint) if endpoint.kind == ConnectionKind::Demo => return Usability::Ready,
            Ok(endpoint) => endpoint,
            Err(error) => return Usability::Unusable(error.message),
        };
        let needs_key = endpoint.auth.scheme.requires_secret() || is_hosted_api(&endpoint.base_url);
        if endpoint.key.is_none() && endpoint.auth.scheme != AuthScheme::None && needs_key {
            let secret = endpoint.auth.scheme.secret_name();
            return Usability::Unusable(format!("has no {secret}; add one in the settings"));
        }
        if let Some(problem) = self.provider_access.check_base_url(&endpoint.base_url).await {
            return Usability::Unusable(format!("base_url {problem}"));
        }
        let token_url = &endpoint.auth.token_url;
        if !token_url.is_empty() {
            if let Some(problem) = self.provider_access.check_base_url(token_url).await {
                return Usability::Unusable(format!("has a token URL that {problem}"));
            }
            if let Err(problem) = self.provider_access.check_reachable(token_url).await {
                return Usability::Unusable(format!("has a token URL that {problem}"));
            }
        }
        let reachable = self.provider_access.check_reachable(&endpoint.base_url).await;
        reachable.map_or_else(Usability::Unusable, |()| Usability::Ready)
    }
}

/// What the state of a circuit means for a start. A suspended connection refuses
/// every call, so all runs would end with its error: this prevents the start, like
/// a missing key. Once the next probe is due, it does not, because a run may
/// make that call. While the circuit is open runs wait, so it is only reported.
fn circuit_usability(breaker: Breaker, now: Timestamp) -> Usability {
    let why = breaker.reason.as_deref().unwrap_or_default().trim_end_matches('.');
    let degraded = |message, until| Usability::Degraded { message, until };
    match breaker.state {
        BreakerState::Closed => Usability::Ready,
        BreakerState::Suspended if breaker.until.is_some_and(|until| now < until) => {
            Usability::Unusable(format!(
                "is suspended: {why}. A successful test or a saved change ends the suspension"
            ))
        }
        BreakerState::Suspended => {
            degraded(format!("was suspended, and the next call tries it again: {why}"), None)
        }
        BreakerState::Open => degraded(format!("is failing, so runs wait: {why}"), breaker.until),
        BreakerState::HalfOpen => {
            degraded(format!("had an open circuit and is being tried again: {why}"), None)
        }
    }
}
