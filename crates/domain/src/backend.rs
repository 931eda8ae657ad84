//! The port: everything pages, server functions and API ask of the server.
//! All rules about ownership stand behind it, never before it.

use crate::{
    Agent, AgentId, ApiToken, Connection, ConnectionId, ConnectionTest, Draft, DraftId, Evaluation,
    NewToken, Preflight, Problems, Run, RunId, Scenario, ScenarioFilter, ScenarioId, Settings,
    SpaceId, StartSuite, Suite, SuiteId, SuiteSnapshot, TokenId, UserId,
};
use crate::error::AppError;
#[cfg(feature = "server")]
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What every use case answers.
pub type Answer<T> = Result<T, AppError>;

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

/// Everything the server does for people and programs. Every method checks
/// that what it touches is the caller's: what is somebody else's answers
/// [`AppError::not_found`].
#[cfg(feature = "server")]
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    // --- accounts
    /// Whether somebody may sign up now.
    async fn sign_up_open(&self) -> Answer<bool>;
    /// Makes an account.
    async fn sign_up(&self, email: &str, password: &str) -> Answer<Caller>;
    /// Checks a password.
    async fn sign_in(&self, email: &str, password: &str) -> Answer<Caller>;
    /// Who a token belongs to.
    async fn caller_of_token(&self, token: &str) -> Answer<Caller>;
    /// Who a session's user is today (an account can be gone).
    async fn caller_of_user(&self, user: UserId) -> Answer<Caller>;
    /// Tokens, newest first.
    async fn tokens(&self, caller: &Caller) -> Answer<Vec<ApiToken>>;
    /// Makes a token; its secret is shown this once.
    async fn create_token(&self, caller: &Caller, name: &str) -> Answer<NewToken>;
    /// Ends a token.
    async fn delete_token(&self, caller: &Caller, id: TokenId) -> Answer<()>;

    // --- connections
    /// The caller's connections and the server's.
    async fn connections(&self, caller: &Caller) -> Answer<Vec<Connection>>;
    /// One of them.
    async fn connection(&self, caller: &Caller, id: ConnectionId) -> Answer<Connection>;
    /// Makes one.
    async fn create_connection(&self, caller: &Caller, draft: &Draft) -> Answer<Connection>;
    /// Changes one; an empty key keeps the stored one.
    async fn update_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> Answer<Connection>;
    /// Removes one; 409 while agents or unfinished runs use it.
    async fn delete_connection(&self, caller: &Caller, id: ConnectionId) -> Answer<()>;
    /// Calls its provider once, with `model` or any.
    async fn test_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        model: Option<String>,
    ) -> Answer<ConnectionTest>;

    /// The same with what is typed in its form (and its `model`), instead of
    /// what is stored: nothing is saved.
    async fn test_typed(
        &self,
        caller: &Caller,
        id: ConnectionId,
        typed: &Draft,
    ) -> Answer<ConnectionTest>;

    // --- agents
    /// Agents by name.
    async fn agents(&self, caller: &Caller, cursor: &Cursor) -> Answer<Page<Agent>>;
    /// One, at its newest revision.
    async fn agent(&self, caller: &Caller, id: AgentId) -> Answer<Agent>;
    /// All revisions, newest first.
    async fn agent_revisions(&self, caller: &Caller, id: AgentId) -> Answer<Vec<Agent>>;
    /// Makes one.
    async fn create_agent(&self, caller: &Caller, draft: &Draft) -> Answer<Agent>;
    /// Saves a new revision based on `revision`; 409 if that is not the newest.
    async fn update_agent(
        &self,
        caller: &Caller,
        id: AgentId,
        revision: u32,
        draft: &Draft,
    ) -> Answer<Agent>;
    /// Removes one; its history stays.
    async fn delete_agent(&self, caller: &Caller, id: AgentId) -> Answer<()>;
    /// A copy under another name.
    async fn duplicate_agent(&self, caller: &Caller, id: AgentId) -> Answer<Agent>;

    // --- scenarios
    /// Scenarios by category, difficulty, name.
    async fn scenarios(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Scenario>>;
    /// One, at its newest revision.
    async fn scenario(&self, caller: &Caller, id: ScenarioId) -> Answer<Scenario>;
    /// All revisions, newest first.
    async fn scenario_revisions(&self, caller: &Caller, id: ScenarioId) -> Answer<Vec<Scenario>>;
    /// Makes one.
    async fn create_scenario(&self, caller: &Caller, draft: &Draft) -> Answer<Scenario>;
    /// Saves a new revision based on `revision`; 409 if that is not the newest.
    async fn update_scenario(
        &self,
        caller: &Caller,
        id: ScenarioId,
        revision: u32,
        draft: &Draft,
    ) -> Answer<Scenario>;
    /// Removes one; its history stays.
    async fn delete_scenario(&self, caller: &Caller, id: ScenarioId) -> Answer<()>;
    /// A copy under another name; also of built-in ones.
    async fn duplicate_scenario(&self, caller: &Caller, id: ScenarioId) -> Answer<Scenario>;

    // --- import
    /// Saves agents and scenarios, all or nothing. Each document is an object
    /// whose `kind` is `agent` or `scenario`; an agent without `connection_id`
    /// gets the caller's first connection (or the server's), one without
    /// `model` what that connection offers.
    ///
    /// A dry run answers with the problems of each document; otherwise any
    /// problem is a 422 with paths like `documents[3].name`.
    async fn import(
        &self,
        caller: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> Answer<ImportReport>;

    // --- settings
    /// The models that judge and play users.
    async fn settings(&self, caller: &Caller) -> Answer<Settings>;
    /// Changes them.
    async fn update_settings(&self, caller: &Caller, settings: &Settings) -> Answer<Settings>;

    // --- suites and runs
    /// What a start would do; starts nothing.
    async fn preflight(&self, caller: &Caller, request: &StartSuite) -> Answer<Preflight>;
    /// Starts a suite, exactly once a key.
    async fn start(&self, caller: &Caller, request: &StartSuite, keyed: &Keyed) -> Answer<Started>;
    /// Starts the demo agent against the built-in scenarios, made if missing.
    async fn start_demo(&self, caller: &Caller, keyed: &Keyed) -> Answer<Started>;
    /// Suites, newest first.
    async fn suites(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Suite>>;
    /// A suite with its runs, and the seq at which it was read.
    async fn suite(&self, caller: &Caller, id: SuiteId) -> Answer<SuiteSnapshot>;
    /// Asks a suite to stop; fine when it was asked before.
    async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> Answer<Suite>;
    /// Runs part of a suite again, as a new one.
    async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        which: Which,
        keyed: &Keyed,
    ) -> Answer<Started>;
    /// Runs, newest first.
    async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Run>>;
    /// A run with transcript and evaluations.
    async fn run(&self, caller: &Caller, id: RunId) -> Answer<Run>;
    /// Asks a run to stop; fine when it was asked before.
    async fn cancel_run(&self, caller: &Caller, id: RunId) -> Answer<Run>;
    /// Judges a stored transcript again.
    async fn evaluate(&self, caller: &Caller, id: RunId, keyed: &Keyed) -> Answer<Started>;
    /// The evaluations of a run, newest first.
    async fn evaluations(&self, caller: &Caller, id: RunId) -> Answer<Vec<Evaluation>>;
    /// The first page.
    async fn dashboard(&self, caller: &Caller) -> Answer<Dashboard>;

    // --- forms
    /// Keeps rejected form input for a day.
    async fn keep_rejected(&self, caller: Option<&Caller>, rejected: &Rejected) -> Answer<DraftId>;
    /// Reads it again.
    async fn rejected(&self, caller: Option<&Caller>, id: DraftId) -> Answer<Rejected>;
    /// Holds the secret of a new token for the page that shows it: in memory
    /// alone, for a few minutes.
    fn hold_token(&self, caller: &Caller, secret: &str) -> DraftId;
    /// Gives it out, once and to the same caller alone.
    fn take_token(&self, caller: &Caller, id: DraftId) -> Option<String>;
    /// A fresh idempotency key for a form.
    fn mint_key(&self) -> String;
}
