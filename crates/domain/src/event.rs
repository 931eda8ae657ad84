//! Events of a suite's event stream.

use super::ids::RunId;
use super::run::{Run, WaitReason, Waiting};
use super::suite::{Counts, Suite, SuiteStatus};
use super::timestamp::Timestamp;
use super::turn::Turn;
use serde::{Deserialize, Serialize};

/// State of a suite at one position of its event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SuiteSnapshot {
    /// Sequence number of the last event that the snapshot includes.
    pub seq: i64,
    /// The suite with its runs, without transcripts.
    pub suite: Suite,
}

/// A turn was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TurnEvent {
    pub run_id: RunId,
    #[serde(flatten)]
    pub turn: Turn,
}

/// Progress of a suite. Computed on demand, never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProgressEvent {
    /// Number of final runs.
    pub done: u32,
    /// Number of runs.
    pub total: u32,
    /// Number of runs by status.
    pub by_status: Counts,
    /// Estimated seconds until the suite is final, if an estimate is possible.
    pub eta_seconds: Option<u32>,
    /// Ids of running runs.
    pub current: Vec<RunId>,
    /// Waiting runs, grouped by wait reason. Includes queued runs whose first call is
    /// blocked; excludes queued runs that only wait for a slot.
    #[serde(default)]
    pub waiting: Vec<WaitingRuns>,
    /// What all queued runs wait for: a slot, or whatever blocks their first call. The
    /// runs share an agent, so one value covers them all.
    #[serde(default, rename = "held")]
    pub pending_waiting_on: Option<Waiting>,
}

/// Runs that wait for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WaitingRuns {
    pub what: WaitReason,
    /// When the earliest wait ends, if known.
    pub until: Option<Timestamp>,
    /// Number of runs.
    pub runs: u32,
}

impl WaitingRuns {
    /// Groups waits by reason.
    #[must_use]
    pub fn group(waits: impl IntoIterator<Item = Waiting>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for waiting in waits {
            match all.iter_mut().find(|group| group.what == waiting.what) {
                Some(group) => {
                    group.runs += 1;
                    group.until = match (group.until, waiting.until) {
                        (Some(one), Some(other)) => Some(one.min(other)),
                        (one, other) => one.or(other),
                    };
                }
                None => all.push(Self { what: waiting.what, until: waiting.until, runs: 1 }),
            }
        }
        all
    }
}

/// A message of the event stream. In Server-Sent Events the variant name in lower case
/// is the `event:` field and the content is the `data:` field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteEvent {
    /// Full state; the first event unless the client resumes.
    Snapshot(Box<SuiteSnapshot>),
    /// A run changed; excludes the transcript.
    Run(Box<RunEvent>),
    /// A turn was stored.
    Turn(Box<TurnEvent>),
    /// Sent without an event id.
    Progress(ProgressEvent),
    /// The suite is final. This is the last event.
    Finished(FinishedEvent),
}

/// A run changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RunEvent {
    /// Equal to `run.id`.
    pub run_id: RunId,
    /// The run without transcript and evaluations.
    #[serde(flatten)]
    pub run: Run,
}

/// The suite is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FinishedEvent {
    /// `finished` or `cancelled`.
    pub status: SuiteStatus,
    /// Number of runs by status.
    pub counts: Counts,
}
