//! Domain types, limits and validation. Browser, server functions, API, import and
//! engine all run this code.
//!
//! Input arrives as a [`Draft`] (any JSON-like tree). Parsing returns either a valid
//! value or all problems of the input at once.

mod agent;
mod budget;
mod connection;
mod connection_auth;
mod connection_headers;
mod connection_preset;
mod connection_query;
mod connection_spec;
mod draft;
mod draft_reader;
pub mod error;
mod evaluation;
mod event;
mod fill_agent;
mod fill_scenario;
pub mod form;
pub mod http_agent;
mod ids;
mod model_options;
pub mod money;
mod newest_revisions;
mod preflight;
mod price;
mod problem;
mod profile;
mod run;
mod scenario;
mod scenario_form;
mod scenario_parse;
pub mod services;
mod settings;
mod start_parse;
mod string_enum;
mod suite;
pub mod template;
mod text;
mod text_to_find;
mod timestamp;
mod tool_name;
mod turn;
pub mod url;
pub mod variables;

#[cfg(test)]
mod agent_tests;
#[cfg(test)]
mod connection_auth_tests;
#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod draft_tests;
#[cfg(test)]
mod http_agent_tests;
#[cfg(test)]
mod price_tests;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod text_to_find_tests;

pub use agent::{Agent, AgentSpec, DEFAULT_MAX_TOKENS, END_CONVERSATION, Tool};
pub use budget::{AgentCost, BudgetAction, DailyBudget, date, day_number};
pub use connection::{
    Breaker, BreakerState, Capability, CapabilityStatus, CapabilityTest, Connection,
    ConnectionKind, ConnectionTest,
};
pub use connection_auth::{AuthScheme, ConnectionAuth};
pub use connection_headers::{
    MASKED_VALUE, is_secret_header, mask_request_headers, remove_secret_values,
};
pub use connection_preset::{
    API_VERSION, ConnectionPreset, KeyUse, PresetFacts, azure_base_url, azure_resource,
    is_hosted_api,
};
pub use connection_query::is_secret_parameter;
pub use connection_spec::ConnectionSpec;
pub use draft::Draft;
pub use draft_reader::DraftReader;
pub use evaluation::{
    Basis, Check, Evaluation, EvaluationStatus, Evidence, Item, ItemKind, Verdict,
};
pub use event::{
    FinishedEvent, ProgressEvent, RunEvent, SuiteEvent, SuiteSnapshot, TurnEvent, WaitingRuns,
};
pub use ids::{
    AgentId, ConnectionId, EvaluationId, NewTokenId, ProfileId, RunId, SavedFormId, ScenarioId,
    SpaceId, SuiteId, TokenId, UserId,
};
pub use model_options::{ModelOptions, ReasoningEffort};
pub use money::NanoUsd;
pub use newest_revisions::NewestRevisions;
pub use preflight::{ConnectionWarning, Preflight, ScenarioFinding};
pub use price::{ANY_MODEL, ConnectionPrices, ModelPrice, TokenPrice, is_date};
pub use problem::{Problem, Problems};
pub use profile::{
    Profile, ProfileRef, ProfileSpec, Variable, remove_secret_variables, secret_placeholder,
};
pub use run::{
    AgentRef, EndReason, ErrorKind, FinishReason, RoleUsage, Run, RunError, RunStatus, ScenarioRef,
    Speaker, Stage, TokenParts, Usage, WaitReason, Waiting,
};
pub use scenario::{
    Behavior, Category, Difficulty, EvidenceRule, FlowTurn, Mode, OnUnmocked, Persona, Scenario,
    ScenarioSpec, SuccessCriteria, ToolMock,
};
pub use settings::{ApiToken, BrowserSession, ModelChoice, NewToken, Settings, TokenRequest};
pub use start_parse::read_budget;
pub use suite::{
    Counts, ScenarioFilter, StartSuite, Suite, SuiteProgress, SuiteStatus, judged_pass_rate,
    pass_rate,
};
pub use text::{is_blank, replace_nul};
pub use text_to_find::{TextMatch, TextToFind};
pub use timestamp::Timestamp;
pub use turn::{ToolCall, ToolResult, Turn};

/// Limits of input, shared by form hints and validation.
pub mod limits {
    use super::NanoUsd;

    /// Maximum price of a million tokens.
    pub const PRICE_USD: NanoUsd = NanoUsd::from_usd(100_000);
    /// Maximum budget of a suite, or of a user and day.
    pub const BUDGET_USD: NanoUsd = NanoUsd::from_usd(1_000_000);
    /// Maximum length of a name, in characters.
    pub const NAME: usize = 200;
    /// Maximum length of an agent category, in characters.
    pub const AGENT_CATEGORY: usize = 50;
    /// Maximum size of a system prompt, in bytes.
    pub const SYSTEM_PROMPT: usize = 64 * 1024;
    /// Maximum size of a message or other text, in bytes.
    pub const MESSAGE: usize = 32 * 1024;
    /// Maximum number of turns in a conversation flow.
    pub const TURNS: usize = 200;
    /// Maximum number of entries in any other list.
    pub const ENTRIES: usize = 100;
    /// Maximum repetitions of one scenario in a suite.
    pub const REPEATS: u32 = 20;
    /// Maximum number of runs that one suite executes concurrently.
    pub const CONCURRENCY: u32 = 64;
    /// Maximum number of scenarios that one request may name.
    pub const SELECTED: usize = 1000;
    /// Maximum nesting depth of JSON that is stored unchanged (schemas, mock results).
    /// `serde_json` stops at 128 levels, and this JSON is embedded in other documents.
    pub const DEPTH: usize = 64;
    /// Maximum output tokens of one reply.
    pub const MAX_TOKENS: u32 = 200_000;
    /// Maximum size of the fields that a user adds to the requests of a model, in bytes.
    pub const EXTRA_BODY: usize = 8 * 1024;
    /// Maximum number of problems that one error lists.
    pub const PROBLEMS: usize = 100;
    /// Maximum number of messages that a user sends in one chat with an agent.
    pub const CHAT_TURNS: u32 = 40;
    /// Maximum size of a chat with an agent, in bytes.
    pub const CHAT_BYTES: usize = 1024 * 1024;
    /// Maximum number of notes that one import lists.
    pub const IMPORT_NOTES: usize = 200;
    /// Maximum length of a user name, client ID, scope or token URL, in characters.
    pub const CREDENTIAL_FIELD: usize = 1000;
    /// Maximum timeout of one attempt of a call that a connection may set, in seconds.
    pub const CALL_SECONDS: u32 = 600;
    /// Maximum size of a request body, in bytes.
    pub const BODY: usize = 8 * 1024 * 1024;
    /// Days until a new API token expires, unless the request says otherwise.
    pub const TOKEN_DAYS: u32 = 90;
    /// Maximum days until a new API token expires.
    pub const TOKEN_MAX_DAYS: u32 = 3650;
    /// Maximum number of API tokens of one user.
    pub const TOKENS_PER_USER: u32 = 50;
    /// Maximum number of connections of one user.
    pub const CONNECTIONS_PER_USER: u32 = 100;
    /// Maximum number of agents of one user.
    pub const AGENTS_PER_USER: u32 = 1000;
    /// Maximum number of scenarios of one user, without the built-in ones.
    pub const SCENARIOS_PER_USER: u32 = 10_000;
    /// Maximum number of test profiles of one user.
    pub const PROFILES_PER_USER: u32 = 100;
    /// Maximum size of the value of a variable, in bytes.
    pub const VARIABLE: usize = 8 * 1024;
    /// Maximum number of rejected forms of one user that are kept.
    pub const SAVED_FORMS_PER_USER: u32 = 200;
    /// Maximum size of all rejected forms of one user that are kept, in bytes.
    pub const SAVED_FORM_BYTES_PER_USER: u32 = 32 * 1024 * 1024;
}
