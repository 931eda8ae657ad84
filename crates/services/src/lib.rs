//! The use cases behind the port ([`domain::backend::Backend`]): who may, is it
//! valid, then the store. Every rule about ownership stands here and in the
//! queries, nowhere else.
//!
//! Each file holds a part of them as methods of [`Rehearsal`], with the
//! signatures of the port.

mod accounts;
mod agents;
pub mod builtin;
mod connections;
mod cursor;
mod demo;
pub mod document_import;
mod drafts;
pub mod endpoints;
mod errors;
mod import;
mod import_connection;
pub mod live_source;
mod naming;
pub mod outside;
pub mod port;
mod reach;
mod scenarios;
pub mod secrets;
mod settings;
pub mod suites;
#[cfg(test)]
mod tests;

pub use connections::ConnectionTester;
pub use errors::internal;
pub use port::Port;

use clock::SharedClock;
use crate::endpoints::Endpoints;
use crate::secrets::Passwords;
use store::accounts::AccountStore;
use store::catalog::{
    AgentStore, ConnectionStore, ImportStore, ScenarioStore, SettingStore,
};
use std::str::FromStr;
use std::sync::Arc;

/// Who may make an account in the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUp {
    /// Only the first account.
    #[default]
    First,
    /// Everybody.
    Open,
    /// Nobody; accounts are made on the command line.
    Closed,
}

impl FromStr for SignUp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "first" => Ok(Self::First),
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            other => Err(format!("must be first, open or closed, not {other:?}")),
        }
    }
}

/// The stores of people and of what they write.
#[derive(Clone)]
pub struct CatalogStores {
    /// Users and tokens.
    pub accounts: Arc<dyn AccountStore>,
    /// Connections.
    pub connections: Arc<dyn ConnectionStore>,
    /// Agents.
    pub agents: Arc<dyn AgentStore>,
    /// Scenarios.
    pub scenarios: Arc<dyn ScenarioStore>,
    /// Many agents and scenarios at once.
    pub imports: Arc<dyn ImportStore>,
    /// Settings, drafts and facts.
    pub settings: Arc<dyn SettingStore>,
}

impl CatalogStores {
    /// All of them from one store.
    #[must_use]
    pub fn of<S>(store: &Arc<S>) -> Self
    where
        S: AccountStore + ConnectionStore + AgentStore + ScenarioStore + ImportStore + SettingStore,
    {
        Self {
            accounts: store.clone(),
            connections: store.clone(),
            agents: store.clone(),
            scenarios: store.clone(),
            imports: store.clone(),
            settings: store.clone(),
        }
    }
}

/// Everything behind the port.
pub struct Rehearsal {
    pub(crate) stores: CatalogStores,
    pub(crate) clock: SharedClock,
    pub(crate) endpoints: Endpoints,
    pub(crate) tester: Arc<dyn ConnectionTester>,
    pub(crate) sign_up_mode: SignUp,
    passwords: Passwords,
    /// New tokens that wait for the page that shows them.
    fresh: parking_lot::Mutex<Vec<drafts::Fresh>>,
    /// Two starts of the demo at once make one agent.
    making_demo: tokio::sync::Mutex<()>,
}

impl Rehearsal {
    /// The use cases over these stores and seams.
    #[must_use]
    pub fn new(
        stores: CatalogStores,
        clock: SharedClock,
        endpoints: Endpoints,
        tester: Arc<dyn ConnectionTester>,
        sign_up_mode: SignUp,
    ) -> Self {
        Self {
            stores,
            clock,
            endpoints,
            tester,
            sign_up_mode,
            passwords: Passwords::default(),
            fresh: parking_lot::Mutex::default(),
            making_demo: tokio::sync::Mutex::default(),
        }
    }

    /// Connections with their keys decrypted, for the engine.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
}
