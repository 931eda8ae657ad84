//! Pages where somebody writes or sets something up travel in files of their
//! own: whoever only watches a suite or reads a report never loads them.
//!
//! There are two such parts, so that no page costs both: [`Write`] and
//! [`SetUp`]. What both need, and no other page does, is a file that they share.
//!
//! The server has these pages like any other. In the browser the files are
//! there before such a page is hydrated or shown: see [`Part::load`].

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

/// A page where one writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
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
}

/// A page where one sets something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetUp {
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

/// A file that a page needs could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

impl From<SplitLoaderError> for Missing {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

/// The one door to the first part: what only this function reaches is in it.
#[wasm_split(write, wasm_split_path = ::leptos::wasm_split, preload(load_write), fallible)]
fn write(which: Write) -> Result<AnyView, Missing> {
    Ok(match which {
        Write::Agents => AgentsPage().into_any(),
        Write::NewAgent => NewAgentPage().into_any(),
        Write::Agent => AgentPage().into_any(),
        Write::Scenarios => ScenariosPage().into_any(),
        Write::NewScenario => NewScenarioPage().into_any(),
        Write::Scenario => ScenarioPage().into_any(),
    })
}

/// The one door to the second part.
#[wasm_split(set_up, wasm_split_path = ::leptos::wasm_split, preload(load_set_up), fallible)]
fn set_up(which: SetUp) -> Result<AnyView, Missing> {
    Ok(match which {
        SetUp::NewSuite => NewSuitePage().into_any(),
        SetUp::Connections => ConnectionsPage().into_any(),
        SetUp::NewConnection => NewConnectionPage().into_any(),
        SetUp::Connection => ConnectionPage().into_any(),
        SetUp::Models => ModelsPage().into_any(),
        SetUp::Tokens => TokensPage().into_any(),
    })
}

impl Write {
    /// The page, or a sentence in its place where a file cannot be had.
    pub async fn view(self) -> AnyView {
        write(self).await.unwrap_or_else(Missing::view)
    }
}

impl SetUp {
    /// The page, or a sentence in its place where a file cannot be had.
    pub async fn view(self) -> AnyView {
        set_up(self).await.unwrap_or_else(Missing::view)
    }
}

impl Missing {
    fn view(self) -> AnyView {
        let detail = "A part of the application could not be loaded.";
        error_page(&AppError::new(ErrorCode::Unavailable, detail))
    }
}

/// One of the two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// See [`Write`].
    Write,
    /// See [`SetUp`].
    SetUp,
}

impl Part {
    /// The part whose page stands at this address.
    #[must_use]
    pub fn at(address: &str) -> Option<Self> {
        let below = |place: &str| {
            address
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        if ["/agents", "/scenarios"].into_iter().any(below) {
            Some(Self::Write)
        } else if ["/settings", "/suites/new"].into_iter().any(below) {
            Some(Self::SetUp)
        } else {
            None
        }
    }

    /// How the names of its files end: its own, and the one both share.
    #[must_use]
    pub const fn files(self) -> [&'static str; 2] {
        match self {
            Self::Write => ["_write.wasm", "_shared.wasm"],
            Self::SetUp => ["_set_up.wasm", "_shared.wasm"],
        }
    }

    /// Fetches its files, once. A failure is not kept: the next call tries
    /// again.
    ///
    /// # Errors
    /// One of them could not be had.
    pub async fn load(self) -> Result<(), Missing> {
        match self {
            Self::Write => load_write().await?,
            Self::SetUp => load_set_up().await?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn parts_are_for_places_where_one_writes_or_sets_up() {
        for path in ["/agents", "/agents/new", "/scenarios/7", "/scenarios?q=a"] {
            assert_eq!(Part::at(path), Some(Part::Write), "{path}");
        }
        for path in ["/settings/tokens", "/suites/new", "/suites/new?scenario=7"] {
            assert_eq!(Part::at(path), Some(Part::SetUp), "{path}");
        }
        for path in ["/", "/suites", "/suites/7", "/runs/7", "/sign-in", "/suites/newest"] {
            assert_eq!(Part::at(path), None, "{path}");
        }
    }
}
