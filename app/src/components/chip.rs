//! Status chips: icon, word and color, never color alone.

use crate::domain::{EvaluationStatus, RunStatus, SuiteStatus, Verdict};
use leptos::prelude::*;

/// `tone` is a CSS class.
pub fn chip(tone: &'static str, icon: &'static str, word: impl Into<String>) -> AnyView {
    view! {
        <span class=format!("chip {tone}")>
            <span class="icon" aria-hidden="true">{icon}</span>
            {word.into()}
        </span>
    }
    .into_any()
}

/// The tone and icon of a run status.
#[must_use]
pub fn run_status_style(status: RunStatus) -> (&'static str, &'static str) {
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

pub fn run_chip(status: RunStatus) -> AnyView {
    let (tone, icon) = run_status_style(status);
    chip(tone, icon, status.label())
}

/// `cancelling` means that cancellation was requested.
pub fn suite_chip(status: SuiteStatus, cancelling: bool) -> AnyView {
    match status {
        _ if cancelling && !status.is_final() => chip("neutral", "⊘", "Canceling…"),
        SuiteStatus::Pending => chip("neutral", "○", status.label()),
        SuiteStatus::Running => chip("running", "◐", status.label()),
        SuiteStatus::Finished => chip("done", "●", status.label()),
        SuiteStatus::Cancelled => chip("neutral", "⊘", status.label()),
    }
}

/// The verdict of an evaluation, or its status while there is none.
pub fn evaluation_chip(status: EvaluationStatus, verdict: Option<Verdict>) -> AnyView {
    match (status, verdict) {
        (EvaluationStatus::Done, Some(verdict)) => run_chip(verdict.into()),
        (EvaluationStatus::Error, _) => chip("error", "⚠", "Error"),
        (EvaluationStatus::Running, _) => chip("running", "◐", "Judging"),
        (EvaluationStatus::Cancelled, _) => chip("neutral", "⊘", "Canceled"),
        _ => chip("neutral", "○", status.label()),
    }
}
