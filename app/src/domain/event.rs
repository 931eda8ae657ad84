//! What the stream of a suite tells.

use super::ids::RunId;
use super::run::{Run, Turn};
use super::suite::{Counts, Suite, SuiteStatus};
use serde::{Deserialize, Serialize};

/// The whole suite as it is at one point of its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct SuiteSnapshot {
    /// The last event that is contained.
    pub seq: i64,
    /// The suite with its runs (without transcripts).
    pub suite: Suite,
}

/// A turn that was just stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct TurnEvent {
    /// The run.
    pub run_id: RunId,
    /// The turn.
    #[serde(flatten)]
    pub turn: Turn,
}

/// How far; computed, never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Runs that are final.
    pub done: u32,
    /// All runs.
    pub total: u32,
    /// Runs by status.
    pub by_status: Counts,
    /// Seconds that are left, where it can be told.
    pub eta_seconds: Option<u32>,
    /// What runs now.
    pub current: Vec<RunId>,
}

/// One message of the stream. The name of each variant in lower case is the
/// `event:` of its frame, its content the `data:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteEvent {
    /// Everything as it is; first, unless the reader resumes.
    Snapshot(Box<SuiteSnapshot>),
    /// A run changed; without transcript.
    Run(Box<RunEvent>),
    /// A turn was stored.
    Turn(Box<TurnEvent>),
    /// How far; without id.
    Progress(Progress),
    /// The suite is final; the last event.
    Finished(Finished),
}

/// A run changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct RunEvent {
    /// The run; the same as `run.id`.
    pub run_id: RunId,
    /// All of it but transcript and evaluations.
    #[serde(flatten)]
    pub run: Run,
}

/// The suite is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct Finished {
    /// `finished` or `cancelled`.
    pub status: SuiteStatus,
    /// Runs by status.
    pub counts: Counts,
}
