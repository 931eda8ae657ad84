//! Routes whose code is loaded on demand, so that a page does not download the others.
//!
//! There are four lazy chunks: [`ResultRoute`], [`AgentRoute`], [`ScenarioRoute`] and
//! [`SetupRoute`]. Code that several of them need, and no other page does, is in files
//! that they share. The build decides which files these are and tells the server:
//! see [`ChunkFiles`].
//!
//! The server renders these pages like any other. In the browser the chunk is
//! loaded before such a page is hydrated or shown: see [`LazyChunk::load`].

use super::agents::chat::AgentChatPage;
use super::agents::edit::AgentPage;
use super::agents::list::AgentsPage;
use super::home::HomePage;
use super::import::ImportPage;
use super::run::RunPage;
use super::scenarios::edit::ScenarioPage;
use super::scenarios::list::ScenariosPage;
use super::settings::account::AccountPage;
use super::settings::connection::ConnectionPage;
use super::settings::connections::ConnectionsPage;
use super::settings::models::ModelsPage;
use super::settings::prices::PricesPage;
use super::settings::profile::ProfilePage;
use super::settings::profiles::ProfilesPage;
use super::settings::tokens::TokensPage;
use super::suite::SuitePage;
use super::suites::list::SuitesPage;
use super::suites::new::NewSuitePage;
use crate::components::page_data::error_page;
use crate::error::{AppError, ErrorCode};
use leptos::prelude::*;
use leptos::wasm_split::{SplitLoaderError, wasm_split};
#[cfg(feature = "ssr")]
use std::collections::BTreeMap;
#[cfg(feature = "ssr")]
use std::sync::Arc;

/// Pages that show suites and runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultRoute {
    Home,
    Suites,
    Suite,
    Run,
}

/// Pages about agents, and the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentRoute {
    Agents,
    /// An existing agent or, without an ID in the path, a new one.
    Agent,
    AgentChat,
    Import,
}

/// Pages about scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioRoute {
    Scenarios,
    /// An existing scenario or, without an ID in the path, a new one.
    Scenario,
}

/// The start form and the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupRoute {
    NewSuite,
    Connections,
    Connection,
    Prices,
    Models,
    Profiles,
    /// An existing test profile or, without an ID in the path, a new one.
    Profile,
    Tokens,
    Account,
}

/// A chunk failed to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLoadError;

impl From<SplitLoaderError> for ChunkLoadError {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

/// The only entry point of the results chunk: code that only this function reaches goes
/// into it.
#[wasm_split(results, wasm_split_path = ::leptos::wasm_split, preload(load_results), fallible)]
fn results(route: ResultRoute) -> Result<AnyView, ChunkLoadError> {
    Ok(match route {
        ResultRoute::Home => HomePage().into_any(),
        ResultRoute::Suites => SuitesPage().into_any(),
        ResultRoute::Suite => SuitePage().into_any(),
        ResultRoute::Run => RunPage().into_any(),
    })
}

/// The only entry point of the agent chunk.
#[wasm_split(agents, wasm_split_path = ::leptos::wasm_split, preload(load_agents), fallible)]
fn agents(route: AgentRoute) -> Result<AnyView, ChunkLoadError> {
    Ok(match route {
        AgentRoute::Agents => AgentsPage().into_any(),
        AgentRoute::Agent => AgentPage().into_any(),
        AgentRoute::AgentChat => AgentChatPage().into_any(),
        AgentRoute::Import => ImportPage().into_any(),
    })
}

/// The only entry point of the scenario chunk.
#[wasm_split(scenarios, wasm_split_path = ::leptos::wasm_split, preload(load_scenarios), fallible)]
fn scenarios(route: ScenarioRoute) -> Result<AnyView, ChunkLoadError> {
    Ok(match route {
        ScenarioRoute::Scenarios => ScenariosPage().into_any(),
        ScenarioRoute::Scenario => ScenarioPage().into_any(),
    })
}

/// The only entry point of the setup chunk.
#[wasm_split(setup, wasm_split_path = ::leptos::wasm_split, preload(load_setup), fallible)]
fn setup(route: SetupRoute) -> Result<AnyView, ChunkLoadError> {
    Ok(match route {
        SetupRoute::NewSuite => NewSuitePage().into_any(),
        SetupRoute::Connections => ConnectionsPage().into_any(),
        SetupRoute::Connection => ConnectionPage().into_any(),
        SetupRoute::Prices => PricesPage().into_any(),
        SetupRoute::Models => ModelsPage().into_any(),
        SetupRoute::Profiles => ProfilesPage().into_any(),
        SetupRoute::Profile => ProfilePage().into_any(),
        SetupRoute::Tokens => TokensPage().into_any(),
        SetupRoute::Account => AccountPage().into_any(),
    })
}

/// A page of a lazy chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LazyRoute {
    Result(ResultRoute),
    Agent(AgentRoute),
    Scenario(ScenarioRoute),
    Setup(SetupRoute),
}

impl LazyRoute {
    /// The page, or an error message if the chunk failed to load.
    pub async fn view(self) -> AnyView {
        let page = match self {
            Self::Result(route) => results(route).await,
            Self::Agent(route) => agents(route).await,
            Self::Scenario(route) => scenarios(route).await,
            Self::Setup(route) => setup(route).await,
        };
        page.unwrap_or_else(ChunkLoadError::view)
    }

    #[must_use]
    pub const fn chunk(self) -> LazyChunk {
        match self {
            Self::Result(_) => LazyChunk::Results,
            Self::Agent(_) => LazyChunk::Agents,
            Self::Scenario(_) => LazyChunk::Scenarios,
            Self::Setup(_) => LazyChunk::Setup,
        }
    }
}

impl ChunkLoadError {
    fn view(self) -> AnyView {
        let detail = "A part of the application could not be loaded.";
        error_page(&AppError::new(ErrorCode::Unavailable, detail))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LazyChunk {
    /// The pages of [`ResultRoute`].
    Results,
    /// The pages of [`AgentRoute`].
    Agents,
    /// The pages of [`ScenarioRoute`].
    Scenarios,
    /// The pages of [`SetupRoute`].
    Setup,
}

impl LazyChunk {
    /// The chunk of the page at this path, if it has one.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        if ["/agents", "/import"].into_iter().any(below) {
            Some(Self::Agents)
        } else if below("/scenarios") {
            Some(Self::Scenarios)
        } else if ["/settings", "/suites/new"].into_iter().any(below) {
            Some(Self::Setup)
        } else if path == "/" || ["/suites", "/runs"].into_iter().any(below) {
            Some(Self::Results)
        } else {
            None
        }
    }

    /// Its name, which is the name of its function above.
    #[cfg(feature = "ssr")]
    const fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Agents => "agents",
            Self::Scenarios => "scenarios",
            Self::Setup => "setup",
        }
    }

    /// Loads the files once. A failure is not cached, so the next call tries again.
    ///
    /// # Errors
    /// A file failed to load.
    pub async fn load(self) -> Result<(), ChunkLoadError> {
        match self {
            Self::Results => load_results().await?,
            Self::Agents => load_agents().await?,
            Self::Scenarios => load_scenarios().await?,
            Self::Setup => load_setup().await?,
        }
        Ok(())
    }
}

/// The files that each chunk consists of, its own and those that it shares, by the name
/// of the chunk. The build finds out which they are; the server provides them as a
/// context, so that a page can preload its files.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkFiles(pub Arc<BTreeMap<String, Vec<String>>>);

#[cfg(feature = "ssr")]
impl ChunkFiles {
    /// Suffixes of the names of the files.
    #[must_use]
    pub fn of(&self, chunk: LazyChunk) -> Vec<String> {
        self.0.get(chunk.name()).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::LazyChunk;

    #[test]
    fn paths_map_to_their_chunks() {
        for path in ["/agents", "/agents/new", "/agents/7/chat", "/import"] {
            assert_eq!(LazyChunk::at(path), Some(LazyChunk::Agents), "{path}");
        }
        for path in ["/scenarios/7", "/scenarios?q=a"] {
            assert_eq!(LazyChunk::at(path), Some(LazyChunk::Scenarios), "{path}");
        }
        for path in ["/settings/tokens", "/suites/new", "/suites/new?scenario=7"] {
            assert_eq!(LazyChunk::at(path), Some(LazyChunk::Setup), "{path}");
        }
        for path in ["/", "/suites", "/suites?after=7", "/suites/7", "/suites/newest", "/runs/7"] {
            assert_eq!(LazyChunk::at(path), Some(LazyChunk::Results), "{path}");
        }
        for path in ["/sign-in", "/sign-up", "/absent"] {
            assert_eq!(LazyChunk::at(path), None, "{path}");
        }
    }
}
