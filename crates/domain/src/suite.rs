//! Suites: the runs that one start made together.

use super::ids::{AgentId, ScenarioId, SuiteId};
use super::run::{AgentRef, Run, RunStatus};
use super::scenario::{Category, Difficulty, words};
use super::settings::ModelChoice;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

words! {
    /// Status of a suite.
    SuiteStatus {
        /// Recorded, nothing begun.
        Pending = "pending" / "Waiting",
        /// At least one run has begun.
        Running = "running" / "Running",
        /// Every run is final.
        Finished = "finished" / "Finished",
        /// Every run is final, and somebody stopped it.
        Cancelled = "cancelled" / "Cancelled",
    }
}

impl SuiteStatus {
    /// Whether nothing will change it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// Runs by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[allow(missing_docs)] // the statuses of a run
pub struct Counts {
    pub pending: u32,
    pub running: u32,
    pub passed: u32,
    pub failed: u32,
    pub inconclusive: u32,
    pub error: u32,
    pub cancelled: u32,
}

impl Counts {
    /// The count of one status.
    pub fn of(&mut self, status: RunStatus) -> &mut u32 {
        match status {
            RunStatus::Pending => &mut self.pending,
            RunStatus::Running => &mut self.running,
            RunStatus::Passed => &mut self.passed,
            RunStatus::Failed => &mut self.failed,
            RunStatus::Inconclusive => &mut self.inconclusive,
            RunStatus::Error => &mut self.error,
            RunStatus::Cancelled => &mut self.cancelled,
        }
    }

    /// Counted over statuses.
    pub fn from_statuses(statuses: impl IntoIterator<Item = RunStatus>) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            *counts.of(status) += 1;
        }
        counts
    }

    /// Runs that are final.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.passed + self.failed + self.inconclusive + self.error + self.cancelled
    }

    /// All runs.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.done() + self.pending + self.running
    }

    /// Runs with a verdict of pass or fail.
    #[must_use]
    pub fn judged(&self) -> u32 {
        self.passed + self.failed
    }
}

/// passed / (passed + failed), 0–1; `None` when nothing has a verdict.
#[must_use]
pub fn pass_rate(counts: &Counts) -> Option<f64> {
    let judged = counts.judged();
    (judged > 0).then(|| f64::from(counts.passed) / f64::from(judged))
}

/// How far a suite is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SuiteProgress {
    /// Runs that are final.
    pub done: u32,
    /// All runs.
    pub total: u32,
    /// Seconds that are left, where it can be told.
    pub eta_seconds: Option<u32>,
}

/// A suite as pages and API show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Suite {
    /// Its id.
    pub id: SuiteId,
    /// The agent revision under test.
    pub agent: AgentRef,
    /// The status.
    pub status: SuiteStatus,
    /// All runs.
    pub total: u32,
    /// Runs by status.
    pub counts: Counts,
    /// passed / (passed + failed).
    pub pass_rate: Option<f64>,
    /// How far.
    pub progress: SuiteProgress,
    /// The most runs at once.
    pub concurrency: u32,
    /// How often each scenario.
    pub repeats: u32,
    /// The suite that this one reruns.
    pub parent_id: Option<SuiteId>,
    /// What somebody wrote about it.
    pub note: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its first run began.
    pub started_at: Option<Timestamp>,
    /// When its last run ended.
    pub finished_at: Option<Timestamp>,
    /// When somebody asked to stop.
    pub cancel_requested_at: Option<Timestamp>,
    /// Its runs without transcripts; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<Run>>,
}

/// Which scenarios.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ScenarioFilter {
    /// Of this category.
    pub category: Option<Category>,
    /// Of this difficulty.
    pub difficulty: Option<Difficulty>,
    /// With this tag.
    pub tag: Option<String>,
    /// With these words in name or description.
    pub q: Option<String>,
    /// Only built-in ones, or only one's own.
    pub built_in: Option<bool>,
}

/// A request to start a suite, valid by construction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct StartSuite {
    /// The agent.
    pub agent_id: AgentId,
    /// These scenarios; or else all active ones of the filter.
    #[serde(default)]
    pub scenario_ids: Option<Vec<ScenarioId>>,
    /// All active scenarios of this filter.
    #[serde(default)]
    pub filter: Option<ScenarioFilter>,
    /// How often each, 1–20.
    #[serde(default = "one")]
    pub repeats: u32,
    /// The most runs at once, 1–64; the server's default when absent.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// What somebody wrote about it.
    #[serde(default)]
    pub note: String,
    /// Start although this agent has an unfinished suite over one of them.
    #[serde(default)]
    pub allow_parallel: bool,
    /// Record incompatible pairs as errors instead of refusing.
    #[serde(default)]
    pub skip_incompatible: bool,
    /// Another judge than the settings say.
    #[serde(default)]
    pub judge: Option<ModelChoice>,
    /// Another simulated user than the settings say.
    #[serde(default)]
    pub simulated_user: Option<ModelChoice>,
}

fn one() -> u32 {
    1
}
