//! The use cases: every method of the traits in [`domain::services`] checks the
//! owner and the input, then calls the store. Ownership rules are enforced here and
//! in the queries, and nowhere else.

pub mod account_log;
mod accounts;
mod agent_chat;
mod agents;
pub mod builtin;
mod capability_test;
mod client_network;
mod connection_check;
mod connection_edit;
mod connection_secrets;
pub mod connection_test;
mod connections;
mod costs;
mod cursor;
mod demo;
mod deployed_chat;
mod deployed_trial;
pub mod document_import;
pub mod endpoints;
mod errors;
pub mod event_source;
mod import;
mod import_connection;
pub mod learned_adjustments;
mod naming;
mod new_tokens;
mod profiles;
mod saved_forms;
mod scenarios;
pub mod secrets;
mod settings;
pub mod suites;
#[cfg(test)]
mod tests;

pub use client_network::client_network;
pub use connections::ProviderAccess;
pub use errors::internal;

use crate::endpoints::Endpoints;
use crate::new_tokens::NewTokens;
use crate::secrets::Passwords;
use crate::suites::Suites;
use clock::SharedClock;
use domain::services::Services;
use std::str::FromStr;
use std::sync::Arc;
use store::accounts::AccountStore;
use store::catalog::{AgentStore, ConnectionStore, ImportStore, ScenarioStore, SettingStore};
use store::profiles::ProfileStore;
use store::spending::PriceStore;

/// Who may create an account in the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUp {
    /// Only the first account.
    #[default]
    First,
    /// Anyone.
    Open,
    /// No one; accounts are created on the command line.
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

/// A store of what users write.
pub trait CatalogStore:
    ConnectionStore
    + AgentStore
    + ScenarioStore
    + ImportStore
    + SettingStore
    + ProfileStore
    + PriceStore
{
}

impl<S> CatalogStore for S where
    S: ConnectionStore
        + AgentStore
        + ScenarioStore
        + ImportStore
        + SettingStore
        + ProfileStore
        + PriceStore
{
}

/// Accounts, sign-in and API tokens.
pub struct Accounts {
    store: Arc<dyn AccountStore>,
    clock: SharedClock,
    sign_up: SignUp,
    passwords: Passwords,
    new_tokens: NewTokens,
}

impl Accounts {
    #[must_use]
    pub fn new(store: Arc<dyn AccountStore>, clock: SharedClock, sign_up: SignUp) -> Self {
        let (passwords, new_tokens) = Default::default();
        Self { store, clock, sign_up, passwords, new_tokens }
    }
}

/// What users write: connections, agents, scenarios, test profiles, imports and settings. They
/// check each other, so they share one struct.
pub struct Catalog {
    pub(crate) store: Arc<dyn CatalogStore>,
    pub(crate) clock: SharedClock,
    pub(crate) endpoints: Endpoints,
    pub(crate) provider_access: Arc<dyn ProviderAccess>,
    /// Two demo starts at once create one agent.
    demo_creation: tokio::sync::Mutex<()>,
    active_chats: agent_chat::ActiveChats,
}

impl Catalog {
    #[must_use]
    pub fn new(
        store: Arc<dyn CatalogStore>,
        clock: SharedClock,
        endpoints: Endpoints,
        provider_access: Arc<dyn ProviderAccess>,
    ) -> Self {
        Self {
            store,
            clock,
            endpoints,
            provider_access,
            demo_creation: tokio::sync::Mutex::default(),
            active_chats: agent_chat::ActiveChats::default(),
        }
    }

    /// Connections with their decrypted keys, for the engine.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
}

/// Rejected form input.
pub struct SavedForms {
    store: Arc<dyn SettingStore>,
    clock: SharedClock,
}

impl SavedForms {
    #[must_use]
    pub fn new(store: Arc<dyn SettingStore>, clock: SharedClock) -> Self {
        Self { store, clock }
    }
}

/// All services as the HTTP layer takes them.
#[must_use]
pub fn all(
    accounts: Accounts,
    saved_forms: SavedForms,
    catalog: &Arc<Catalog>,
    suites: &Suites,
) -> Services {
    let suites = Arc::new(suites.clone());
    Services {
        accounts: Arc::new(accounts),
        connections: catalog.clone(),
        agents: catalog.clone(),
        chats: catalog.clone(),
        scenarios: catalog.clone(),
        profiles: catalog.clone(),
        imports: catalog.clone(),
        settings: catalog.clone(),
        costs: suites.clone(),
        suites: suites.clone(),
        results: suites,
        saved_forms: Arc::new(saved_forms),
    }
}
