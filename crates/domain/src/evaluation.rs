//! Evaluations: results of judging a transcript.

use super::ids::EvaluationId;
use super::money::NanoUsd;
use super::run::{RunError, RunStatus, TokenParts};
use super::string_enum::string_enum;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

string_enum! {
    EvaluationStatus {
        /// Not started.
        Pending = "pending" / "Queued",
        /// The judge is called.
        Running = "running" / "Running",
        /// A verdict exists.
        Done = "done" / "Done",
        /// No verdict; `error` has the reason.
        Error = "error" / "Error",
        /// A user canceled the evaluation.
        Cancelled = "cancelled" / "Canceled",
    }
}

string_enum! {
    Verdict {
        Passed = "passed" / "Passed",
        Failed = "failed" / "Failed",
        /// The judge's answers do not support a verdict.
        Inconclusive = "inconclusive" / "Inconclusive",
    }
}

impl From<Verdict> for RunStatus {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed => Self::Failed,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

string_enum! {
    ItemKind {
        Behavior = "behavior" / "Expected behavior",
        Criterion = "criterion" / "Criterion",
        /// Behavior that the agent must not show.
        FailureCondition = "failure_condition" / "Failure condition",
    }
}

string_enum! {
    /// What the judge's answer is based on.
    Basis {
        Evidence = "evidence" / "quoted",
        /// Nothing in the transcript contradicts the answer.
        Absence = "absence" / "nothing found in the transcript",
    }
}

/// A quote from the judge's reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// Index of the quoted turn.
    pub turn: u32,
    pub quote: String,
    /// Whether the quote was found in a turn or a tool call of the agent, or for an item with
    /// `evidence: tool` in a tool result.
    pub verified: bool,
}

/// One point that the judge decided about a conversation: an expected behavior, a criterion
/// or a failure condition, with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Item {
    pub kind: ItemKind,
    pub text: String,
    /// Counts double in the score; a failure of this item fails the run.
    pub required: bool,
    /// The judge's answer; `None` if the judge could not decide.
    pub met: Option<bool>,
    pub basis: Option<Basis>,
    /// The judge's explanation.
    pub reason: String,
    pub evidence: Vec<Evidence>,
    /// Whether the answer is backed by a verified quote or by permitted absence.
    pub verified: bool,
}

/// The result of checking one rule of the scenario, without a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Check {
    /// The rule: name and argument, such as `must_include "refund"`.
    // The name in the API is older and kept.
    #[serde(rename = "check")]
    pub rule: String,
    /// Whether the check passed.
    pub ok: bool,
    /// Whether the texts are too large to be searched within the budget, so that the rule was
    /// not decided. The check is then not `ok`, and it does not fail the run.
    #[serde(default)]
    pub undecided: bool,
    /// Where the check was decided, or what was missing.
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Evaluation {
    pub id: EvaluationId,
    pub status: EvaluationStatus,
    /// Whether this evaluation decided the status of the run.
    pub is_first: bool,
    /// Computed score, 0–100.
    pub score: Option<f64>,
    /// The judge's own score, 0–100; informational only.
    pub judge_score: Option<f64>,
    pub verdict: Option<Verdict>,
    /// One sentence that explains the verdict.
    pub summary: String,
    pub items: Vec<Item>,
    /// Results of the rules.
    pub checks: Vec<Check>,
    /// Other problems that the judge noticed.
    pub issues: Vec<String>,
    /// Changes that the judge recommends.
    pub recommendations: Vec<String>,
    pub judge_model: String,
    /// Version of the judge prompt.
    pub prompt_version: u32,
    /// Number of judge calls; 2 if the first reply was unreadable, incomplete or quoted words that
    /// nobody said.
    #[serde(default, rename = "asked")]
    pub judge_calls: u32,
    /// The latest reply of the judge, unmodified.
    pub raw_reply: Option<String>,
    /// Whether the latest reply was cut off at the token limit.
    #[serde(default)]
    pub truncated: bool,
    /// The first of two replies, unmodified. What it answered well still counts.
    #[serde(default)]
    pub earlier_reply: Option<String>,
    /// What was left out of the requests to the judge or changed in them, because its server
    /// rejects it.
    #[serde(default)]
    pub adjustments: Vec<String>,
    /// Latency of the judge call, in milliseconds.
    pub latency_ms: Option<u32>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Parts of the tokens, as far as the provider reports them.
    #[serde(default)]
    pub token_parts: TokenParts,
    /// Set if there is no verdict.
    pub error: Option<RunError>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// Number of judge calls whose cost is known.
    #[serde(default)]
    pub priced_calls: u32,
    /// The cost of these calls in billionths of a US dollar.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = u64))]
    pub cost_nano_usd: NanoUsd,
}

impl Evaluation {
    /// Creates a pending evaluation with `is_first` unset.
    #[must_use]
    pub fn pending(
        id: EvaluationId,
        judge_model: &str,
        prompt_version: u32,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            status: EvaluationStatus::Pending,
            is_first: false,
            score: None,
            judge_score: None,
            verdict: None,
            summary: String::new(),
            items: Vec::new(),
            checks: Vec::new(),
            issues: Vec::new(),
            recommendations: Vec::new(),
            judge_model: judge_model.to_owned(),
            prompt_version,
            judge_calls: 0,
            raw_reply: None,
            truncated: false,
            earlier_reply: None,
            adjustments: Vec::new(),
            latency_ms: None,
            input_tokens: 0,
            output_tokens: 0,
            token_parts: TokenParts::default(),
            error: None,
            created_at: at,
            finished_at: None,
            priced_calls: 0,
            cost_nano_usd: NanoUsd::ZERO,
        }
    }
}
