//! Evaluations: one judging of one transcript.

use super::ids::EvaluationId;
use super::run::{RunError, RunStatus};
use super::scenario::words;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

words! {
    /// Status of an evaluation.
    EvaluationStatus {
        /// Recorded, not begun.
        Pending = "pending" / "Waiting",
        /// The judge reads.
        Running = "running" / "Running",
        /// There is a verdict.
        Done = "done" / "Done",
        /// There is none; `error` says why.
        Error = "error" / "Error",
        /// Somebody stopped it.
        Cancelled = "cancelled" / "Cancelled",
    }
}

words! {
    /// What came out.
    Verdict {
        /// The agent did its job.
        Passed = "passed" / "Passed",
        /// It did not.
        Failed = "failed" / "Failed",
        /// It could not be shown.
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

words! {
    /// What an item asks.
    ItemKind {
        /// An expected behaviour.
        Behavior = "behavior" / "Expected behaviour",
        /// A free-text criterion.
        Criterion = "criterion" / "Criterion",
        /// What must not happen.
        FailureCondition = "failure_condition" / "Failure condition",
    }
}

words! {
    /// What an answer rests on.
    Basis {
        /// Quotes.
        Evidence = "evidence" / "quoted",
        /// That something did not happen.
        Absence = "absence" / "by absence",
    }
}

/// A quote that the judge gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// The turn that it is from.
    pub turn: u32,
    /// Its words.
    pub quote: String,
    /// Whether it really stands in an agent or tool turn.
    pub verified: bool,
}

/// One question to the judge, answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Item {
    /// What it asks.
    pub kind: ItemKind,
    /// The question.
    pub text: String,
    /// Counts double, decides alone.
    pub required: bool,
    /// The judge's answer; `None` = cannot say.
    pub met: Option<bool>,
    /// What the answer rests on.
    pub basis: Option<Basis>,
    /// Why, in the judge's words.
    pub reason: String,
    /// Quotes.
    pub evidence: Vec<Evidence>,
    /// Whether the answer counts: met with a verified quote or by allowed absence.
    pub verified: bool,
}

/// A check by rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Check {
    /// Its name and argument: `must_include "refund"`.
    pub check: String,
    /// Whether it holds.
    pub ok: bool,
    /// Where, or what was missing.
    pub detail: String,
}

/// One judging of one transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Evaluation {
    /// Its id.
    pub id: EvaluationId,
    /// Its status.
    pub status: EvaluationStatus,
    /// Whether it is the one that decided its run.
    pub is_first: bool,
    /// Computed, 0–100.
    pub score: Option<f64>,
    /// The judge's own number: stored, not used.
    pub judge_score: Option<f64>,
    /// Computed.
    pub verdict: Option<Verdict>,
    /// The verdict in one sentence.
    pub summary: String,
    /// The questions.
    pub items: Vec<Item>,
    /// The checks by rule.
    pub checks: Vec<Check>,
    /// What the judge noticed besides.
    pub issues: Vec<String>,
    /// What the judge would change.
    pub recommendations: Vec<String>,
    /// The judge's model.
    pub judge_model: String,
    /// Version of the prompt that asked.
    pub prompt_version: u32,
    /// How often the judge was asked: 2 when the first answer could not be read.
    #[serde(default)]
    pub asked: u32,
    /// The judge's words as they came; the latest answer.
    pub raw_reply: Option<String>,
    /// Milliseconds of the judge's call.
    pub latency_ms: Option<u32>,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// Why there is no verdict.
    pub error: Option<RunError>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Evaluation {
    /// One without an answer yet: pending, and not its run's first, unless
    /// the caller says otherwise.
    #[must_use]
    pub fn asked(id: EvaluationId, judge_model: &str, prompt_version: u32, at: Timestamp) -> Self {
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
            asked: 0,
            raw_reply: None,
            latency_ms: None,
            input_tokens: 0,
            output_tokens: 0,
            error: None,
            created_at: at,
            finished_at: None,
        }
    }
}
