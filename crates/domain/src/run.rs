//! Runs: one scenario, one agent, one repetition, executed once.

use super::evaluation::Evaluation;
use super::ids::{AgentId, RunId, ScenarioId, SuiteId};
use super::scenario::words;
use super::timestamp::Timestamp;
use super::turn::Turn;
use serde::{Deserialize, Serialize};

words! {
    /// Status of a run. Final once, final for ever.
    RunStatus {
        /// Recorded, not begun.
        Pending = "pending" / "Waiting",
        /// Begun.
        Running = "running" / "Running",
        /// The agent did its job.
        Passed = "passed" / "Passed",
        /// The agent did not do its job.
        Failed = "failed" / "Failed",
        /// The judge could not show it either way.
        Inconclusive = "inconclusive" / "Inconclusive",
        /// We could not find out.
        Error = "error" / "Error",
        /// Somebody stopped it.
        Cancelled = "cancelled" / "Cancelled",
    }
}

impl RunStatus {
    /// Whether nothing will change it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// `true`, `false`, or `None` where there is no verdict.
    #[must_use]
    pub fn passed(self) -> Option<bool> {
        match self {
            Self::Passed => Some(true),
            Self::Failed => Some(false),
            _ => None,
        }
    }
}

words! {
    /// What a running run is doing.
    Stage {
        /// Agent and user talk.
        Conversing = "conversing" / "In conversation",
        /// The judge reads.
        Evaluating = "evaluating" / "Being judged",
    }
}

words! {
    /// What a run waits for.
    WaitingOn {
        /// A place among the runs or calls at once.
        Slot = "slot" / "a free slot",
        /// The provider's rate limit.
        RateLimit = "rate_limit" / "the rate limit",
        /// An open circuit.
        Circuit = "circuit" / "the circuit to close",
    }
}

words! {
    /// How a conversation ended; all of them are judged.
    EndReason {
        /// Every user turn of the script was answered.
        ScriptFinished = "script_finished" / "script finished",
        /// The simulated user got what it wanted.
        GoalReached = "goal_reached" / "goal reached",
        /// The simulated user gave up.
        UserGaveUp = "user_gave_up" / "user gave up",
        /// The agent hung up.
        AgentEnded = "agent_ended" / "agent hung up",
        /// The limit of user turns was reached.
        MaxTurns = "max_turns" / "turn limit reached",
    }
}

words! {
    /// Why we could not find out.
    ErrorKind {
        /// Its active time is used up.
        Timeout = "timeout" / "out of time",
        /// Recovered too often, or nobody was left to finish it.
        Abandoned = "abandoned" / "abandoned",
        /// Parked too long behind an open circuit.
        CircuitOpen = "circuit_open" / "circuit open",
        /// Parked too long behind a rate limit.
        RateLimited = "rate_limited" / "rate limited",
        /// The provider failed and the retries are used up.
        ProviderUnavailable = "provider_unavailable" / "provider unavailable",
        /// The provider refused the request.
        ProviderRejected = "provider_rejected" / "rejected by the provider",
        /// The key is not accepted.
        CredentialInvalid = "credential_invalid" / "key not accepted",
        /// The account has nothing left.
        QuotaExhausted = "quota_exhausted" / "quota exhausted",
        /// The scenario is damaged.
        InvalidScenario = "invalid_scenario" / "invalid scenario",
        /// The agent is damaged.
        InvalidAgent = "invalid_agent" / "invalid agent",
        /// The agent cannot do what the scenario needs.
        Incompatible = "incompatible" / "incompatible",
        /// The judge could not be reached.
        EvaluationUnavailable = "evaluation_unavailable" / "judge unavailable",
        /// The judge's answer could not be read.
        EvaluationUnparseable = "evaluation_unparseable" / "judge unreadable",
        /// The money set aside is used up.
        BudgetExhausted = "budget_exhausted" / "budget exhausted",
        /// A fault of ours.
        Internal = "internal" / "internal error",
    }
}

impl ErrorKind {
    /// Whether trying again unchanged can help.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::Timeout
            | Self::Abandoned
            | Self::CircuitOpen
            | Self::RateLimited
            | Self::ProviderUnavailable
            | Self::EvaluationUnavailable
            | Self::EvaluationUnparseable
            | Self::Internal => true,
            Self::ProviderRejected
            | Self::CredentialInvalid
            | Self::QuotaExhausted
            | Self::InvalidScenario
            | Self::InvalidAgent
            | Self::Incompatible
            | Self::BudgetExhausted => false,
        }
    }
}

words! {
    /// Who said a turn.
    Speaker {
        /// The caller.
        User = "user" / "User",
        /// What is under test.
        Agent = "agent" / "Agent",
        /// The answer to a tool call.
        Tool = "tool" / "Tool",
    }
}

words! {
    /// How a model ended its answer.
    Finish {
        /// It was done.
        Stop = "stop" / "finished",
        /// It calls tools.
        ToolCalls = "tool_calls" / "called tools",
        /// It ran into `max_tokens`.
        Length = "length" / "cut at the token limit",
        /// It refused.
        Refusal = "refusal" / "refused",
        /// The provider's filter stepped in.
        ContentFilter = "content_filter" / "filtered by the provider",
    }
}

/// Why there is no verdict, in words a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RunError {
    /// The kind.
    pub kind: ErrorKind,
    /// A sentence that helps.
    pub message: String,
    /// Whether trying again unchanged can help.
    pub retryable: bool,
}

impl RunError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retryable: kind.retryable() }
    }
}

/// What a run waits for, and until when where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// For what.
    pub what: WaitingOn,
    /// Until when, where known.
    pub until: Option<Timestamp>,
}

impl Waiting {
    /// A free slot: what a run that is not begun waits for when nothing else is
    /// in its way.
    pub const SLOT: Self = Self { what: WaitingOn::Slot, until: None };

    /// Whether it holds a run of this status up: waiting for a slot before it
    /// begins is how queues are, and nothing to speak of.
    #[must_use]
    pub fn holds_up(&self, status: RunStatus) -> bool {
        !(status == RunStatus::Pending && self.what == WaitingOn::Slot)
    }
}

/// The agent revision that a run or suite used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentRef {
    /// The agent.
    pub id: AgentId,
    /// Its revision.
    pub revision: u32,
    /// Its name at that revision.
    pub name: String,
}

/// The scenario revision that a run used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ScenarioRef {
    /// The scenario.
    pub id: ScenarioId,
    /// Its revision.
    pub revision: u32,
    /// Its name at that revision.
    pub name: String,
}

/// Calls, tokens and cost of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleUsage {
    /// Calls that were answered.
    pub calls: u32,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// US dollars; `None` where no price is known.
    pub cost_usd: Option<f64>,
}

impl RoleUsage {
    /// Adds one answered call. The numbers are a provider's, and may be any.
    pub fn add(&mut self, input_tokens: u64, output_tokens: u64) {
        self.calls = self.calls.saturating_add(1);
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
    }
}

/// What a run used, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Usage {
    /// The agent's model.
    pub agent: RoleUsage,
    /// The model that plays the user.
    pub simulated_user: RoleUsage,
    /// The judge.
    pub judge: RoleUsage,
}

/// A run as pages and API show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The suite that it belongs to.
    pub suite_id: SuiteId,
    /// The agent revision under test.
    pub agent: AgentRef,
    /// The scenario revision.
    pub scenario: ScenarioRef,
    /// Counted from 1.
    pub repetition: u32,
    /// The run whose finished conversation was copied.
    pub source_run_id: Option<RunId>,
    /// The status.
    pub status: RunStatus,
    /// While running.
    pub stage: Option<Stage>,
    /// While it waits.
    pub waiting_on: Option<Waiting>,
    /// `None` unless passed or failed.
    pub passed: Option<bool>,
    /// 0–100; `None` without a verdict.
    pub score: Option<f64>,
    /// For `error`.
    pub error: Option<RunError>,
    /// How the conversation ended.
    pub end_reason: Option<EndReason>,
    /// Lease epoch.
    pub attempt: u32,
    /// How often it was taken up again after a crash.
    pub recoveries: u32,
    /// Latest end.
    pub deadline_at: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// From begin to end.
    pub duration_ms: Option<u64>,
    /// Calls, tokens, cost.
    pub usage: Usage,
    /// User turns that were said so far.
    pub user_turns: u32,
    /// User turns that the script has, or the most there can be.
    pub user_turns_planned: u32,
    /// What was said; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Vec<Turn>>,
    /// Judgings, newest first; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<Vec<Evaluation>>,
}
