//! What a lease holder changes of its run.

use crate::rows::{CallDone, Intent};
use domain::{EndReason, ErrorKind, Evaluation, RunError, RunStatus, Turn, Usage, Waiting};
use std::time::Duration;
use uuid::Uuid;

/// A worker's lease on a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub run_id: domain::RunId,
    /// Fencing token: the store refuses a change with an older epoch.
    pub lease_epoch: u32,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOutcome {
    /// A final status.
    pub status: RunStatus,
    /// The computed score; only with a verdict.
    pub score: Option<f64>,
    /// Only with the status `error`.
    pub error: Option<RunError>,
}

impl RunOutcome {
    pub fn error(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status: RunStatus::Error, score: None, error: Some(RunError::new(kind, message)) }
    }

    #[must_use]
    pub fn cancelled() -> Self {
        Self { status: RunStatus::Cancelled, score: None, error: None }
    }

    /// The outcome of a run whose row cannot be read. Its kind is `invalid_scenario`,
    /// because the API has none for damaged records.
    #[must_use]
    pub fn corrupt() -> Self {
        let message = "The stored record of this run is damaged. Run the scenario again.";
        Self::error(ErrorKind::InvalidScenario, message)
    }
}

/// What the lease holder commits in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunChange {
    /// Appended to the transcript; the store numbers them.
    pub turns: Vec<Turn>,
    /// Provider calls that completed.
    pub calls_done: Vec<CallDone>,
    /// Provider calls that start after this commit.
    pub intents: Vec<Intent>,
    /// Set when the conversation ended; the evaluation comes next.
    pub end_reason: Option<EndReason>,
    /// `Some(None)` when the run no longer waits.
    pub waiting: Option<Option<Waiting>>,
    /// Whether the run gives back its slots while it waits.
    pub parked: Option<bool>,
    /// Active time since the last change.
    pub active: Duration,
    /// Time waited for rate limits and circuits since the last change, also in waits that
    /// were too short to park the run.
    pub waited: Duration,
    /// The part of `waited` in waits for open circuits.
    pub waited_for_circuit: Duration,
    /// The total of all calls so far.
    pub usage: Option<Usage>,
    /// The current state of the run's first evaluation.
    pub evaluation: Option<Box<Evaluation>>,
    /// The session that a deployed agent returned.
    pub session_id: Option<String>,
    /// `Some(Some(…))` before a call is sent to a deployed agent, `Some(None)` with its
    /// outcome.
    pub unconfirmed_call: Option<Option<Uuid>>,
    pub finish: Option<RunOutcome>,
}
