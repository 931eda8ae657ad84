//! The statistics of a suite and of its scenarios.

use domain::{ErrorKind, Run, RunStatus, ScenarioRef, Suite, SuiteStatus};
use serde::Serialize;
use statistics::{Repeats, count_exclusions};

/// The statistics of a suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Whether every run is final.
    pub is_final: bool,
    pub outcome: Outcome,
    pub flaky_scenarios: usize,
    /// In the order of their first runs.
    #[serde(skip)]
    pub scenarios: Vec<ScenarioSummary>,
}

/// How many runs passed, and which were not counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub runs: u32,
    /// The number of runs that passed or failed.
    pub judged: u32,
    pub passed: u32,
    /// passed / judged; `None` without judged runs, and for a canceled suite, whose judged
    /// runs are no sample of those that were planned.
    pub pass_rate: Option<f64>,
    /// The Wilson 95 % interval of the pass rate: its lower and its upper end.
    pub interval: Option<(f64, f64)>,
    /// Why the other runs were not judged.
    pub excluded: Vec<Excluded>,
}

/// Runs that were not judged for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// A run status or an error kind.
    pub reason: &'static str,
    pub label: &'static str,
    pub runs: u32,
}

/// The statistics of one scenario over its repeats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScenarioSummary {
    pub scenario: ScenarioRef,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Whether some runs passed and some failed.
    pub is_flaky: bool,
    /// pass^k for k = 1, 2, … up to the number of judged runs.
    pub pass_hat_k: Vec<f64>,
    /// pass@k for k = 1, 2, … up to the number of judged runs.
    pub pass_at_k: Vec<f64>,
}

impl Summary {
    pub(crate) fn new(suite: &Suite, runs: &[Run]) -> Self {
        let mut groups: Vec<(ScenarioRef, Vec<&Run>)> = Vec::new();
        for run in runs {
            match groups.iter_mut().find(|(scenario, _)| scenario.id == run.scenario.id) {
                Some((_, group)) => group.push(run),
                None => groups.push((run.scenario.clone(), vec![run])),
            }
        }
        let scenarios: Vec<_> = groups
            .into_iter()
            .map(|(scenario, runs)| ScenarioSummary::new(scenario, &runs))
            .collect();
        let mut outcome = Outcome::new(runs.iter());
        if suite.status == SuiteStatus::Cancelled || suite.cancel_requested_at.is_some() {
            (outcome.pass_rate, outcome.interval) = (None, None);
        }
        Self {
            is_final: suite.status.is_final(),
            outcome,
            flaky_scenarios: scenarios.iter().filter(|scenario| scenario.is_flaky).count(),
            scenarios,
        }
    }
}

impl ScenarioSummary {
    fn new(scenario: ScenarioRef, runs: &[&Run]) -> Self {
        let repeats = repeats(runs.iter().copied());
        let up_to_judged = 1..=repeats.judged();
        Self {
            scenario,
            outcome: Outcome::new(runs.iter().copied()),
            is_flaky: repeats.is_flaky(),
            pass_hat_k: up_to_judged.clone().filter_map(|k| repeats.pass_hat_k(k)).collect(),
            pass_at_k: up_to_judged.filter_map(|k| repeats.pass_at_k(k)).collect(),
        }
    }
}

impl Outcome {
    fn new<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Self {
        let repeats = repeats(runs.clone());
        let not_judged = runs.clone().filter(|run| run.status.passed().is_none());
        let excluded = count_exclusions(not_judged.map(exclusion_reason));
        Self {
            runs: u32::try_from(runs.count()).unwrap_or(u32::MAX),
            judged: repeats.judged(),
            passed: repeats.passed(),
            pass_rate: repeats.pass_rate(),
            interval: repeats.interval().map(|interval| (interval.low, interval.high)),
            excluded: excluded
                .into_iter()
                .map(|one| Excluded { reason: one.reason.0, label: one.reason.1, runs: one.runs })
                .collect(),
        }
    }

    /// `7 of 9 judged; 2 excluded: rate limited`; `None` if all were judged.
    #[must_use]
    pub fn exclusions(&self) -> Option<String> {
        let excluded = self.runs - self.judged;
        if excluded == 0 {
            return None;
        }
        let reasons: Vec<_> = match self.excluded.as_slice() {
            [one] => vec![one.label.to_lowercase()],
            all => {
                all.iter().map(|one| format!("{} {}", one.runs, one.label.to_lowercase())).collect()
            }
        };
        let reasons = reasons.join(", ");
        Some(format!("{} of {} judged; {excluded} excluded: {reasons}", self.judged, self.runs))
    }
}

fn repeats<'a>(runs: impl Iterator<Item = &'a Run>) -> Repeats {
    let (mut passed, mut failed) = (0, 0);
    for run in runs {
        match run.status {
            RunStatus::Passed => passed += 1,
            RunStatus::Failed => failed += 1,
            _ => {}
        }
    }
    Repeats::new(passed, failed)
}

/// The name and the label of the reason why a run has no verdict.
fn exclusion_reason(run: &Run) -> (&'static str, &'static str) {
    let name = |kind: ErrorKind| (kind.as_str(), kind.label());
    let of_status = (run.status.as_str(), run.status.label());
    run.error.as_ref().map_or(of_status, |error| name(error.kind))
}
