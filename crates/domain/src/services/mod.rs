//! What the services take and return; [`traits`] has the services themselves.
//! Ownership rules are enforced by their implementations and nowhere else.

#[cfg(feature = "server")]
pub mod traits;
#[cfg(feature = "server")]
pub use traits::{
    AccountService, AgentService, ConnectionService, DraftService, ImportService, ResultService,
    ScenarioService, Services, SettingsService, SuiteService,
};

use crate::error::AppError;
use crate::{AgentId, Connection, Draft, Problems, ScenarioId, SpaceId, Suite, SuiteId, UserId};
use serde::{Deserialize, Serialize};

/// What every use case answers.
pub type AppResult<T> = Result<T, AppError>;

/// Who asks: found from the session cookie or the token, never from input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The person.
    pub user_id: UserId,
    /// Whose things they see.
    pub space_id: SpaceId,
    /// Shown in the header.
    pub email: String,
}

/// One page of a list; `next` is the cursor of the following one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

/// Which part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// From the page before.
    pub after: Option<String>,
    /// 1–200, default 50.
    pub limit: Option<u32>,
}

/// Which runs, and which suites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of this scenario; of suites those with such a run.
    pub scenario: Option<ScenarioId>,
    /// With this status (a word of runs or of suites).
    pub status: Option<String>,
    /// With this kind of error; of suites those with such a run (of that
    /// scenario, where one is named too).
    pub error_kind: Option<String>,
    /// Not before this time, RFC 3339.
    pub since: Option<String>,
    /// Before this time, RFC 3339.
    pub until: Option<String>,
}

/// Which runs of a suite to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Which {
    /// Those without a verdict because of an error.
    Errors,
    /// Those that failed.
    Failed,
    /// All of them.
    All,
}

/// A start and its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keyed {
    /// The idempotency key, if one was sent.
    pub key: Option<String>,
    /// The path of the endpoint: part of the key's scope.
    pub path: String,
    /// The parsed request, for comparing a replay.
    pub request: serde_json::Value,
}

/// The answer of a start: the bytes that are kept and given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The suite (or for `/evaluate` the run's suite).
    pub suite_id: SuiteId,
    /// The body, byte for byte.
    pub body: String,
    /// Whether it was answered before.
    pub replayed: bool,
}

/// What the first page needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Unfinished suites.
    pub live: Vec<Suite>,
    /// Latest suites, newest first.
    pub latest: Vec<Suite>,
    /// Agents there are.
    pub agents: u32,
    /// Scenarios of one's own.
    pub scenarios: u32,
    /// Built-in scenarios.
    pub built_in_scenarios: u32,
    /// Connections that do not work at the moment.
    pub troubled: Vec<Connection>,
}

/// Form input that was rejected: kept, so that nothing typed is lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// What was typed (never a key or a password).
    pub draft: Draft,
    /// What is wrong with it.
    pub problems: Problems,
    /// A sentence about the whole.
    pub detail: String,
    /// Where to look instead.
    pub link: Option<String>,
}

/// What a document of an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ImportKind {
    /// An agent.
    Agent,
    /// A scenario.
    Scenario,
}

/// What an import did, or would do, with one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportedDocument {
    /// What it is.
    pub kind: ImportKind,
    /// Its name, as far as it has one.
    pub name: String,
    /// The id under which it is kept; `None` in a dry run.
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = Uuid))]
    pub id: Option<uuid::Uuid>,
    /// What is wrong with it; paths are those inside the document. Only a dry
    /// run shows documents with problems.
    pub problems: Problems,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportReport {
    /// Whether nothing was saved because nothing should be.
    pub dry_run: bool,
    /// One entry a document, in their order.
    pub documents: Vec<ImportedDocument>,
}
