//! What every format reports.

use crate::Summary;
use domain::{Run, RunId, Suite, Timestamp};

/// A suite at one moment, with its statistics.
#[derive(Clone, Debug)]
pub struct Report {
    /// The suite without its runs.
    pub(crate) suite: Suite,
    pub(crate) summary: Summary,
    /// The runs without transcripts, grouped by scenario.
    pub(crate) runs: Vec<Run>,
    /// The origin of links, such as `https://rehearsal.example.com`; without it there are no
    /// links.
    origin: Option<String>,
    pub(crate) created_at: Timestamp,
}

impl Report {
    /// Takes a suite with its runs, the origin of links without a trailing slash, and the
    /// time at which the suite was read.
    #[must_use]
    pub fn new(mut suite: Suite, origin: Option<String>, created_at: Timestamp) -> Self {
        let mut runs = suite.runs.take().unwrap_or_default();
        let summary = Summary::new(&suite, &runs);
        let position =
            |run: &Run| summary.scenarios.iter().position(|one| one.scenario.id == run.scenario.id);
        runs.sort_by_key(|run| (position(run), run.repetition));
        Self { suite, summary, runs, origin, created_at }
    }

    /// The runs in the order in which a [`ReportWriter`](crate::ReportWriter) expects them.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Says that the report is not final, if so.
    pub(crate) fn progress(&self) -> Option<String> {
        let done = self.suite.counts.done();
        (!self.summary.is_final).then(|| {
            format!(
                "The suite was still running: {done} of {} runs were finished at {}.",
                self.suite.total,
                self.created_at.format_utc()
            )
        })
    }

    pub(crate) fn suite_url(&self) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{origin}/suites/{}", self.suite.id))
    }

    pub(crate) fn run_url(&self, id: RunId) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{origin}/runs/{id}"))
    }

    /// The name of a run's scenario, made unique within the suite.
    pub(crate) fn scenario_name(&self, run: &Run) -> String {
        let mut others = self.summary.scenarios.iter();
        let is_shared = others.any(|other| {
            other.scenario.name == run.scenario.name && other.scenario.id != run.scenario.id
        });
        if is_shared {
            format!("{} [{}]", run.scenario.name, run.scenario.id)
        } else {
            run.scenario.name.clone()
        }
    }

    /// The name of a run's scenario, unique within the suite, with the number of the repeat
    /// if there are several.
    #[must_use]
    pub fn run_name(&self, run: &Run) -> String {
        let name = self.scenario_name(run);
        if self.suite.repeats > 1 || run.repetition > 1 {
            format!("{name} (repeat {})", run.repetition)
        } else {
            name
        }
    }
}
