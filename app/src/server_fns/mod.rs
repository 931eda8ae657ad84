//! Server functions: what pages request from the server.
//!
//! One server function answers all queries of pages, and one cancels. Each further
//! function, and each further type of a resource, would add its own copy of the
//! surrounding code to the WebAssembly (together about a third of it). Server
//! functions are public endpoints; the services behind them enforce all rules.

pub mod accounts;
pub mod agents;
pub mod home;
pub mod imports;
pub mod profiles;
pub mod runs;
pub mod scenarios;
pub mod settings;
pub mod suites;

#[cfg(feature = "ssr")]
pub(crate) mod request;

use crate::domain::{Connection, Profile, Suite};
use crate::error::{AppError, ErrorCode};
use crate::services::{ListPage, SavedForm};
use leptos::prelude::*;
use leptos::server_fn::codec::{Json, JsonEncoding};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use scenarios::ScenarioFilterParams;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use suites::StartParams;

/// What a page asks the server for. Its fields are taken from the address of the page, so
/// nothing is assumed of ids and cursors.
pub trait Query: Into<AnyQuery> {
    /// What the server returns for it.
    type Output: Serialize + DeserializeOwned;
}

/// Defines a struct per query with its output type, and [`AnyQuery`] over all of
/// them, which calls the function of each query. Both sides read the output type
/// from the same line, so no page can parse a different one.
macro_rules! queries {
    ($($(#[$doc:meta])* $variant:ident($query:ident { $($field:ident: $kind:ty),* }) -> $output:ty = $handler:path;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $query { $(pub $field: $kind),* }

            impl Query for $query {
                type Output = $output;
            }

            impl From<$query> for AnyQuery {
                fn from(query: $query) -> Self {
                    Self::$variant(query)
                }
            }
        )*

        /// Any query, as it travels to the server.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AnyQuery {
            $($variant($query)),*
        }

        #[cfg(feature = "ssr")]
        impl AnyQuery {
            /// Runs the query and returns its output as JSON.
            async fn execute(self) -> Result<String, AppError> {
                match self {
                    $(Self::$variant(query) => {
                        let output: $output = $handler(query).await?;
                        request::json(&output)
                    })*
                }
            }
        }
    };
}

queries! {
    Session(SessionQuery {}) -> accounts::HeaderData = accounts::session;
    /// The sign-in and sign-up forms.
    Account(AccountQuery { saved_form: Option<String> }) -> accounts::AccountData = accounts::account_form;
    /// Why a form was rejected, for pages that do not contain this form.
    Rejection(RejectionQuery { saved_form: Option<String> }) -> Option<SavedForm> = accounts::rejection;
    /// The home page.
    Home(HomeQuery {}) -> home::HomeData = home::home;
    /// Agents by name.
    Agents(AgentsQuery { after: Option<String> }) -> ListPage<agents::AgentRow> = agents::agents;
    /// The editor of an agent; without an id, of a new one. `deployed` is the preset of a new
    /// deployed agent, or another text for none.
    Agent(AgentQuery { id: Option<String>, saved_form: Option<String>, deployed: Option<String> }) -> agents::AgentData = agents::agent_form;
    /// A chat with an agent.
    AgentChat(AgentChatQuery { id: String, saved_form: Option<String> }) -> agents::AgentChatData = agents::agent_chat;
    /// The form of the import, and the result of its last step.
    Import(ImportQuery { saved_form: Option<String> }) -> imports::ImportData = imports::import_page;
    /// Scenarios that match a filter.
    Scenarios(ScenariosQuery { params: ScenarioFilterParams, after: Option<String> }) -> ListPage<scenarios::ScenarioRow> = scenarios::scenarios;
    /// The editor of a scenario; without an id, of a new one.
    Scenario(ScenarioQuery { id: Option<String>, saved_form: Option<String> }) -> scenarios::ScenarioData = scenarios::scenario_form;
    /// Suites, newest first.
    Suites(SuitesQuery { agent: Option<String>, status: Option<String>, after: Option<String> }) -> ListPage<Suite> = suites::suites;
    /// The form that starts a suite.
    Start(StartQuery { params: StartParams }) -> suites::StartData = suites::start_form;
    /// What a start would do.
    Preflight(PreflightQuery { params: StartParams }) -> suites::PreflightData = suites::check_start;
    /// A suite with its runs.
    Suite(SuiteQuery { id: String, run: Option<String> }) -> suites::SuiteData = suites::suite_view;
    /// A run with transcript and evaluations.
    Run(RunQuery { id: String }) -> runs::RunData = runs::run_view;
    /// Connections of the user and of the server.
    Connections(ConnectionsQuery {}) -> Vec<Connection> = settings::connections;
    /// The editor of a connection; without an id, of a new one.
    Connection(ConnectionQuery { id: Option<String>, preset: Option<String>, saved_form: Option<String>, tested: Option<String> }) -> settings::ConnectionData = settings::connection_form;
    /// The prices of the models of a connection.
    Prices(PricesQuery { id: String, saved_form: Option<String> }) -> settings::PricesData = settings::prices_form;
    /// The models that judge and that simulate users.
    Models(ModelsQuery { saved_form: Option<String> }) -> settings::ModelsData = settings::models_form;
    /// Test profiles by name.
    Profiles(ProfilesQuery {}) -> Vec<Profile> = profiles::profiles;
    /// The editor of a test profile; without an id, of a new one.
    Profile(ProfileQuery { id: Option<String>, saved_form: Option<String> }) -> profiles::ProfileData = profiles::profile_form;
    /// API tokens.
    Tokens(TokensQuery { saved_form: Option<String> }) -> settings::TokensData = settings::tokens_form;
    /// The account of the user.
    AccountSettings(AccountSettingsQuery { saved_form: Option<String> }) -> settings::AccountSettingsData = settings::account_settings;
}

/// What to cancel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelTarget {
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

/// Runs a query and returns its output as JSON.
#[server(prefix = "/fn", endpoint = "query", input = Json)]
pub async fn execute_query(query: AnyQuery) -> Result<String, PageError> {
    Ok(request::with_error_status(query.execute().await)?)
}

/// Cancels a suite or a run. Idempotent.
#[server(prefix = "/fn", endpoint = "cancel", input = Json)]
pub async fn cancel(target: CancelTarget) -> Result<(), PageError> {
    Ok(request::with_error_status(target.cancel().await)?)
}

#[cfg(feature = "ssr")]
impl CancelTarget {
    async fn cancel(self) -> Result<(), AppError> {
        let (services, caller) = (request::services(), request::caller()?);
        match self {
            Self::Suite(id) => {
                services.suites.cancel_suite(&caller, request::id(&id, "suite")?).await.map(drop)
            }
            Self::Run(id) => {
                services.suites.cancel_run(&caller, request::id(&id, "run")?).await.map(drop)
            }
        }
    }
}

/// A connection to select, with the models that its server listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionChoice {
    pub id: String,
    pub name: String,
    pub models: Vec<String>,
}

impl ConnectionChoice {
    /// All models of `connections`, with the name of their connection.
    pub fn models(connections: &[Self]) -> impl Iterator<Item = (&str, &str)> {
        connections.iter().flat_map(|connection| {
            connection.models.iter().map(|model| (connection.name.as_str(), model.as_str()))
        })
    }
}

/// An option of a selection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub id: String,
    pub name: String,
    /// A short description.
    pub about: String,
}
