//! Whether a connection can be used at all, found out without a paid call: is
//! it there, has it a key, may its address be called, do calls go through its
//! circuit, does anybody answer.

use super::Catalog;
use super::suites::{Look, Reach, Reached};
use async_trait::async_trait;
use domain::services::Caller;
use domain::{Breaker, BreakerState, ConnectionId, ConnectionKind, Timestamp};
use store::rows::ModelRef;

#[async_trait]
impl Reach for Catalog {
    async fn look(&self, caller: &Caller, id: ConnectionId) -> Look {
        let own = match self.endpoints.of_server(id) {
            Some(offered) => Ok(Some(offered.name.clone())),
            None => {
                let row = self.stores.connections.connection(caller.space_id, id).await;
                row.map(|row| row.map(|row| row.name))
            }
        };
        let (name, reached) = match own {
            Ok(Some(name)) => (name, self.reached(id).await),
            Ok(None) => {
                let gone = "is not there; choose another connection".to_owned();
                (String::new(), Reached::Not(gone))
            }
            Err(_) => (String::new(), Reached::Not("cannot be looked up at the moment".to_owned())),
        };
        Look { name, reached }
    }

    fn circuit(&self, caller: &Caller, model: &ModelRef) -> Reached {
        let breaker = self.tester.breaker_of(caller, model.connection_id, &model.model);
        circuit(breaker, self.clock.now())
    }
}

impl Catalog {
    /// Whether a call over a connection of the caller's could get anywhere.
    async fn reached(&self, id: ConnectionId) -> Reached {
        let endpoint = match self.endpoints.endpoint(id).await {
            Ok(endpoint) if endpoint.kind == ConnectionKind::Demo => return Reached::Yes,
            Ok(endpoint) => endpoint,
            Err(error) => return Reached::Not(error.message),
        };
        let vendors = endpoint.base_url == endpoint.kind.default_base_url();
        if endpoint.key.is_none() && vendors {
            return Reached::Not("has no key; add one in the settings".to_owned());
        }
        if let Some(sentence) = self.tester.refuses(&endpoint.base_url).await {
            return Reached::Not(format!("base_url {sentence}"));
        }
        match self.tester.answers(&endpoint.base_url).await {
            Ok(()) => Reached::Yes,
            Err(sentence) => Reached::Not(sentence),
        }
    }
}

/// What a circuit means for who is about to start. A latched one refuses each
/// call, so all runs would end with its error: that stops the start, as a missing
/// key does. Once a call may try again, it does not, or nobody but a person could
/// ever end it. Behind an open one runs wait, so that it is only told.
fn circuit(breaker: Breaker, now: Timestamp) -> Reached {
    let why = breaker.reason.as_deref().unwrap_or_default().trim_end_matches('.');
    match breaker.state {
        BreakerState::Closed => Reached::Yes,
        BreakerState::Latched if breaker.until.is_some_and(|until| now < until) => Reached::Not(
            format!("is stopped: {why}. A test that succeeds, or a saved change, opens it again"),
        ),
        BreakerState::Latched => Reached::Troubled {
            message: format!("was stopped, and the first call tries it again: {why}"),
            until: None,
        },
        BreakerState::Open => Reached::Troubled {
            message: format!("has an open circuit, so runs wait: {why}"),
            until: breaker.until,
        },
        BreakerState::HalfOpen => Reached::Troubled {
            message: format!("had an open circuit and is being tried again: {why}"),
            until: None,
        },
    }
}
