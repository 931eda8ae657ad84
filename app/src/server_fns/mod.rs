//! What pages ask of the server.
//!
//! One server function reads, whatever the page; one cancels. Each further
//! function, and each further type of a resource, would bring its own copy of
//! the machinery around it into every browser (together about a third of the
//! WASM). They are public endpoints, so nothing is decided here but the HTTP
//! status: behind them stands the port.

// The macro makes public structs of the arguments, whose fields no comment can
// reach.
#![allow(missing_docs)]

pub mod accounts;
pub mod agents;
pub mod home;
pub mod runs;
pub mod scenarios;
pub mod settings;
pub mod suites;

#[cfg(feature = "ssr")]
pub(crate) mod ask;

use crate::error::{AppError, ErrorCode};
use leptos::prelude::*;
use leptos::server_fn::codec::{Json, JsonEncoding};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use std::fmt;
use scenarios::FilterWords;
use serde::{Deserialize, Serialize};
use suites::StartWords;

/// What a page asks. Ids and cursors are words of the address: nothing is
/// assumed of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Who is signed in: [`accounts::Visitor`].
    Session,
    /// Sign-in and sign-up forms: [`accounts::AccountData`].
    Account { draft: Option<String> },
    /// Why something was refused: `Option<Rejected>`.
    Refused { draft: Option<String> },
    /// The first page: [`home::HomeData`].
    Home,
    /// Agents: a page of [`agents::AgentRow`].
    Agents { after: Option<String> },
    /// The editor of an agent: [`agents::AgentData`].
    Agent { id: Option<String>, draft: Option<String> },
    /// Scenarios: a page of [`scenarios::ScenarioRow`].
    Scenarios { words: FilterWords, after: Option<String> },
    /// The editor of a scenario: [`scenarios::ScenarioData`].
    Scenario { id: Option<String>, draft: Option<String> },
    /// Suites: a page of [`crate::domain::Suite`].
    Suites { agent: Option<String>, status: Option<String>, after: Option<String> },
    /// The start form: [`suites::StartData`].
    Start { words: StartWords },
    /// What a start would do: [`suites::PreflightData`].
    CheckStart { words: StartWords },
    /// A suite: [`suites::SuiteData`].
    Suite { id: String, run: Option<String> },
    /// A run: [`runs::RunData`].
    Run { id: String },
    /// Connections: a list of [`crate::domain::Connection`].
    Connections,
    /// The editor of a connection: [`settings::ConnectionData`].
    Connection { id: Option<String>, draft: Option<String>, tested: Option<String> },
    /// The models of judge and simulated user: [`settings::ModelsData`].
    Models { draft: Option<String> },
    /// Tokens: [`settings::TokensData`].
    Tokens { draft: Option<String> },
}

/// What is asked to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    Suite(String),
    Run(String),
}

/// An [`AppError`] as server functions return it. The domain does not know
/// Leptos, so the conversion from the errors of Leptos is implemented here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageError(pub AppError);

impl From<AppError> for PageError {
    fn from(error: AppError) -> Self {
        Self(error)
    }
}

impl From<PageError> for AppError {
    fn from(error: PageError) -> Self {
        error.0
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromServerFnError for PageError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let (code, detail) = match error {
            ServerFnErrorErr::Args(detail)
            | ServerFnErrorErr::MissingArg(detail)
            | ServerFnErrorErr::Deserialization(detail) => {
                (ErrorCode::Malformed, format!("The request could not be read: {detail}"))
            }
            ServerFnErrorErr::Request(_) => {
                (ErrorCode::Unavailable, "The server could not be reached.".to_owned())
            }
            _ => (ErrorCode::Internal, "Something went wrong. Please try again.".to_owned()),
        };
        Self(AppError::new(code, detail))
    }
}

/// Answers a page, as JSON of the type that stands at [`Ask`].
#[server(prefix = "/fn", endpoint = "read", input = Json)]
pub async fn read(ask: Ask) -> Result<String, PageError> {
    Ok(match ask {
        Ask::Session => ask::json(accounts::session().await),
        Ask::Account { draft } => ask::json(accounts::account_form(draft).await),
        Ask::Refused { draft } => ask::json(accounts::refused(draft).await),
        Ask::Home => ask::json(home::home().await),
        Ask::Agents { after } => ask::json(agents::agents(after).await),
        Ask::Agent { id, draft } => ask::json(agents::agent_form(id, draft).await),
        Ask::Scenarios { words, after } => ask::json(scenarios::scenarios(words, after).await),
        Ask::Scenario { id, draft } => ask::json(scenarios::scenario_form(id, draft).await),
        Ask::Suites { agent, status, after } => {
            ask::json(suites::suites(agent, status, after).await)
        }
        Ask::Start { words } => ask::json(suites::start_form(words).await),
        Ask::CheckStart { words } => ask::json(suites::check_start(words).await),
        Ask::Suite { id, run } => ask::json(suites::suite_view(id, run).await),
        Ask::Run { id } => ask::json(runs::run_view(id).await),
        Ask::Connections => ask::json(settings::connections().await),
        Ask::Connection { id, draft, tested } => {
            ask::json(settings::connection_form(id, draft, tested).await)
        }
        Ask::Models { draft } => ask::json(settings::models_form(draft).await),
        Ask::Tokens { draft } => ask::json(settings::tokens_form(draft).await),
    }?)
}

/// Asks a suite or a run to stop; fine when it was asked before.
#[server(prefix = "/fn", endpoint = "cancel", input = Json)]
pub async fn cancel(what: Stop) -> Result<(), PageError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    match what {
        Stop::Suite(id) => {
            let id = ask::answered(ask::id(&id, "suite"))?;
            ask::answered(backend.cancel_suite(&caller, id).await)?;
        }
        Stop::Run(id) => {
            let id = ask::answered(ask::id(&id, "run"))?;
            ask::answered(backend.cancel_run(&caller, id).await)?;
        }
    }
    Ok(())
}

/// Something to choose: its id and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is about, in few words.
    pub about: String,
}
