//! The gate: whether the results of a suite are good enough.

use super::share::Share;
use domain::Counts;

/// What a suite must reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) min_pass_rate: Share,
    pub(super) min_judged: Share,
}

/// The decision of a gate, with the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Passed = 0,
    Failed = 1,
    /// Errors, inconclusive and canceled runs say nothing about the agent.
    TooFewJudged = 2,
}

impl Gate {
    /// Decides about the runs of a finished suite. A gate that would fail even if all runs
    /// without a verdict passed fails, however few were judged.
    pub(super) fn decide(self, counts: &Counts) -> Decision {
        let (passed, judged, total) = (counts.passed, counts.judged(), counts.total());
        let best_case = total - counts.failed;
        if !self.min_pass_rate.is_reached(best_case, total) {
            Decision::Failed
        } else if judged == 0 || !self.min_judged.is_reached(judged, total) {
            Decision::TooFewJudged
        } else if self.min_pass_rate.is_reached(passed, judged) {
            Decision::Passed
        } else {
            Decision::Failed
        }
    }

    /// The decision in words.
    pub(super) fn explain(self, decision: Decision, counts: &Counts) -> String {
        let (passed, judged, total) = (counts.passed, counts.judged(), counts.total());
        match decision {
            Decision::Passed => format!("Gate passed: {passed} of {judged} judged runs passed."),
            Decision::Failed => format!(
                "Gate failed: {passed} of {judged} judged runs passed, and {} must.",
                self.min_pass_rate
            ),
            Decision::TooFewJudged => format!(
                "No decision: only {judged} of {total} runs were judged, and {} must be.",
                self.min_judged
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Gate};
    use domain::Counts;
    use rstest::rstest;

    #[rstest]
    // passed, failed, error, minimum pass rate, minimum judged
    #[case::all_passed(3, 0, 0, "100%", "100%", Decision::Passed)]
    #[case::one_failed(2, 1, 0, "100%", "100%", Decision::Failed)]
    #[case::enough_passed(9, 1, 0, "90%", "100%", Decision::Passed)]
    #[case::too_few_passed(8, 2, 0, "90%", "100%", Decision::Failed)]
    #[case::one_error(9, 0, 1, "90%", "100%", Decision::TooFewJudged)]
    #[case::error_is_tolerated(9, 0, 1, "90%", "90%", Decision::Passed)]
    #[case::errors_are_not_failures(8, 1, 1, "80%", "90%", Decision::Passed)]
    #[case::fails_whatever_the_errors_would_be(0, 5, 5, "90%", "100%", Decision::Failed)]
    #[case::may_still_pass(4, 1, 5, "90%", "100%", Decision::TooFewJudged)]
    #[case::only_errors(0, 0, 3, "0%", "0%", Decision::TooFewJudged)]
    #[case::nothing_required(0, 3, 0, "0%", "0%", Decision::Passed)]
    #[case::rate_counts_judged_runs(1, 1, 8, "60%", "10%", Decision::Failed)]
    fn gate_decides(
        #[case] passed: u32,
        #[case] failed: u32,
        #[case] error: u32,
        #[case] min_pass_rate: &str,
        #[case] min_judged: &str,
        #[case] expected: Decision,
    ) {
        let share = |text: &str| text.parse().expect("a share");
        let gate = Gate { min_pass_rate: share(min_pass_rate), min_judged: share(min_judged) };
        let counts = Counts { passed, failed, error, ..Counts::default() };
        assert_eq!(gate.decide(&counts), expected);
    }
}
