//! Inputs and outputs of the services, whose traits are in [`traits`]. Only the
//! implementations of the services enforce ownership rules.

mod agent_trial;
#[cfg(feature = "server")]
pub mod traits;

pub use agent_trial::{AgentTrial, TrialDocument, TrialExchange, TrialFinding, TrialValue};
#[cfg(feature = "server")]
pub use traits::{
    AccountService, AgentChatService, AgentService, ConnectionService, CostService, ImportService,
    ProfileService, ResultService, SavedFormService, ScenarioService, Services, SettingsService,
    SuiteService,
};

use crate::error::AppError;
use crate::money::usd_option;
use crate::{
    AgentId, Connection, Draft, NanoUsd, Problems, RunId, ScenarioId, SpaceId, Suite, SuiteId,
    Turn, UserId,
};
use serde::{Deserialize, Serialize};

pub type AppResult<T> = Result<T, AppError>;

/// The authenticated user, derived from the session cookie or API token, never from input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    pub user_id: UserId,
    /// The space whose data the user may access.
    pub space_id: SpaceId,
    pub email: String,
    pub auth: AuthMethod,
}

/// The session of a request as lists of sessions name it ([`BrowserSession::id`]); `None`
/// for a request without one.
///
/// [`BrowserSession::id`]: crate::BrowserSession::id
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentSession(pub Option<String>);

/// How a caller proved who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMethod {
    /// With a password, in a session of a browser. A command of the command line, whose user
    /// can read the database, has the same rights.
    #[default]
    Password,
    /// With an API token, which may not create further tokens or change the password.
    Token,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema), schema(as = Page))]
pub struct ListPage<T> {
    pub items: Vec<T>,
    /// Cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// Selects a page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// [`ListPage::next`] of the previous page.
    pub after: Option<String>,
    /// Page size, 1–200; defaults to 50.
    pub limit: Option<u32>,
}

/// Filters runs or suites; every given field must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryFilter {
    pub agent: Option<AgentId>,
    /// For suites: at least one run of this scenario.
    pub scenario: Option<ScenarioId>,
    /// A run status or a suite status.
    pub status: Option<String>,
    /// For suites: at least one run with this error kind (and of `scenario`, if given).
    pub error_kind: Option<String>,
    /// Created at or after this time, RFC 3339.
    pub since: Option<String>,
    /// Created before this time, RFC 3339.
    pub until: Option<String>,
}

/// Selects the runs of a suite to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum RerunScope {
    /// Runs that ended with an error.
    Errors,
    Failed,
    All,
}

/// A request to run part of a suite again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RerunRequest {
    pub which: RerunScope,
    /// What the new suite may spend, in US dollars. Default: the budget of the former one,
    /// of which nothing is spent yet.
    #[serde(default, with = "usd_option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub budget_usd: Option<NanoUsd>,
}

impl From<RerunScope> for RerunRequest {
    fn from(which: RerunScope) -> Self {
        Self { which, budget_usd: None }
    }
}

/// A request to start runs, with its idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdempotentRequest {
    pub key: Option<String>,
    /// Path of the endpoint; part of the scope of the key.
    pub path: String,
    /// The parsed request; a replay must be equal.
    pub request: serde_json::Value,
}

/// The response to a start, stored so that a replay returns the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartResponse {
    /// The new suite; for `/evaluate` the suite of the run.
    pub suite_id: SuiteId,
    pub body: String,
    /// Whether this is the stored response of an earlier request.
    pub replayed: bool,
}

/// A chat with an agent after an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentChat {
    /// The whole conversation.
    pub turns: Vec<Turn>,
    /// Why the answer is incomplete. It can be continued.
    pub error: Option<String>,
    /// Whether the agent hung up or the chat has as many messages as it may have.
    pub ended: bool,
    /// The session with a deployed agent.
    pub session: Option<ChatSession>,
}

/// What belongs together at a deployed agent during a chat. The client holds it with the
/// conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSession {
    /// In place of the id of a run, in templates.
    pub run_id: RunId,
    /// The session id; empty before the agent returned one.
    pub id: String,
}

/// Contents of the home page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    pub unfinished_suites: Vec<Suite>,
    /// Newest first.
    pub latest: Vec<Suite>,
    /// Number of agents.
    pub agents: u32,
    /// Number of scenarios created by the user.
    pub scenarios: u32,
    /// Number of built-in scenarios.
    pub built_in_scenarios: u32,
    /// Connections whose circuit breaker is not closed.
    pub failing_connections: Vec<Connection>,
}

/// Rejected form input, stored so that the form can show it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedForm {
    /// The input without API keys and passwords.
    pub draft: Draft,
    pub problems: Problems,
    /// One sentence that summarizes the problems.
    pub detail: String,
    /// A related page, such as the suite that is already running.
    pub link: Option<String>,
}

/// Kind of an imported document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ImportKind {
    Agent,
    Scenario,
    Profile,
}

/// Result of importing one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportedDocument {
    pub kind: ImportKind,
    /// Name in the document; empty if it has none.
    pub name: String,
    /// Id of the new agent, scenario or test profile; `None` in a dry run.
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = Uuid))]
    pub id: Option<uuid::Uuid>,
    /// Problems with paths relative to the document. Only a dry run returns documents with
    /// problems; it lists the first 100 of all documents.
    pub problems: Problems,
}

/// Whether a note of an import is about something that is missing or something that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ImportNoteKind {
    /// The file has a value that no document contains.
    NotCarriedOver,
    /// The documents contain something that the file does not say.
    Inferred,
}

/// A difference between an imported file in a foreign format and its documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportNote {
    pub kind: ImportNoteKind,
    /// Name of the file; empty if the import has no file names.
    pub file: String,
    /// Path in the file, such as `nodes[2].display_position`.
    pub path: String,
    /// One or more sentences.
    pub reason: String,
    /// The number of values with this reason at paths that differ only in their indexes.
    pub count: usize,
}

/// The format in which a file of an import was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportedFile {
    /// Name of the file; empty if the import has no file names.
    pub name: String,
    /// Such as `Retell LLM`.
    pub format: String,
}

/// Result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportReport {
    /// Whether the import only validated the documents.
    pub dry_run: bool,
    /// One entry per document, in order.
    pub documents: Vec<ImportedDocument>,
    /// The number of problems, also of those that are not listed.
    #[serde(default)]
    pub problem_count: usize,
    /// The detected format of each file.
    #[serde(default)]
    pub files: Vec<ImportedFile>,
    /// What could not be carried over from files in a foreign format, and what was inferred.
    /// Lists at most 200.
    #[serde(default)]
    pub notes: Vec<ImportNote>,
    /// The number of notes, also of those that are not listed.
    #[serde(default)]
    pub note_count: usize,
}
