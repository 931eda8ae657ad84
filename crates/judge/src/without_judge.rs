//! Results that need no judge: there is nothing to check, rules alone decide, or the agent
//! did nothing.

use super::prompt::{JudgedConversation, UnjudgedItem, items_of};
use super::rules::{Activity, check_rules};
use super::verdict::{EvaluationResult, decide};
use domain::{Item, ScenarioSpec, Verdict};

/// Whether the judge must be called. Rules alone decide a scenario without items.
#[must_use]
pub fn needs_judge(scenario: &ScenarioSpec) -> bool {
    !items_of(scenario).is_empty()
}

/// The result of a conversation that the judge need not read; `None` if the judge must be
/// asked. An agent whose answers were cut off by its provider is never failed here.
#[must_use]
pub fn decide_without_judge(case: &JudgedConversation<'_>) -> Option<EvaluationResult> {
    if case.scenario.checks_nothing() {
        return Some(nothing_to_check());
    }
    match (Activity::of(case.transcript), needs_judge(case.scenario)) {
        (Activity::Silent, _) => {
            let summary = "The agent said nothing, so the judge was not called.";
            Some(unanswered(case, Verdict::Failed, Some(0.0), "The agent said nothing.", summary))
        }
        (Activity::CutOff, false) => {
            let summary = "The provider cut off every answer of the agent before its first word, so there is nothing to check. Raise the agent's max tokens per reply, or look at the provider's content filter.";
            Some(unanswered(case, Verdict::Inconclusive, None, "", summary))
        }
        (Activity::Active, false) => Some(decide(case, Vec::new(), true)),
        (Activity::Active | Activity::CutOff, true) => None,
    }
}

fn nothing_to_check() -> EvaluationResult {
    EvaluationResult {
        score: None,
        judge_score: None,
        verdict: Verdict::Inconclusive,
        summary: "Nothing to check: the scenario has no expected behavior, failure condition, criterion or rule.".to_owned(),
        items: Vec::new(),
        checks: Vec::new(),
        issues: Vec::new(),
        recommendations: Vec::new(),
    }
}

/// A result whose items have no answers.
fn unanswered(
    case: &JudgedConversation<'_>,
    verdict: Verdict,
    score: Option<f64>,
    reason: &str,
    summary: &str,
) -> EvaluationResult {
    let unanswered = |item: UnjudgedItem| Item {
        kind: item.kind,
        text: item.text,
        required: item.required,
        met: None,
        basis: None,
        reason: reason.to_owned(),
        evidence: Vec::new(),
        verified: false,
    };
    EvaluationResult {
        score,
        judge_score: None,
        verdict,
        summary: summary.to_owned(),
        items: items_of(case.scenario).into_iter().map(unanswered).collect(),
        checks: check_rules(case.scenario, case.transcript),
        issues: Vec::new(),
        recommendations: Vec::new(),
    }
}
