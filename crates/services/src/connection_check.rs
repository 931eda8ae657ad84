//! Checks whether a connection can be used, without a paid call: does it exist,
//! has it a key, may its address be called, does its circuit let calls through,
//! does its address accept connections.

use super::Catalog;
use super::suites::{CheckedConnection, ConnectionCheck, Reachability};
use async_trait::async_trait;
use domain::services::Caller;
use domain::{Breaker, BreakerState, ConnectionId, ConnectionKind, Timestamp};
use store::rows::ModelRef;

#[async_trait]
impl ConnectionCheck for Catalog {
    async fn check(&self, caller: &Caller, id: ConnectionId) -> CheckedConnection {
        let own = match self.endpoints.server_wide_connection(id) {
            Some(offered) => Ok(Some(offered.name.clone())),
            None => {
                let row = self.stores.connections.connection(caller.space_id, id).await;
                row.map(|row| row.map(|row| row.name))
            }
        };
        let (name, reachability) = match own {
            Ok(Some(name)) => (name, self.reachability(id).await),
            Ok(None) => {
                let gone = "no longer exists; choose another connection".to_owned();
                (String::new(), Reachability::Unusable(gone))
            }
            Err(_) => (
                String::new(),
                Reachability::Unusable("cannot be looked up at the moment".to_owned()),
            ),
        };
        CheckedConnection { name, reachability }
    }

    fn circuit(&self, caller: &Caller, model: &ModelRef) -> Reachability {
        let breaker = self.tester.model_breaker(caller, model.connection_id, &model.model);
        circuit(breaker, self.clock.now())
    }
}

impl Catalog {
    /// Whether a call over a connection could reach its provider.
    async fn reachability(&self, id: ConnectionId) -> Reachability {
        let endpoint = match self.endpoints.endpoint(id).await {
            Ok(endpoint) if endpoint.kind == ConnectionKind::Demo => return Reachability::Ready,
            Ok(endpoint) => endpoint,
            Err(error) => return Reachability::Unusable(error.message),
        };
        let vendors = endpoint.base_url == endpoint.kind.default_base_url();
        if endpoint.key.is_none() && vendors {
            return Reachability::Unusable("has no key; add one in the settings".to_owned());
        }
        if let Some(sentence) = self.tester.check_base_url(&endpoint.base_url).await {
            return Reachability::Unusable(format!("base_url {sentence}"));
        }
        match self.tester.check_reachable(&endpoint.base_url).await {
            Ok(()) => Reachability::Ready,
            Err(sentence) => Reachability::Unusable(sentence),
        }
    }
}

/// What the state of a circuit means for a start. A suspended connection refuses
/// every call, so all runs would end with its error: this prevents the start, like
/// a missing key. Once the next trial call is due, it does not, because a run may
/// make that call. Behind an open circuit runs wait, so it is only reported.
fn circuit(breaker: Breaker, now: Timestamp) -> Reachability {
    let why = breaker.reason.as_deref().unwrap_or_default().trim_end_matches('.');
    match breaker.state {
        BreakerState::Closed => Reachability::Ready,
        BreakerState::Suspended if breaker.until.is_some_and(|until| now < until) => {
            Reachability::Unusable(format!(
                "is suspended: {why}. A successful test or a saved change ends the suspension"
            ))
        }
        BreakerState::Suspended => Reachability::Degraded {
            message: format!("was suspended, and the next call tries it again: {why}"),
            until: None,
        },
        BreakerState::Open => Reachability::Degraded {
            message: format!("is failing, so runs wait: {why}"),
            until: breaker.until,
        },
        BreakerState::HalfOpen => Reachability::Degraded {
            message: format!("had an open circuit and is being tried again: {why}"),
            until: None,
        },
    }
}
