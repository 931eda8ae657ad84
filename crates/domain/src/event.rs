//! What the stream of a suite tells.

use super::ids::RunId;
use super::run::{Run, Waiting, WaitingOn};
use super::suite::{Counts, Suite, SuiteStatus};
use super::timestamp::Timestamp;
use super::turn::Turn;
use serde::{Deserialize, Serialize};

/// The whole suite as it is at one point of its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SuiteSnapshot {
    /// The last event that is contained.
    pub seq: i64,
    /// The suite with its runs (without transcripts).
    pub suite: Suite,
}

/// A turn that was just stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TurnEvent {
    /// The run.
    pub run_id: RunId,
    /// The turn.
    #[serde(flatten)]
    pub turn: Turn,
}

/// How far; computed, never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
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
    /// What is waited for, where anything is; runs that are not begun are
    /// among them when their first call could not be made now, not when they
    /// only wait for a slot.
    #[serde(default)]
    pub waiting: Vec<HeldRuns>,
    /// What the runs that are not begun wait for: a slot, or what the first
    /// call of any of them would wait for. They share an agent, so it is one
    /// for all.
    #[serde(default)]
    pub held: Option<Waiting>,
}

/// Runs of a suite that wait for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HeldRuns {
    /// For what.
    pub what: WaitingOn,
    /// Until when the first of them waits, where known.
    pub until: Option<Timestamp>,
    /// How many.
    pub runs: u32,
}

impl HeldRuns {
    /// What these runs wait for, each thing once.
    #[must_use]
    pub fn of(waits: impl IntoIterator<Item = Waiting>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for waiting in waits {
            match all.iter_mut().find(|held| held.what == waiting.what) {
                Some(held) => {
                    held.runs += 1;
                    held.until = match (held.until, waiting.until) {
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
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RunEvent {
    /// The run; the same as `run.id`.
    pub run_id: RunId,
    /// All of it but transcript and evaluations.
    #[serde(flatten)]
    pub run: Run,
}

/// The suite is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Finished {
    /// `finished` or `cancelled`.
    pub status: SuiteStatus,
    /// Runs by status.
    pub counts: Counts,
}
