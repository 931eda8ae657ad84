//! The use cases as traits, one per area. Pages, forms and the API call them;
//! the crate `services` implements them.
//!
//! Every method checks that what it touches belongs to the caller: what belongs
//! to another user is [`AppError::not_found`](crate::error::AppError::not_found).

use super::{
    AppResult, Caller, Cursor, Dashboard, HistoryFilter, ImportReport, Keyed, Page, Rejected,
    Started, Which,
};
use crate::{
    Agent, AgentId, ApiToken, Connection, ConnectionId, ConnectionTest, Draft, DraftId, Evaluation,
    NewToken, Preflight, Run, RunId, Scenario, ScenarioFilter, ScenarioId, Settings, StartSuite,
    Suite, SuiteId, SuiteSnapshot, TokenId, UserId,
};
use async_trait::async_trait;
use std::sync::Arc;

/// All services of the server.
#[derive(Clone)]
pub struct Services {
    pub accounts: Arc<dyn AccountService>,
    pub connections: Arc<dyn ConnectionService>,
    pub agents: Arc<dyn AgentService>,
    pub scenarios: Arc<dyn ScenarioService>,
    pub imports: Arc<dyn ImportService>,
    pub settings: Arc<dyn SettingsService>,
    pub suites: Arc<dyn SuiteService>,
    pub results: Arc<dyn ResultService>,
    pub drafts: Arc<dyn DraftService>,
}

/// Accounts, sign-in and API tokens.
#[async_trait]
pub trait AccountService: Send + Sync + 'static {
    /// Whether somebody may sign up now.
    async fn sign_up_open(&self) -> AppResult<bool>;
    /// Makes an account.
    async fn sign_up(&self, email: &str, password: &str) -> AppResult<Caller>;
    /// Checks a password.
    async fn sign_in(&self, email: &str, password: &str) -> AppResult<Caller>;
    /// Who a token belongs to.
    async fn caller_of_token(&self, token: &str) -> AppResult<Caller>;
    /// Who a session's user is today (an account can be gone).
    async fn caller_of_user(&self, user: UserId) -> AppResult<Caller>;
    /// Tokens, newest first.
    async fn tokens(&self, caller: &Caller) -> AppResult<Vec<ApiToken>>;
    /// Makes a token; its secret is shown this once.
    async fn create_token(&self, caller: &Caller, name: &str) -> AppResult<NewToken>;
    /// Ends a token.
    async fn delete_token(&self, caller: &Caller, id: TokenId) -> AppResult<()>;
    /// Holds the secret of a new token for the page that shows it: in memory
    /// alone, for a few minutes.
    fn hold_new_token(&self, caller: &Caller, secret: &str) -> DraftId;
    /// Gives it out, once and to the same caller alone.
    fn take_new_token(&self, caller: &Caller, id: DraftId) -> Option<String>;
}

/// Connections to model providers: those of the caller and those that the server offers.
#[async_trait]
pub trait ConnectionService: Send + Sync + 'static {
    /// The caller's connections and the server's.
    async fn connections(&self, caller: &Caller) -> AppResult<Vec<Connection>>;
    /// One of them.
    async fn connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<Connection>;
    /// Makes one.
    async fn create_connection(&self, caller: &Caller, draft: &Draft) -> AppResult<Connection>;
    /// Changes one; an empty key keeps the stored one.
    async fn update_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> AppResult<Connection>;
    /// Removes one; 409 while agents or unfinished runs use it.
    async fn delete_connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<()>;
    /// Calls its provider once, with `model` or any.
    async fn test_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        model: Option<String>,
    ) -> AppResult<ConnectionTest>;
    /// The same with what is typed in its form (and its `model`), instead of
    /// what is stored: nothing is saved.
    async fn test_unsaved_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        typed: &Draft,
    ) -> AppResult<ConnectionTest>;
}

/// Agents and their revisions.
#[async_trait]
pub trait AgentService: Send + Sync + 'static {
    /// Agents by name.
    async fn agents(&self, caller: &Caller, cursor: &Cursor) -> AppResult<Page<Agent>>;
    /// One, at its newest revision.
    async fn agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent>;
    /// All revisions, newest first.
    async fn agent_revisions(&self, caller: &Caller, id: AgentId) -> AppResult<Vec<Agent>>;
    /// Makes one.
    async fn create_agent(&self, caller: &Caller, draft: &Draft) -> AppResult<Agent>;
    /// Saves a new revision based on `revision`; 409 if that is not the newest.
    async fn update_agent(
        &self,
        caller: &Caller,
        id: AgentId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Agent>;
    /// Removes one; its history stays.
    async fn delete_agent(&self, caller: &Caller, id: AgentId) -> AppResult<()>;
    /// A copy under another name.
    async fn duplicate_agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent>;
}

/// Scenarios and their revisions; built-in ones are read-only.
#[async_trait]
pub trait ScenarioService: Send + Sync + 'static {
    /// Scenarios by category, difficulty, name.
    async fn scenarios(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
        cursor: &Cursor,
    ) -> AppResult<Page<Scenario>>;
    /// One, at its newest revision.
    async fn scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<Scenario>;
    /// All revisions, newest first.
    async fn scenario_revisions(&self, caller: &Caller, id: ScenarioId)
    -> AppResult<Vec<Scenario>>;
    /// Makes one.
    async fn create_scenario(&self, caller: &Caller, draft: &Draft) -> AppResult<Scenario>;
    /// Saves a new revision based on `revision`; 409 if that is not the newest.
    async fn update_scenario(
        &self,
        caller: &Caller,
        id: ScenarioId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Scenario>;
    /// Removes one; its history stays.
    async fn delete_scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<()>;
    /// A copy under another name; also of built-in ones.
    async fn duplicate_scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<Scenario>;
}

/// Import of agents and scenarios.
#[async_trait]
pub trait ImportService: Send + Sync + 'static {
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
    ) -> AppResult<ImportReport>;
}

/// The models that judge and that simulate users.
#[async_trait]
pub trait SettingsService: Send + Sync + 'static {
    /// The models that judge and play users.
    async fn settings(&self, caller: &Caller) -> AppResult<Settings>;
    /// Changes them.
    async fn update_settings(&self, caller: &Caller, settings: &Settings) -> AppResult<Settings>;
}

/// Starts, re-runs, cancels and rejudges.
#[async_trait]
pub trait SuiteService: Send + Sync + 'static {
    /// What a start would do; starts nothing.
    async fn preflight(&self, caller: &Caller, request: &StartSuite) -> AppResult<Preflight>;
    /// Starts a suite, exactly once a key.
    async fn start(
        &self,
        caller: &Caller,
        request: &StartSuite,
        keyed: &Keyed,
    ) -> AppResult<Started>;
    /// Starts the demo agent against the built-in scenarios, made if missing.
    async fn start_demo(&self, caller: &Caller, keyed: &Keyed) -> AppResult<Started>;
    /// Asks a suite to stop; fine when it was asked before.
    async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> AppResult<Suite>;
    /// Runs part of a suite again, as a new one.
    async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        which: Which,
        keyed: &Keyed,
    ) -> AppResult<Started>;
    /// Asks a run to stop; fine when it was asked before.
    async fn cancel_run(&self, caller: &Caller, id: RunId) -> AppResult<Run>;
    /// Judges a stored transcript again.
    async fn evaluate(&self, caller: &Caller, id: RunId, keyed: &Keyed) -> AppResult<Started>;
    /// A fresh idempotency key for a form.
    fn new_idempotency_key(&self) -> String;
}

/// Reads suites, runs and evaluations.
#[async_trait]
pub trait ResultService: Send + Sync + 'static {
    /// Suites, newest first.
    async fn suites(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<Page<Suite>>;
    /// A suite with its runs, and the seq at which it was read.
    async fn suite(&self, caller: &Caller, id: SuiteId) -> AppResult<SuiteSnapshot>;
    /// Runs, newest first.
    async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<Page<Run>>;
    /// A run with transcript and evaluations.
    async fn run(&self, caller: &Caller, id: RunId) -> AppResult<Run>;
    /// The evaluations of a run, newest first.
    async fn evaluations(&self, caller: &Caller, id: RunId) -> AppResult<Vec<Evaluation>>;
    /// The first page.
    async fn dashboard(&self, caller: &Caller) -> AppResult<Dashboard>;
}

/// Rejected form input, kept for a day so that nothing typed is lost.
#[async_trait]
pub trait DraftService: Send + Sync + 'static {
    /// Keeps rejected form input for a day.
    async fn keep_draft(&self, caller: Option<&Caller>, rejected: &Rejected) -> AppResult<DraftId>;
    /// Reads it again.
    async fn draft(&self, caller: Option<&Caller>, id: DraftId) -> AppResult<Rejected>;
}
