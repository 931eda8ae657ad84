//! Computes score and verdict from the judge's answers and the checks.

use super::budget::Budget;
use super::evidence::QuoteIndex;
use super::prompt::{JudgedConversation, UnjudgedItem, items_of};
use super::reply::{ItemAnswer, JudgeReply};
use super::rules::check_rules;
use domain::{Basis, Check, Evidence, EvidenceRule, Item, ItemKind, Verdict};

/// The computed fields of an [`Evaluation`](domain::Evaluation).
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationResult {
    /// 0–100, rounded to two decimals; `None` if there was nothing to compute it from.
    pub score: Option<f64>,
    /// The judge's own score; informational only.
    pub judge_score: Option<f64>,
    pub verdict: Verdict,
    /// One sentence that explains the verdict.
    pub summary: String,
    pub items: Vec<Item>,
    pub checks: Vec<Check>,
    pub issues: Vec<String>,
    pub recommendations: Vec<String>,
}

/// Computes the verdict from the judge's answers. The reply must contain one answer per
/// item, in their order.
#[must_use]
pub fn evaluate(case: &JudgedConversation<'_>, reply: JudgeReply) -> EvaluationResult {
    evaluate_within(case, reply, Budget::new())
}

/// [`evaluate`] with this budget for the search of quotes.
pub(super) fn evaluate_within(
    case: &JudgedConversation<'_>,
    reply: JudgeReply,
    budget: Budget,
) -> EvaluationResult {
    let asked = items_of(case.scenario);
    let with_tools = asked.iter().any(|item| item.evidence == EvidenceRule::Tool);
    let mut quote_index = QuoteIndex::new(case.transcript, with_tools, budget);
    let items: Vec<Item> = asked
        .into_iter()
        .zip(reply.items)
        .map(|(item, answer)| verify_item(item, answer, &mut quote_index))
        .collect();
    let outcome = decide(case, items, !quote_index.is_exhausted());
    EvaluationResult {
        judge_score: reply.score,
        issues: reply.issues,
        recommendations: reply.recommendations,
        ..outcome
    }
}

/// Computes the verdict from verified answers and the checks. `all_searched` means that the
/// budget was enough to search every quote.
pub(super) fn decide(
    case: &JudgedConversation<'_>,
    items: Vec<Item>,
    all_searched: bool,
) -> EvaluationResult {
    let checks = check_rules(case.scenario, case.transcript);
    let score = score(&items, &checks);
    let min_score = case.scenario.success_criteria.min_score;
    // A quote that was not searched lowers the score without saying anything about the agent.
    let required_score = all_searched.then_some(min_score);
    let (mut verdict, mut summary) = verdict(&items, &checks, score, required_score);
    if !all_searched && verdict == Verdict::Passed && is_below(score, min_score) {
        verdict = Verdict::Inconclusive;
        summary = "The conversation is too large to search it for every quote.".to_owned();
    }
    EvaluationResult {
        score,
        judge_score: None,
        verdict,
        summary,
        items,
        checks,
        issues: Vec::new(),
        recommendations: Vec::new(),
    }
}

/// Verifies the quotes of an answer. The resulting `verified` is true if the answer counts:
///
/// - behavior or criterion met: with a verified quote, or by absence if the item allows it;
/// - failure condition met: with a verified quote. Tool results never prove one, because the
///   scenario wrote them;
/// - not met: with a verified quote or by absence ("never greeted"). The verdict also
///   accepts such an answer of a behavior that quotes nothing.
/// - undecided: never.
fn verify_item(item: UnjudgedItem, answer: ItemAnswer, quote_index: &mut QuoteIndex) -> Item {
    let in_tools = item.evidence == EvidenceRule::Tool;
    let evidence: Vec<Evidence> = answer
        .evidence
        .into_iter()
        .map(|quote| {
            let found = quote_index.find(quote.turn, &quote.quote, in_tools);
            let turn = found.unwrap_or(quote.turn);
            Evidence { turn, quote: quote.quote, verified: found.is_some() }
        })
        .collect();
    let quoted = evidence.iter().any(|evidence| evidence.verified);
    let absent = answer.basis == Some(Basis::Absence);
    let is_failure_condition = item.kind == ItemKind::FailureCondition;
    let verified = match answer.met {
        None => false,
        Some(false) => quoted || absent,
        Some(true) if is_failure_condition => quoted,
        Some(true) => quoted || (absent && item.evidence == EvidenceRule::Optional),
    };
    Item {
        kind: item.kind,
        text: item.text,
        required: item.required,
        met: answer.met,
        basis: answer.basis,
        reason: answer.reason,
        evidence,
        verified,
    }
}

/// The percentage of behaviors and criteria that are met and verified; required items
/// count double. Failure conditions affect the verdict but not the score. Without
/// behaviors and criteria the score is 0 if a check fails or a failure condition is met,
/// absent if a check is undecided, and 100 otherwise.
fn score(items: &[Item], checks: &[Check]) -> Option<f64> {
    let weight = |item: &Item| if item.required { 2_u32 } else { 1 };
    let scored: Vec<&Item> = items.iter().filter(|item| !is_failure_condition(item)).collect();
    let total: u32 = scored.iter().map(|item| weight(item)).sum();
    if total == 0 {
        let happened = items.iter().any(|item| item.met == Some(true) && item.verified);
        let failed = happened || checks.iter().any(has_failed);
        let undecided = checks.iter().any(|check| check.undecided);
        return if failed { Some(0.0) } else { (!undecided).then_some(100.0) };
    }
    let met = scored.iter().filter(|item| item.met == Some(true) && item.verified);
    let met: u32 = met.map(|item| weight(item)).sum();
    Some((f64::from(met) / f64::from(total) * 10_000.0).round() / 100.0)
}

fn is_below(score: Option<f64>, min_score: u32) -> bool {
    score.is_some_and(|score| score < f64::from(min_score))
}

fn has_failed(check: &Check) -> bool {
    !check.ok && !check.undecided
}

fn is_failure_condition(item: &Item) -> bool {
    item.kind == ItemKind::FailureCondition
}

/// The first case that applies decides the verdict and the summary.
///
/// Where a required item is unsupported (the judge answers it, but its quote is
/// nowhere), the judge was wrong, which says nothing about the agent. Then only what is
/// verified fails the run: a check, a failure condition that is quoted, or another required
/// item with a verified answer. The score does not, because the unsupported item lowers it.
fn verdict(
    items: &[Item],
    checks: &[Check],
    score: Option<f64>,
    min_score: Option<u32>,
) -> (Verdict, String) {
    let failed_check = checks.iter().find(|check| has_failed(check));
    let undecided = checks.iter().find(|check| check.undecided);
    let unsupported = items.iter().find(|item| is_unsupported(item));
    let happened = items
        .iter()
        .find(|item| is_failure_condition(item) && item.met == Some(true) && item.verified);
    let not_met = items.iter().find(|item| {
        let counts = item.verified || unsupported.is_none();
        !is_failure_condition(item) && item.required && item.met == Some(false) && counts
    });
    let too_low = min_score.and_then(|min_score| {
        score.filter(|_| is_below(score, min_score) && unsupported.is_none())
    });
    let unclear = items.iter().find(|item| is_inconclusive(item));
    let reason = if let Some(check) = failed_check {
        format!("A check failed: {}, {}.", check.rule, check.detail)
    } else if let Some(item) = happened {
        format!("The agent did what it must not do: {}.", shorten(&item.text))
    } else if let Some(item) = not_met {
        format!("A required behavior is missing: {}.", shorten(&item.text))
    } else if let Some(score) = too_low {
        let required = min_score.unwrap_or_default();
        format!("The score of {score} is below the required {required}{}.", unverified_note(items))
    } else if let Some(item) = unsupported.or(unclear) {
        return (Verdict::Inconclusive, inconclusive_summary(item));
    } else if let Some(check) = undecided {
        let summary = format!("A check could not be decided: {}, {}.", check.rule, check.detail);
        return (Verdict::Inconclusive, summary);
    } else {
        return (Verdict::Passed, pass_summary(items, checks, score));
    };
    (Verdict::Failed, reason)
}

/// Whether a required item prevents a pass: undecided, or met without verification.
fn is_inconclusive(item: &Item) -> bool {
    item.required && (item.met.is_none() || is_unsupported(item))
}

/// Whether the judge cannot prove its answer to a required item: it says that the item is
/// met, or that a behavior is missing because of words that nobody said. A behavior that is
/// missing without such words cannot be quoted.
fn is_unsupported(item: &Item) -> bool {
    let misquoted = item.basis == Some(Basis::Evidence) && !item.evidence.is_empty();
    let needs_proof = match item.met {
        Some(true) => true,
        Some(false) => misquoted && !is_failure_condition(item),
        None => false,
    };
    item.required && needs_proof && !item.verified
}

/// The first quote of a required item, if none of its quotes was found and one is needed.
pub(super) fn misquote(item: &Item) -> Option<&Evidence> {
    item.evidence.first().filter(|_| is_unsupported(item))
}

fn inconclusive_summary(item: &Item) -> String {
    let text = shorten(&item.text);
    match (is_failure_condition(item), item.met) {
        (true, None) => format!("The judge could not tell whether this happened: {text}."),
        (true, _) => format!("A failure condition could not be verified by a quote: {text}."),
        (false, Some(false)) => {
            format!("The judge says that this was not done, but its quote was not found: {text}.")
        }
        (false, None) => format!("The judge could not tell whether this was done: {text}."),
        (false, _) => format!("A required behavior could not be verified by a quote: {text}."),
    }
}

/// Mentions unverified items, because they lower the score without proving a mistake of
/// the agent.
fn unverified_note(items: &[Item]) -> String {
    let scored = items.iter().filter(|item| !is_failure_condition(item));
    let unverified = scored.filter(|item| item.met != Some(false) && !item.verified).count();
    match unverified {
        0 => String::new(),
        1 => "; 1 item could not be verified".to_owned(),
        n => format!("; {n} items could not be verified"),
    }
}

fn pass_summary(items: &[Item], checks: &[Check], score: Option<f64>) -> String {
    let score = score.unwrap_or_default();
    match (items.len(), checks.len()) {
        (0, n) => format!("No items for the judge; {} passed.", count(n, "check")),
        (_, 0) => format!("All requirements are met; the score is {score}."),
        (_, n) => format!(
            "All requirements are met and {} passed; the score is {score}.",
            count(n, "check")
        ),
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Shortens a text to one line without a final period, for use within a sentence.
pub(super) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MAX_CHARS {
        let start: String = line.chars().take(MAX_CHARS).collect();
        format!("{}…", start.trim_end())
    } else {
        line.trim_end_matches('.').to_owned()
    }
}
