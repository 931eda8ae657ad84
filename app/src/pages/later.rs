//! Pages where somebody writes or sets something up travel in a file of their
//! own: whoever only watches a suite or reads a report never loads it.
//!
//! The server has them like any other page. In the browser the file is there
//! before such a page is hydrated or shown: see [`Later::load`].

use super::agents::edit::{AgentPage, NewAgentPage};
use super::agents::list::AgentsPage;
use super::scenarios::edit::{NewScenarioPage, ScenarioPage};
use super::scenarios::list::ScenariosPage;
use super::settings::connection::{ConnectionPage, NewConnectionPage};
use super::settings::connections::ConnectionsPage;
use super::settings::models::ModelsPage;
use super::settings::tokens::TokensPage;
use super::suites::new::NewSuitePage;
use crate::components::load::error_page;
use crate::error::{AppError, ErrorCode};
use leptos::prelude::*;
use leptos::wasm_split::{SplitLoaderError, wasm_split};

/// A page of the second file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// The list of agents.
    Agents,
    /// The editor of a new agent.
    NewAgent,
    /// The editor of an agent.
    Agent,
    /// The list of scenarios.
    Scenarios,
    /// The editor of a new scenario.
    NewScenario,
    /// The editor of a scenario.
    Scenario,
    /// The start form.
    NewSuite,
    /// The list of connections.
    Connections,
    /// The editor of a new connection.
    NewConnection,
    /// The editor of a connection.
    Connection,
    /// The models of judge and simulated user.
    Models,
    /// Tokens for programs.
    Tokens,
}

/// The second file could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

impl From<SplitLoaderError> for Missing {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

/// The one door to the second file: what only this function reaches is in it.
#[wasm_split(later, wasm_split_path = ::leptos::wasm_split, preload(load), fallible)]
fn page(which: Later) -> Result<AnyView, Missing> {
    Ok(match which {
        Later::Agents => AgentsPage().into_any(),
        Later::NewAgent => NewAgentPage().into_any(),
        Later::Agent => AgentPage().into_any(),
        Later::Scenarios => ScenariosPage().into_any(),
        Later::NewScenario => NewScenarioPage().into_any(),
        Later::Scenario => ScenarioPage().into_any(),
        Later::NewSuite => NewSuitePage().into_any(),
        Later::Connections => ConnectionsPage().into_any(),
        Later::NewConnection => NewConnectionPage().into_any(),
        Later::Connection => ConnectionPage().into_any(),
        Later::Models => ModelsPage().into_any(),
        Later::Tokens => TokensPage().into_any(),
    })
}

impl Later {
    /// Whether a page of the second file stands at this address.
    #[must_use]
    pub fn is_at(address: &str) -> bool {
        let below = |place: &str| {
            address
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        ["/agents", "/scenarios", "/settings", "/suites/new"].into_iter().any(below)
    }

    /// Fetches the second file, once. A failure is not kept: the next call
    /// tries again.
    ///
    /// # Errors
    /// It could not be had.
    pub async fn load() -> Result<(), Missing> {
        Ok(load().await?)
    }

    /// The page, or a sentence in its place where the file cannot be had.
    pub async fn view(self) -> AnyView {
        page(self).await.unwrap_or_else(|Missing| {
            let detail = "A part of the application could not be loaded.";
            error_page(&AppError::new(ErrorCode::Unavailable, detail))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Later;

    #[test]
    fn the_second_file_is_for_places_where_one_writes() {
        for path in ["/agents", "/agents/new", "/scenarios/7", "/settings/tokens", "/suites/new"] {
            assert!(Later::is_at(path), "{path}");
        }
        for path in ["/", "/suites", "/suites/7", "/runs/7", "/sign-in", "/suites/newest"] {
            assert!(!Later::is_at(path), "{path}");
        }
    }
}
