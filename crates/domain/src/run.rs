//! Runs: one execution of one scenario against one agent.

use super::evaluation::Evaluation;
use super::ids::{AgentId, RunId, ScenarioId, SuiteId};
use super::money::NanoUsd;
use super::string_enum::string_enum;
use super::timestamp::Timestamp;
use super::turn::Turn;
use serde::{Deserialize, Serialize};

string_enum! {
    /// Status of a run. A final status never changes.
    RunStatus {
        /// Not started.
        Pending = "pending" / "Queued",
        Running = "running" / "Running",
        Passed = "passed" / "Passed",
        Failed = "failed" / "Failed",
        /// There is not enough proof for passed or failed.
        Inconclusive = "inconclusive" / "Inconclusive",
        /// No verdict because of an error.
        Error = "error" / "Error",
        /// A user canceled the run.
        Cancelled = "cancelled" / "Canceled",
    }
}

impl RunStatus {
    /// Whether the status can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// `None` unless the run passed or failed.
    #[must_use]
    pub fn passed(self) -> Option<bool> {
        match self {
            Self::Passed => Some(true),
            Self::Failed => Some(false),
            _ => None,
        }
    }
}

string_enum! {
    Stage {
        Conversing = "conversing" / "In conversation",
        Evaluating = "evaluating" / "Judging",
    }
}

string_enum! {
    /// Why a run waits.
    WaitReason {
        /// Concurrency limit of runs or calls.
        Slot = "slot" / "a free slot",
        RateLimit = "rate_limit" / "the rate limit",
        /// The circuit of the connection is open or half-open, or the connection is suspended.
        Circuit = "circuit" / "the provider to recover",
    }
}

string_enum! {
    /// How a conversation ended. All of them lead to an evaluation.
    EndReason {
        /// The agent answered every user turn of the script.
        ScriptFinished = "script_finished" / "script finished",
        GoalReached = "goal_reached" / "goal reached",
        UserGaveUp = "user_gave_up" / "user gave up",
        /// The agent called `end_conversation`.
        AgentEnded = "agent_ended" / "agent ended the conversation",
        MaxTurns = "max_turns" / "turn limit reached",
    }
}

string_enum! {
    /// Why a run or an evaluation has no verdict.
    ErrorKind {
        /// The time limit of the run is exceeded.
        Timeout = "timeout" / "timed out",
        /// Recovered too often, or no worker could finish the run.
        Abandoned = "abandoned" / "abandoned",
        /// Waited too long for an open circuit.
        CircuitOpen = "circuit_open" / "provider failing",
        /// Waited too long for a rate limit.
        RateLimited = "rate_limited" / "rate limited",
        /// The provider failed and no retries are left.
        ProviderUnavailable = "provider_unavailable" / "provider unavailable",
        ProviderRejected = "provider_rejected" / "rejected by the provider",
        /// The response of a deployed agent cannot be read as its pointers say.
        InvalidResponse = "invalid_response" / "unreadable response of the agent",
        /// It is unknown whether a deployed agent acted on a message, so the message is not
        /// sent again.
        OutcomeUnknown = "outcome_unknown" / "outcome unknown",
        /// The endpoint of a deployed agent no longer knows the session.
        SessionLost = "session_lost" / "session lost",
        CredentialInvalid = "credential_invalid" / "credentials rejected",
        /// The quota of the provider account is used up.
        QuotaExhausted = "quota_exhausted" / "quota exhausted",
        /// The stored scenario is not valid.
        InvalidScenario = "invalid_scenario" / "invalid scenario",
        /// The stored agent is not valid.
        InvalidAgent = "invalid_agent" / "invalid agent",
        /// The agent lacks something that the scenario requires.
        Incompatible = "incompatible" / "incompatible",
        EvaluationUnavailable = "evaluation_unavailable" / "judge unavailable",
        EvaluationUnparseable = "evaluation_unparseable" / "unreadable judge reply",
        /// A model used up its token limit without a usable answer.
        Truncated = "truncated" / "cut off at the token limit",
        /// The budget of the suite, or of its user and day, is used up.
        BudgetExhausted = "budget_exhausted" / "budget exhausted",
        /// A server error.
        Internal = "internal" / "internal error",
    }
}

impl ErrorKind {
    /// Whether the same run can succeed later without any change by a user. Weaker than
    /// [`rerun_may_help`](Self::rerun_may_help), which is also true where a user can fix the
    /// connection or the account first.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::Timeout
            | Self::Abandoned
            | Self::CircuitOpen
            | Self::RateLimited
            | Self::ProviderUnavailable
            | Self::OutcomeUnknown
            | Self::SessionLost
            | Self::EvaluationUnavailable
            | Self::EvaluationUnparseable
            | Self::Internal => true,
            Self::ProviderRejected
            | Self::InvalidResponse
            | Self::CredentialInvalid
            | Self::QuotaExhausted
            | Self::InvalidScenario
            | Self::InvalidAgent
            | Self::Incompatible
            | Self::Truncated
            | Self::BudgetExhausted => false,
        }
    }
}

impl ErrorKind {
    /// Whether a re-run can end differently while agent and scenario stay as they are:
    /// later, or once the connection or the account is fixed.
    #[must_use]
    pub fn rerun_may_help(self) -> bool {
        !matches!(self, Self::Incompatible | Self::InvalidScenario | Self::InvalidAgent)
    }

    /// Whether the provider or the budget let no call through: the run itself is not the
    /// cause, so that its conversation can be continued later.
    #[must_use]
    pub fn can_continue_conversation(self) -> bool {
        matches!(
            self,
            Self::CircuitOpen
                | Self::RateLimited
                | Self::ProviderUnavailable
                | Self::CredentialInvalid
                | Self::QuotaExhausted
                | Self::BudgetExhausted
        )
    }
}

string_enum! {
    /// The author of a turn.
    Speaker {
        /// The scripted or simulated user.
        User = "user" / "User",
        /// The agent under test.
        Agent = "agent" / "Agent",
        /// A tool result.
        Tool = "tool" / "Tool",
    }
}

string_enum! {
    /// Why a model stopped generating.
    FinishReason {
        Stop = "stop" / "finished",
        ToolCalls = "tool_calls" / "called tools",
        /// The reply reached `max_tokens`.
        Length = "length" / "cut off at the token limit",
        /// The model refused to answer.
        Refusal = "refusal" / "refused",
        ContentFilter = "content_filter" / "filtered by the provider",
    }
}

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RunError {
    pub kind: ErrorKind,
    /// A sentence that says what happened and what to do.
    pub message: String,
    /// Whether the same run can succeed later without any change by a user.
    pub retryable: bool,
}

impl RunError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retryable: kind.retryable() }
    }
}

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Waiting {
    pub what: WaitReason,
    /// When the wait ends, if known.
    pub until: Option<Timestamp>,
}

impl Waiting {
    /// Waits for a free slot.
    pub const SLOT: Self = Self { what: WaitReason::Slot, until: None };

    /// Whether the wait delays a run of this status unexpectedly. A queued run that waits
    /// for a slot is normal.
    #[must_use]
    pub fn is_blocking(&self, status: RunStatus) -> bool {
        !(status == RunStatus::Pending && self.what == WaitReason::Slot)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentRef {
    pub id: AgentId,
    pub revision: u32,
    /// Name at that revision.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ScenarioRef {
    pub id: ScenarioId,
    pub revision: u32,
    /// Name at that revision.
    pub name: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleUsage {
    /// Number of answered calls.
    pub calls: u32,
    /// All input tokens, including those that were read from or written to a cache.
    pub input_tokens: u64,
    /// All output tokens, including those of reasoning.
    pub output_tokens: u64,
    /// Known cost in US dollars: `cost_nano_usd` as a number. `None` if the cost of every
    /// call is unknown. A lower bound if `priced_calls` is less than `calls`.
    pub cost_usd: Option<f64>,
    /// Parts of the tokens, as far as the provider reports them.
    #[serde(default)]
    pub token_parts: TokenParts,
    /// Number of answered calls whose cost is known.
    #[serde(default)]
    pub priced_calls: u32,
    /// The cost of these calls in billionths of a US dollar.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = u64))]
    pub cost_nano_usd: NanoUsd,
}

/// Parts of the tokens of one call, as far as the provider reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct TokenParts {
    /// The part of the input that was read from a prompt cache.
    pub cached_input_tokens: u64,
    /// The part of the input that was written to a prompt cache.
    pub cache_write_tokens: u64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: u64,
}

impl TokenParts {
    /// Adds the parts of another call.
    pub fn add(&mut self, other: Self) {
        let add = |sum: &mut u64, tokens| *sum = sum.saturating_add(tokens);
        add(&mut self.cached_input_tokens, other.cached_input_tokens);
        add(&mut self.cache_write_tokens, other.cache_write_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
    }
}

impl RoleUsage {
    /// Adds one answered call. Saturates because providers report arbitrary numbers.
    pub fn add(&mut self, input_tokens: u64, output_tokens: u64) {
        self.calls = self.calls.saturating_add(1);
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
    }

    /// Adds the cost of one answered call; `None` if it is unknown.
    pub fn add_cost(&mut self, cost: Option<NanoUsd>) {
        if let Some(cost) = cost {
            self.priced_calls = self.priced_calls.saturating_add(1);
            self.cost_nano_usd = self.cost_nano_usd.plus(cost);
        }
    }

    /// Adds the usage of another run.
    pub fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.token_parts.add(other.token_parts);
        self.priced_calls = self.priced_calls.saturating_add(other.priced_calls);
        self.cost_nano_usd = self.cost_nano_usd.plus(other.cost_nano_usd);
        self.cost_usd = self.known_cost().map(NanoUsd::as_usd);
    }

    /// The cost of the calls whose cost is known; `None` if that is none of them.
    #[must_use]
    pub fn known_cost(&self) -> Option<NanoUsd> {
        (self.priced_calls > 0 || self.calls == 0).then_some(self.cost_nano_usd)
    }

    /// Number of answered calls whose cost is unknown.
    #[must_use]
    pub fn unpriced_calls(&self) -> u32 {
        self.calls.saturating_sub(self.priced_calls)
    }
}

/// Usage of a run by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Usage {
    pub agent: RoleUsage,
    pub simulated_user: RoleUsage,
    pub judge: RoleUsage,
}

impl Usage {
    /// Adds the usage of another run.
    pub fn merge(&mut self, other: &Self) {
        self.agent.merge(&other.agent);
        self.simulated_user.merge(&other.simulated_user);
        self.judge.merge(&other.judge);
    }

    /// The usage with its costs as numbers, for pages and API. What is stored has integers
    /// only.
    #[must_use]
    pub fn with_cost_usd(&self) -> Self {
        let mut usage = Self::default();
        usage.merge(self);
        usage
    }

    /// The usage of all roles together.
    #[must_use]
    pub fn total(&self) -> RoleUsage {
        let mut total = RoleUsage::default();
        for role in [&self.agent, &self.simulated_user, &self.judge] {
            total.merge(role);
        }
        total
    }
}

/// A run as pages and the API return it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Run {
    pub id: RunId,
    pub suite_id: SuiteId,
    pub agent: AgentRef,
    pub scenario: ScenarioRef,
    /// Repetition of the scenario within the suite, from 1.
    pub repetition: u32,
    /// The run whose conversation this run copied, to continue or to judge it.
    pub source_run_id: Option<RunId>,
    pub status: RunStatus,
    /// Set while the run is running.
    pub stage: Option<Stage>,
    /// Set while the run waits.
    pub waiting_on: Option<Waiting>,
    /// `None` unless the run passed or failed.
    pub passed: Option<bool>,
    /// Score, 0–100; `None` without a verdict.
    pub score: Option<f64>,
    /// Set for the status `error`.
    pub error: Option<RunError>,
    pub end_reason: Option<EndReason>,
    /// Lease epoch: rises with every claim, release and recovery of the run.
    // The name in the API is older and kept.
    #[serde(rename = "attempt")]
    pub lease_epoch: u32,
    /// Number of recoveries after a crash.
    pub recoveries: u32,
    /// A run that is unfinished at this time ends as `abandoned`.
    pub deadline_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Time from start to end, in milliseconds.
    pub duration_ms: Option<u64>,
    pub usage: Usage,
    /// Number of user turns so far.
    pub user_turns: u32,
    /// Number of user turns in the script, or the maximum for a simulated user.
    pub user_turns_planned: u32,
    /// Omitted in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Vec<Turn>>,
    /// Newest first; omitted in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<Vec<Evaluation>>,
}
