//! Routes whose code is loaded on demand, so that watching a suite or reading a
//! report does not download the editors.
//!
//! There are three lazy chunks: [`AgentRoute`], [`ScenarioRoute`] and [`SetupRoute`].
//! Code that two or three of them need, and no other page does, is in files that they
//! share.
//!
//! The server renders these pages like any other. In the browser the chunk is
//! loaded before such a page is hydrated or shown: see [`LazyChunk::load`].

use super::agents::chat::AgentChatPage;
use super::agents::edit::AgentPage;
use super::agents::list::AgentsPage;
use super::import::ImportPage;
use super::scenarios::edit::ScenarioPage;
use super::scenarios::list::ScenariosPage;
use super::settings::account::AccountPage;
use super::settings::connection::ConnectionPage;
use super::settings::connections::ConnectionsPage;
use super::settings::models::ModelsPage;
use super::settings::tokens::TokensPage;
use super::suites::new::NewSuitePage;
use crate::components::page_data::error_page;
use crate::error::{AppError, ErrorCode};
use leptos::prelude::*;
use leptos::wasm_split::{SplitLoaderError, wasm_split};

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
    Models,
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

/// The only entry point of the agent chunk: code that only this function reaches goes
/// into it.
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
        SetupRoute::Models => ModelsPage().into_any(),
        SetupRoute::Tokens => TokensPage().into_any(),
        SetupRoute::Account => AccountPage().into_any(),
    })
}

impl AgentRoute {
    /// The page, or an error message if the chunk failed to load.
    pub async fn view(self) -> AnyView {
        agents(self).await.unwrap_or_else(ChunkLoadError::view)
    }
}

impl ScenarioRoute {
    /// The page, or an error message if the chunk failed to load.
    pub async fn view(self) -> AnyView {
        scenarios(self).await.unwrap_or_else(ChunkLoadError::view)
    }
}

impl SetupRoute {
    /// The page, or an error message if the chunk failed to load.
    pub async fn view(self) -> AnyView {
        setup(self).await.unwrap_or_else(ChunkLoadError::view)
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
        } else {
            None
        }
    }

    /// Suffixes of its file names: its own file and those that it shares.
    #[must_use]
    pub const fn files(self) -> [&'static str; 4] {
        match self {
            Self::Agents => {
                ["_agents.wasm", "_agents_scenarios.wasm", "_agents_setup.wasm", "_shared.wasm"]
            }
            Self::Scenarios => [
                "_scenarios.wasm",
                "_agents_scenarios.wasm",
                "_scenarios_setup.wasm",
                "_shared.wasm",
            ],
            Self::Setup => {
                ["_setup.wasm", "_agents_setup.wasm", "_scenarios_setup.wasm", "_shared.wasm"]
            }
        }
    }

    /// Loads the files once. A failure is not cached, so the next call tries again.
    ///
    /// # Errors
    /// A file failed to load.
    pub async fn load(self) -> Result<(), ChunkLoadError> {
        match self {
            Self::Agents => load_agents().await?,
            Self::Scenarios => load_scenarios().await?,
            Self::Setup => load_setup().await?,
        }
        Ok(())
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
        for path in ["/", "/suites", "/suites/7", "/runs/7", "/sign-in", "/suites/newest"] {
            assert_eq!(LazyChunk::at(path), None, "{path}");
        }
    }
}
