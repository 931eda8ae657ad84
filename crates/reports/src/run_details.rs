//! What a run's result is, in words.

use crate::text::single_line;
use domain::{Check, Evaluation, Item, ItemKind, Run, RunStatus};

/// Why a run did not pass, in one sentence of one line; `None` if it passed. Needs the
/// evaluations of a run that was judged.
#[must_use]
pub fn reason(run: &Run) -> Option<String> {
    match run.status {
        RunStatus::Passed => None,
        RunStatus::Pending => Some("The run had not begun yet.".to_owned()),
        RunStatus::Running => Some("The run was not finished yet.".to_owned()),
        RunStatus::Cancelled => Some("A user canceled the run.".to_owned()),
        RunStatus::Error => Some(match &run.error {
            Some(error) => single_line(&error.message),
            None => "The run ended with an error.".to_owned(),
        }),
        RunStatus::Failed | RunStatus::Inconclusive => {
            let summary = deciding_evaluation(run).map(|one| single_line(&one.summary));
            let default = if run.status == RunStatus::Failed {
                "The agent did not do what was expected."
            } else {
                "There was not enough proof for a verdict."
            };
            Some(summary.filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned()))
        }
    }
}

/// The evaluation that decided the status of a run. A rejudge changes no status.
pub(crate) fn deciding_evaluation(run: &Run) -> Option<&Evaluation> {
    if !run.status.is_final() {
        return None;
    }
    run.evaluations.as_ref()?.iter().find(|evaluation| evaluation.is_first)
}

/// The result of an item or a check: a CSS class, an icon and a word. A failure condition
/// that is met is a failure, and an answer without a verified quote proves nothing.
pub(crate) type ResultStyle = (&'static str, &'static str, &'static str);

pub(crate) fn item_result(item: &Item) -> ResultStyle {
    let is_failure_condition = item.kind == ItemKind::FailureCondition;
    match (item.met, is_failure_condition) {
        (None, _) => ("inconclusive", "?", "Unclear"),
        (Some(true), false) if !item.verified => ("inconclusive", "?", "No evidence"),
        (Some(true), true) if !item.verified => ("inconclusive", "?", "Unproven"),
        (Some(true), false) => ("passed", "✓", "Met"),
        (Some(false), false) => ("failed", "✕", "Not met"),
        (Some(true), true) => ("failed", "✕", "Happened"),
        (Some(false), true) => ("passed", "✓", "Did not happen"),
    }
}

pub(crate) fn check_result(check: &Check) -> ResultStyle {
    match (check.undecided, check.ok) {
        (true, _) => ("inconclusive", "?", "Not decided"),
        (false, true) => ("passed", "✓", "Passed"),
        (false, false) => ("failed", "✕", "Failed"),
    }
}

/// The items and checks that were not met, one per entry.
pub(crate) fn unmet(evaluation: &Evaluation) -> Vec<String> {
    let items = evaluation.items.iter().filter_map(|item| {
        let (tone, icon, word) = item_result(item);
        let quotes = item.evidence.iter().map(|evidence| {
            let not_found = if evidence.verified { "" } else { ", not found there" };
            format!("\n    turn {}{not_found}: “{}”", evidence.turn, evidence.quote)
        });
        (tone != "passed").then(|| {
            let quotes: String = quotes.collect();
            format!("{icon} {word}: {}\n    {}{quotes}", item.text, item.reason)
        })
    });
    let checks = evaluation.checks.iter().filter_map(|check| {
        let (tone, icon, word) = check_result(check);
        (tone != "passed").then(|| format!("{icon} {word}: {}\n    {}", check.rule, check.detail))
    });
    items.chain(checks).collect()
}

/// The icon of a status.
pub(crate) fn status_icon(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Pending => "○",
        RunStatus::Running => "◐",
        RunStatus::Passed => "✓",
        RunStatus::Failed => "✕",
        RunStatus::Inconclusive => "?",
        RunStatus::Error => "⚠",
        RunStatus::Cancelled => "⊘",
    }
}
