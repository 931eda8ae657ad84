//! Routes whose code is loaded on demand, so that watching a suite or reading a
//! report does not download the editors.
//!
//! There are two lazy chunks: [`EditorRoute`] and [`SetupRoute`]. Code that both
//! need, and no other page does, is in a third file that they share.
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

/// Pages about agents and scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditorRoute {
    Agents,
    /// An existing agent or, without an ID in the path, a new one.
    Agent,
    AgentChat,
    Scenarios,
    Scenario,
    Import,
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

/// The only entry point of the editor chunk: code that only this function reaches
/// goes into it.
#[wasm_split(editors, wasm_split_path = ::leptos::wasm_split, preload(load_editors), fallible)]
fn editors(route: EditorRoute) -> Result<AnyView, ChunkLoadError> {
    Ok(match route {
        EditorRoute::Agents => AgentsPage().into_any(),
        EditorRoute::Agent => AgentPage().into_any(),
        EditorRoute::AgentChat => AgentChatPage().into_any(),
        EditorRoute::Scenarios => ScenariosPage().into_any(),
        EditorRoute::Scenario => ScenarioPage().into_any(),
        EditorRoute::Import => ImportPage().into_any(),
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

impl EditorRoute {
    /// The page, or an error message if the chunk failed to load.
    pub async fn view(self) -> AnyView {
        editors(self).await.unwrap_or_else(ChunkLoadError::view)
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
    /// The pages of [`EditorRoute`].
    Editors,
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
        if ["/agents", "/scenarios", "/import"].into_iter().any(below) {
            Some(Self::Editors)
        } else if ["/settings", "/suites/new"].into_iter().any(below) {
            Some(Self::Setup)
        } else {
            None
        }
    }

    /// Suffixes of its file names: its own file and the shared one.
    #[must_use]
    pub const fn files(self) -> [&'static str; 2] {
        match self {
            Self::Editors => ["_editors.wasm", "_shared.wasm"],
            Self::Setup => ["_setup.wasm", "_shared.wasm"],
        }
    }

    /// Loads the files once. A failure is not cached, so the next call tries again.
    ///
    /// # Errors
    /// A file failed to load.
    pub async fn load(self) -> Result<(), ChunkLoadError> {
        match self {
            Self::Editors => load_editors().await?,
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
        for path in ["/agents", "/agents/new", "/scenarios/7", "/scenarios?q=a", "/import"] {
            assert_eq!(LazyChunk::at(path), Some(LazyChunk::Editors), "{path}");
        }
        for path in ["/settings/tokens", "/suites/new", "/suites/new?scenario=7"] {
            assert_eq!(LazyChunk::at(path), Some(LazyChunk::Setup), "{path}");
        }
        for path in ["/", "/suites", "/suites/7", "/runs/7", "/sign-in", "/suites/newest"] {
            assert_eq!(LazyChunk::at(path), None, "{path}");
        }
    }
}
