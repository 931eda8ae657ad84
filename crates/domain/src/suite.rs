//! Suites: runs that were started together.

use super::ids::{AgentId, ScenarioId, SuiteId};
use super::run::{AgentRef, Run, RunStatus};
use super::scenario::{Category, Difficulty};
use super::settings::ModelChoice;
use super::string_enum::string_enum;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

string_enum! {
    SuiteStatus {
        /// No run has started.
        Pending = "pending" / "Queued",
        /// At least one run has started.
        Running = "running" / "Running",
        /// Every run is final.
        Finished = "finished" / "Finished",
        /// Every run is final, and a user canceled the suite.
        Cancelled = "cancelled" / "Cancelled",
    }
}

impl SuiteStatus {
    /// Whether the status can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// Number of runs by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
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
    pub fn count_mut(&mut self, status: RunStatus) -> &mut u32 {
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

    pub fn from_statuses(statuses: impl IntoIterator<Item = RunStatus>) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            *counts.count_mut(status) += 1;
        }
        counts
    }

    /// Number of final runs.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.passed + self.failed + self.inconclusive + self.error + self.cancelled
    }

    /// Number of runs.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.done() + self.pending + self.running
    }

    /// Number of runs that passed or failed.
    #[must_use]
    pub fn judged(&self) -> u32 {
        self.passed + self.failed
    }
}

/// passed / (passed + failed), from 0 to 1; `None` if no run passed or failed.
#[must_use]
pub fn pass_rate(counts: &Counts) -> Option<f64> {
    let judged = counts.judged();
    (judged > 0).then(|| f64::from(counts.passed) / f64::from(judged))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SuiteProgress {
    /// Number of final runs.
    pub done: u32,
    /// Number of runs.
    pub total: u32,
    /// Estimated seconds until the suite is final, if an estimate is possible.
    pub eta_seconds: Option<u32>,
}

/// A suite as pages and the API return it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Suite {
    pub id: SuiteId,
    pub agent: AgentRef,
    pub status: SuiteStatus,
    /// Number of runs.
    pub total: u32,
    /// Number of runs by status.
    pub counts: Counts,
    /// passed / (passed + failed), from 0 to 1.
    pub pass_rate: Option<f64>,
    pub progress: SuiteProgress,
    /// Maximum number of concurrent runs.
    pub concurrency: u32,
    /// Number of runs per scenario.
    pub repeats: u32,
    /// The suite that this suite re-runs.
    pub parent_id: Option<SuiteId>,
    /// A note written by the user.
    pub note: String,
    pub created_at: Timestamp,
    /// Start of the first run.
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    pub finished_at: Option<Timestamp>,
    /// When a user requested cancellation.
    pub cancel_requested_at: Option<Timestamp>,
    /// Runs without transcripts; omitted in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<Run>>,
}

/// Selects scenarios; every given field must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ScenarioFilter {
    pub category: Option<Category>,
    pub difficulty: Option<Difficulty>,
    pub tag: Option<String>,
    /// Text that the name or the description contains.
    pub q: Option<String>,
    /// `true` selects built-in scenarios, `false` selects the user's own.
    pub built_in: Option<bool>,
}

/// A validated request to start a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct StartSuite {
    pub agent_id: AgentId,
    /// The scenarios to run; if absent, `filter` selects them.
    #[serde(default)]
    pub scenario_ids: Option<Vec<ScenarioId>>,
    /// Selects all active scenarios that match.
    #[serde(default)]
    pub filter: Option<ScenarioFilter>,
    /// Number of runs per scenario, 1–20.
    #[serde(default = "one")]
    pub repeats: u32,
    /// Maximum number of concurrent runs, 1–64; defaults to the server's setting.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// A note written by the user.
    #[serde(default)]
    pub note: String,
    /// Start even if an unfinished suite tests this agent with one of the scenarios.
    #[serde(default)]
    pub allow_parallel: bool,
    /// Record incompatible scenarios as errors instead of rejecting the request.
    #[serde(default)]
    pub skip_incompatible: bool,
    /// The number of runs that the caller expects, for example from a preflight. Nothing
    /// is started if it would be another number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_runs: Option<u32>,
    /// Overrides the judge model of the settings.
    #[serde(default)]
    pub judge: Option<ModelChoice>,
    /// Overrides the simulated-user model of the settings.
    #[serde(default)]
    pub simulated_user: Option<ModelChoice>,
}

fn one() -> u32 {
    1
}
