//! Suites: runs that were started together.

use super::budget::BudgetAction;
use super::ids::{AgentId, ProfileId, ScenarioId, SuiteId};
use super::money::{NanoUsd, usd_option};
use super::profile::ProfileRef;
use super::run::{AgentRef, Run, RunStatus, Usage};
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
        Cancelled = "cancelled" / "Canceled",
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

/// The pass rate of a suite, from 0 to 1. `None` while a run has neither passed nor failed,
/// and for a canceled suite: the runs that were judged are no sample of those that were
/// planned.
#[must_use]
pub fn pass_rate(counts: &Counts, is_cancelled: bool) -> Option<f64> {
    let is_complete = counts.judged() == counts.total() && !is_cancelled;
    judged_pass_rate(counts).filter(|_| is_complete)
}

/// passed / (passed + failed), from 0 to 1; `None` if no run passed or failed.
#[must_use]
pub fn judged_pass_rate(counts: &Counts) -> Option<f64> {
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
    /// passed / total, from 0 to 1; null unless every run passed or failed, and for a
    /// canceled suite.
    pub pass_rate: Option<f64>,
    /// Number of runs that passed or failed: the denominator of `judged_pass_rate`.
    pub judged: u32,
    /// passed / judged, from 0 to 1; null if no run passed or failed.
    pub judged_pass_rate: Option<f64>,
    pub progress: SuiteProgress,
    /// Maximum number of concurrent runs.
    pub concurrency: u32,
    /// Number of runs per scenario.
    pub repeats: u32,
    /// The suite that this suite re-runs.
    pub parent_id: Option<SuiteId>,
    /// If this suite re-runs only a part of another one: the number of runs of the whole.
    pub part_of: Option<u32>,
    /// The test profile with which the suite was started.
    #[serde(default)]
    pub profile: Option<ProfileRef>,
    /// The time for which `{{today}}` and `{{now}}` stand in all runs; null for a suite from
    /// before there were variables, whose texts are used as they are.
    #[serde(default)]
    pub variables_at: Option<Timestamp>,
    /// A note written by the user.
    pub note: String,
    pub created_at: Timestamp,
    /// Start of the first run.
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    pub finished_at: Option<Timestamp>,
    /// When a user requested cancellation.
    pub cancel_requested_at: Option<Timestamp>,
    /// Known cost of the calls of its runs in US dollars; null if it is unknown. A lower
    /// bound if `unpriced_calls` is not 0. Rejudges are not included.
    #[serde(default, with = "usd_option")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub cost_usd: Option<NanoUsd>,
    /// Number of answered calls whose cost is unknown.
    #[serde(default)]
    pub unpriced_calls: u32,
    /// What the suite may spend, in US dollars.
    #[serde(default, with = "usd_option")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub budget_usd: Option<NanoUsd>,
    /// What happens to the calls in flight when the budget is used up.
    #[serde(default)]
    pub budget_action: BudgetAction,
    /// Usage of all runs by role; omitted in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
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
    /// The test profile with the values of the variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileId>,
    /// Overrides the judge model of the settings.
    #[serde(default)]
    pub judge: Option<ModelChoice>,
    /// Overrides the simulated-user model of the settings.
    #[serde(default)]
    pub simulated_user: Option<ModelChoice>,
    /// What the suite may spend, in US dollars. When it is used up, no new call starts, and
    /// unfinished runs end as `budget_exhausted`.
    #[serde(default, with = "usd_option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub budget_usd: Option<NanoUsd>,
    /// What happens to the calls in flight when the budget is used up.
    #[serde(default, skip_serializing_if = "BudgetAction::is_default")]
    pub budget_action: BudgetAction,
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::{Counts, judged_pass_rate, pass_rate};
    use rstest::rstest;

    #[rstest]
    // passed, failed, other runs, cancelled → pass rate, pass rate of the judged runs
    #[case::all_passed(2, 0, Counts::default(), false, Some(1.0), Some(1.0))]
    #[case::some_failed(1, 3, Counts::default(), false, Some(0.25), Some(0.25))]
    #[case::all_failed(0, 2, Counts::default(), false, Some(0.0), Some(0.0))]
    #[case::no_run(0, 0, Counts::default(), false, None, None)]
    #[case::error(1, 0, Counts { error: 9, ..Counts::default() }, false, None, Some(1.0))]
    #[case::inconclusive(1, 1, Counts { inconclusive: 1, ..Counts::default() }, false, None, Some(0.5))]
    #[case::pending(2, 2, Counts { pending: 1, ..Counts::default() }, false, None, Some(0.5))]
    #[case::running(2, 2, Counts { running: 1, ..Counts::default() }, false, None, Some(0.5))]
    #[case::cancelled_run(3, 1, Counts { cancelled: 1, ..Counts::default() }, false, None, Some(0.75))]
    #[case::nothing_judged(0, 0, Counts { error: 2, ..Counts::default() }, false, None, None)]
    #[case::cancelled_suite(3, 1, Counts { cancelled: 1, ..Counts::default() }, true, None, Some(0.75))]
    #[case::cancelled_when_all_were_judged(3, 1, Counts::default(), true, None, Some(0.75))]
    fn pass_rate_needs_every_planned_run(
        #[case] passed: u32,
        #[case] failed: u32,
        #[case] others: Counts,
        #[case] is_cancelled: bool,
        #[case] rate: Option<f64>,
        #[case] of_judged: Option<f64>,
    ) {
        let counts = Counts { passed, failed, ..others };
        assert_eq!(pass_rate(&counts, is_cancelled), rate);
        assert_eq!(judged_pass_rate(&counts), of_judged);
    }
}
