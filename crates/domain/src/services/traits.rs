//! The use cases as traits, one per area. Pages, forms and the API call them;
//! the crate `services` implements them.
//!
//! Every method checks that what it touches belongs to the caller: what belongs
//! to another user is [`AppError::not_found`](crate::error::AppError::not_found).

use super::{
    AgentChat, AgentTrial, AppResult, Caller, ChatSession, Cursor, Dashboard, HistoryFilter,
    IdempotentRequest, ImportReport, ListPage, RerunRequest, SavedForm, StartResponse,
};
use crate::{
    Agent, AgentCost, AgentId, ApiToken, BrowserSession, Connection, ConnectionId,
    ConnectionPrices, ConnectionTest, DailyBudget, Draft, Evaluation, NanoUsd, NewToken,
    NewTokenId, NewestRevisions, Preflight, Profile, ProfileId, Run, RunId, SavedFormId, Scenario,
    ScenarioFilter, ScenarioId, Settings, StartSuite, Suite, SuiteId, SuiteSnapshot, Timestamp,
    TokenId, TokenRequest, Turn, UserId,
};
use async_trait::async_trait;
use std::sync::Arc;

#[derive(Clone)]
pub struct Services {
    pub accounts: Arc<dyn AccountService>,
    pub connections: Arc<dyn ConnectionService>,
    pub agents: Arc<dyn AgentService>,
    pub chats: Arc<dyn AgentChatService>,
    pub scenarios: Arc<dyn ScenarioService>,
    pub profiles: Arc<dyn ProfileService>,
    pub imports: Arc<dyn ImportService>,
    pub settings: Arc<dyn SettingsService>,
    pub costs: Arc<dyn CostService>,
    pub suites: Arc<dyn SuiteService>,
    pub results: Arc<dyn ResultService>,
    pub saved_forms: Arc<dyn SavedFormService>,
}

/// Accounts, sign-in and API tokens.
#[async_trait]
pub trait AccountService: Send + Sync + 'static {
    /// Whether sign-up is allowed.
    async fn sign_up_open(&self) -> AppResult<bool>;
    async fn sign_up(&self, email: &str, password: &str) -> AppResult<Caller>;
    async fn sign_in(&self, email: &str, password: &str) -> AppResult<Caller>;
    /// Authenticates an API token.
    async fn caller_of_token(&self, token: &str) -> AppResult<Caller>;
    /// Loads the user of a session that began at `signed_in_at`. The account may have been
    /// deleted, and all of its sessions may have been ended since then.
    async fn caller_of_session(&self, user: UserId, signed_in_at: Timestamp) -> AppResult<Caller>;
    /// Replaces the password after checking the current one. Ends all sessions of the
    /// user: a new one may begin after this.
    async fn change_password(&self, caller: &Caller, current: &str, new: &str) -> AppResult<()>;
    /// The sessions in which the user is signed in, the last used first.
    async fn sessions(&self, caller: &Caller) -> AppResult<Vec<BrowserSession>>;
    /// Ends one session of the user, named by [`BrowserSession::id`].
    async fn end_session(&self, caller: &Caller, id: &str) -> AppResult<()>;
    /// Logs that a sign-in with this email address was refused without checking the
    /// password, because there were too many.
    async fn log_throttled_sign_in(&self, email: &str);
    /// Ends all sessions of the user.
    async fn end_sessions(&self, caller: &Caller) -> AppResult<()>;
    /// Newest first.
    async fn tokens(&self, caller: &Caller) -> AppResult<Vec<ApiToken>>;
    /// Only this response contains the secret. Not allowed with a token, and limited per
    /// user.
    async fn create_token(&self, caller: &Caller, request: &TokenRequest) -> AppResult<NewToken>;
    /// Revokes a token.
    async fn delete_token(&self, caller: &Caller, id: TokenId) -> AppResult<()>;
    /// Keeps the secret of a new token in memory for a few minutes, for the page that shows it.
    fn hold_new_token(&self, caller: &Caller, secret: &str) -> NewTokenId;
    /// Returns the secret once, and only to the same caller.
    fn take_new_token(&self, caller: &Caller, id: NewTokenId) -> Option<String>;
}

/// Connections to model providers: those of the caller and those configured by the server.
#[async_trait]
pub trait ConnectionService: Send + Sync + 'static {
    /// Includes the connections configured by the server.
    async fn connections(&self, caller: &Caller) -> AppResult<Vec<Connection>>;
    async fn connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<Connection>;
    async fn create_connection(&self, caller: &Caller, draft: &Draft) -> AppResult<Connection>;
    /// An empty `api_key` keeps the stored secret.
    async fn update_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> AppResult<Connection>;
    /// Fails with a conflict while agents or unfinished runs use the connection.
    async fn delete_connection(&self, caller: &Caller, id: ConnectionId) -> AppResult<()>;
    /// Calls the provider once with `model` or a default model.
    async fn test_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        model: Option<String>,
    ) -> AppResult<ConnectionTest>;
    /// Tests unsaved form input instead of the stored connection. Saves nothing.
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
    /// Sorted by name.
    async fn agents(&self, caller: &Caller, cursor: &Cursor) -> AppResult<ListPage<Agent>>;
    /// Returns the newest revision.
    async fn agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent>;
    /// Newest first.
    async fn agent_revisions(&self, caller: &Caller, id: AgentId) -> AppResult<Vec<Agent>>;
    async fn create_agent(&self, caller: &Caller, draft: &Draft) -> AppResult<Agent>;
    /// Saves a new revision. Fails with a conflict unless `revision` is the newest.
    async fn update_agent(
        &self,
        caller: &Caller,
        id: AgentId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Agent>;
    /// Keeps suites and runs.
    async fn delete_agent(&self, caller: &Caller, id: AgentId) -> AppResult<()>;
    /// Copies the agent under another name.
    async fn duplicate_agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent>;
}

/// Test profiles. The values of secret variables are never returned.
#[async_trait]
pub trait ProfileService: Send + Sync + 'static {
    /// Sorted by name.
    async fn profiles(&self, caller: &Caller) -> AppResult<Vec<Profile>>;
    /// Returns the newest revision.
    async fn profile(&self, caller: &Caller, id: ProfileId) -> AppResult<Profile>;
    async fn create_profile(&self, caller: &Caller, draft: &Draft) -> AppResult<Profile>;
    /// Saves a new revision. A secret variable without a value keeps the stored one. Fails
    /// with a conflict unless `revision` is the newest.
    async fn update_profile(
        &self,
        caller: &Caller,
        id: ProfileId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Profile>;
    /// Keeps the revisions that suites were started with.
    async fn delete_profile(&self, caller: &Caller, id: ProfileId) -> AppResult<()>;
}

/// Chats with agents, without runs.
#[async_trait]
pub trait AgentChatService: Send + Sync + 'static {
    /// Adds the message and the agent's answer to the conversation, which the client holds
    /// with the session of a deployed agent. Without a message, continues an answer that
    /// failed halfway, or lets an agent begin that speaks first. A failed call is in the
    /// result, with what was said before. Fails with a conflict while another answer for this
    /// user is in progress.
    async fn answer(
        &self,
        caller: &Caller,
        id: AgentId,
        conversation: Vec<Turn>,
        message: &str,
        session: Option<ChatSession>,
    ) -> AppResult<AgentChat>;
    /// Ends the session with a deployed agent, if it has a request for that.
    async fn end(
        &self,
        caller: &Caller,
        id: AgentId,
        conversation: Vec<Turn>,
        session: Option<ChatSession>,
    ) -> AppResult<AgentChat>;
    /// Sends one message to a deployed agent that need not be saved, and shows what came.
    async fn try_message(
        &self,
        caller: &Caller,
        draft: &Draft,
        message: &str,
    ) -> AppResult<AgentTrial>;
}

/// Scenarios and their revisions; built-in ones are read-only.
#[async_trait]
pub trait ScenarioService: Send + Sync + 'static {
    /// Sorted by category, difficulty and name.
    async fn scenarios(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
        cursor: &Cursor,
    ) -> AppResult<ListPage<Scenario>>;
    /// Returns the newest revision.
    async fn scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<Scenario>;
    /// Newest first.
    async fn scenario_revisions(&self, caller: &Caller, id: ScenarioId)
    -> AppResult<Vec<Scenario>>;
    async fn create_scenario(&self, caller: &Caller, draft: &Draft) -> AppResult<Scenario>;
    /// Saves a new revision. Fails with a conflict unless `revision` is the newest.
    async fn update_scenario(
        &self,
        caller: &Caller,
        id: ScenarioId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Scenario>;
    /// Keeps suites and runs.
    async fn delete_scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<()>;
    /// Copies the scenario, which may be built-in, under another name.
    async fn duplicate_scenario(&self, caller: &Caller, id: ScenarioId) -> AppResult<Scenario>;
}

/// Import of agents and scenarios.
#[async_trait]
pub trait ImportService: Send + Sync + 'static {
    /// Saves all documents or none. Each document is an object whose `kind` is `agent` or
    /// `scenario`. An agent without `connection_id` gets the caller's first connection (or the
    /// server's); an agent without `model` gets a model of that connection.
    ///
    /// A dry run returns the problems of each document. Otherwise any problem is a validation
    /// error with paths like `documents[3].name`.
    async fn import(
        &self,
        caller: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> AppResult<ImportReport>;
}

/// Models for the judge and the simulated user.
#[async_trait]
pub trait SettingsService: Send + Sync + 'static {
    async fn settings(&self, caller: &Caller) -> AppResult<Settings>;
    async fn update_settings(&self, caller: &Caller, settings: &Settings) -> AppResult<Settings>;
}

/// Prices of models, budgets of users, and what was spent.
#[async_trait]
pub trait CostService: Send + Sync + 'static {
    /// The prices that apply to a connection of the caller or of the server.
    async fn prices(&self, caller: &Caller, id: ConnectionId) -> AppResult<ConnectionPrices>;
    /// Replaces the caller's own prices of a connection.
    async fn update_prices(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> AppResult<ConnectionPrices>;
    async fn daily_budget(&self, caller: &Caller) -> AppResult<DailyBudget>;
    /// `None` selects the default of the server.
    async fn update_daily_budget(
        &self,
        caller: &Caller,
        budget: Option<NanoUsd>,
    ) -> AppResult<DailyBudget>;
    /// What the kept suites of an agent cost.
    async fn agent_cost(&self, caller: &Caller, id: AgentId) -> AppResult<AgentCost>;
}

/// Starting, re-running, canceling and rejudging.
#[async_trait]
pub trait SuiteService: Send + Sync + 'static {
    /// Predicts what a start would do, without starting anything.
    async fn preflight(&self, caller: &Caller, request: &StartSuite) -> AppResult<Preflight>;
    /// Starts a suite exactly once per idempotency key.
    async fn start(
        &self,
        caller: &Caller,
        request: &StartSuite,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse>;
    /// Tests the demo agent, created if missing, with the built-in scenarios.
    async fn start_demo(
        &self,
        caller: &Caller,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse>;
    /// Requests cancellation of a suite. Idempotent.
    async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> AppResult<Suite>;
    /// Runs part of a suite again, as a new suite. Fails with a conflict if that cannot
    /// change any result.
    async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        request: RerunRequest,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse>;
    /// The newest revisions of what the runs of a suite used, to know which re-runs are
    /// possible and useful.
    async fn newest_revisions(&self, caller: &Caller, suite: &Suite) -> AppResult<NewestRevisions>;
    /// Requests cancellation of a run. Idempotent.
    async fn cancel_run(&self, caller: &Caller, id: RunId) -> AppResult<Run>;
    async fn rejudge(
        &self,
        caller: &Caller,
        id: RunId,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse>;
    fn new_idempotency_key(&self) -> String;
}

#[async_trait]
pub trait ResultService: Send + Sync + 'static {
    /// Newest first.
    async fn suites(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<ListPage<Suite>>;
    async fn suite(&self, caller: &Caller, id: SuiteId) -> AppResult<SuiteSnapshot>;
    /// Newest first.
    async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> AppResult<ListPage<Run>>;
    /// Includes transcript and evaluations.
    async fn run(&self, caller: &Caller, id: RunId) -> AppResult<Run>;
    /// Newest first.
    async fn evaluations(&self, caller: &Caller, id: RunId) -> AppResult<Vec<Evaluation>>;
    async fn dashboard(&self, caller: &Caller) -> AppResult<Dashboard>;
    /// The unfinished suites without their runs, oldest first.
    async fn unfinished_suites(&self, caller: &Caller) -> AppResult<Vec<Suite>>;
}

/// Stores rejected form input for a day, so that the form can show it again.
#[async_trait]
pub trait SavedFormService: Send + Sync + 'static {
    async fn save_form(
        &self,
        caller: Option<&Caller>,
        rejected: &SavedForm,
    ) -> AppResult<SavedFormId>;
    async fn saved_form(&self, caller: Option<&Caller>, id: SavedFormId) -> AppResult<SavedForm>;
}
