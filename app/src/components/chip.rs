//! Status as icon, word and colour: never colour alone.

use crate::domain::{EvaluationStatus, RunStatus, SuiteStatus, Verdict};
use leptos::prelude::*;

/// A chip of a tone; tones are classes of the style sheet.
pub fn chip(tone: &'static str, icon: &'static str, word: impl Into<String>) -> AnyView {
    view! {
        <span class=format!("chip {tone}")>
            <span class="icon" aria-hidden="true">{icon}</span>
            {word.into()}
        </span>
    }
    .into_any()
}

/// Tone and icon of a run's status.
#[must_use]
pub fn run_look(status: RunStatus) -> (&'static str, &'static str) {
    match status {
        RunStatus::Pending => ("neutral", "○"),
        RunStatus::Running => ("running", "◐"),
        RunStatus::Passed => ("passed", "✓"),
        RunStatus::Failed => ("failed", "✕"),
        RunStatus::Inconclusive => ("inconclusive", "?"),
        RunStatus::Error => ("error", "⚠"),
        RunStatus::Cancelled => ("neutral", "⊘"),
    }
}

/// The chip of a run.
pub fn run_chip(status: RunStatus) -> AnyView {
    let (tone, icon) = run_look(status);
    chip(tone, icon, status.label())
}

/// The chip of a suite; `cancelling` while it has been asked to stop.
pub fn suite_chip(status: SuiteStatus, cancelling: bool) -> AnyView {
    match status {
        _ if cancelling && !status.is_final() => chip("neutral", "⊘", "Cancelling…"),
        SuiteStatus::Pending => chip("neutral", "○", status.label()),
        SuiteStatus::Running => chip("running", "◐", status.label()),
        SuiteStatus::Finished => chip("done", "●", status.label()),
        SuiteStatus::Cancelled => chip("neutral", "⊘", status.label()),
    }
}

/// The chip of an evaluation: its verdict, or why there is none yet.
pub fn evaluation_chip(status: EvaluationStatus, verdict: Option<Verdict>) -> AnyView {
    match (status, verdict) {
        (EvaluationStatus::Done, Some(verdict)) => run_chip(verdict.into()),
        (EvaluationStatus::Error, _) => chip("error", "⚠", "Error"),
        (EvaluationStatus::Running, _) => chip("running", "◐", "Judging"),
        (EvaluationStatus::Cancelled, _) => chip("neutral", "⊘", "Cancelled"),
        _ => chip("neutral", "○", status.label()),
    }
}
