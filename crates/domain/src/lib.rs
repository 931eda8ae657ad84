//! The words of the product: types, limits and validation, the same code in
//! the browser, in server functions, in the API, in import and at the claim
//! of a run.
//!
//! Input arrives as a [`Draft`] (any JSON-like tree) and becomes a valid type
//! or *all* of its problems at once.

pub mod address;
mod agent;
mod connection;
mod draft;
pub mod error;
mod evaluation;
mod event;
mod ids;
mod preflight;
mod problem;
mod run;
mod scenario;
mod scenario_parse;
pub mod services;
mod settings;
mod start_parse;
mod suite;
mod text;
mod timestamp;
mod turn;

#[cfg(test)]
mod tests_agent;
#[cfg(test)]
mod tests_connection;
#[cfg(test)]
mod tests_drafts;
#[cfg(test)]
mod tests_scenario;

pub use agent::{Agent, AgentSpec, END_CONVERSATION, Tool};
pub use connection::{
    Breaker, BreakerState, Connection, ConnectionKind, ConnectionSpec, ConnectionTest,
};
pub use draft::{Draft, Reader};
pub use evaluation::{
    Basis, Check, Evaluation, EvaluationStatus, Evidence, Item, ItemKind, Verdict,
};
pub use event::{Finished, HeldRuns, Progress, RunEvent, SuiteEvent, SuiteSnapshot, TurnEvent};
pub use ids::{
    AgentId, ConnectionId, DraftId, EvaluationId, RunId, ScenarioId, SpaceId, SuiteId, TokenId,
    UserId,
};
pub use preflight::{ConnectionTrouble, Incompatibility, Preflight};
pub use problem::{Problem, Problems};
pub use run::{
    AgentRef, EndReason, ErrorKind, Finish, RoleUsage, Run, RunError, RunStatus, ScenarioRef,
    Speaker, Stage, Usage, Waiting, WaitingOn,
};
pub use scenario::{
    Behavior, Category, Difficulty, EvidenceRule, FlowTurn, Mode, OnUnmocked, Persona, Scenario,
    ScenarioSpec, SuccessCriteria, ToolMock,
};
pub use settings::{ApiToken, ModelChoice, NewToken, Settings};
pub use suite::{Counts, ScenarioFilter, StartSuite, Suite, SuiteProgress, SuiteStatus, pass_rate};
pub use text::{is_blank, replace_nul};
pub use timestamp::Timestamp;
pub use turn::{ToolAnswer, ToolCall, Turn};

/// Limits of input, in one place so that form hints and checks agree.
pub mod limits {
    /// Longest name of anything, in characters.
    pub const NAME: usize = 200;
    /// Longest category of an agent, in characters.
    pub const AGENT_CATEGORY: usize = 50;
    /// Longest system prompt, in bytes.
    pub const SYSTEM_PROMPT: usize = 64 * 1024;
    /// Longest single message or text, in bytes.
    pub const MESSAGE: usize = 32 * 1024;
    /// Most turns of a conversation flow.
    pub const TURNS: usize = 200;
    /// Most items of any other list.
    pub const ITEMS: usize = 100;
    /// Most repetitions of one scenario in a suite.
    pub const REPEATS: u32 = 20;
    /// Most runs of one suite at once.
    pub const CONCURRENCY: u32 = 64;
    /// Most scenarios that one start names.
    pub const SELECTED: usize = 1000;
    /// Deepest nesting of JSON that is stored as it is (schemas, results of
    /// mocks). Readers of JSON stop at 128, and ours stands inside more.
    pub const DEPTH: usize = 64;
    /// Longest request body of a form or of the API, in bytes.
    pub const BODY: usize = 8 * 1024 * 1024;
}
