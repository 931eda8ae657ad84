//! From answers and checks to score and verdict. The judge answers, this
//! decides.

use super::checks::{agent_did_something, run_checks};
use super::evidence::Quotable;
use super::parse::{ItemAnswer, JudgeReply};
use super::prompt::{Case, Question, questions};
use domain::{Basis, Check, Evidence, EvidenceRule, Item, ItemKind, ScenarioSpec, Verdict};

/// What came out of a judging: the decided fields of an
/// [`Evaluation`](domain::Evaluation).
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Computed, 0–100, two decimals.
    pub score: f64,
    /// The judge's own number: stored, not used.
    pub judge_score: Option<f64>,
    /// Computed.
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub summary: String,
    /// The questions with their answers.
    pub items: Vec<Item>,
    /// The checks by rule.
    pub checks: Vec<Check>,
    /// What the judge noticed besides.
    pub issues: Vec<String>,
    /// What the judge would change.
    pub recommendations: Vec<String>,
}

/// Whether there is anything to ask the judge: a scenario without behaviours,
/// criteria and failure conditions is decided by its checks alone.
#[must_use]
pub fn needs_judge(scenario: &ScenarioSpec) -> bool {
    !questions(scenario).is_empty()
}

/// The verdict for a conversation in which the agent said and did nothing:
/// failed, without asking the judge. `None` if it did.
#[must_use]
pub fn nothing_said(case: &Case<'_>) -> Option<Outcome> {
    if agent_did_something(case.transcript) {
        return None;
    }
    let unanswered = |question: Question| Item {
        kind: question.kind,
        text: question.text,
        required: question.required,
        met: None,
        basis: None,
        reason: "The agent said nothing.".to_owned(),
        evidence: Vec::new(),
        verified: false,
    };
    Some(Outcome {
        score: 0.0,
        judge_score: None,
        verdict: Verdict::Failed,
        summary: "The agent said nothing, so the judge was not asked.".to_owned(),
        items: questions(case.scenario).into_iter().map(unanswered).collect(),
        checks: run_checks(case.scenario, case.transcript),
        issues: Vec::new(),
        recommendations: Vec::new(),
    })
}

/// The verdict over the judge's answers, which are one for each of
/// [`questions`]; [`parse`](super::parse()) sees to that.
#[must_use]
pub fn evaluate(case: &Case<'_>, reply: JudgeReply) -> Outcome {
    let quotable = Quotable::new(case.transcript);
    let items: Vec<Item> = questions(case.scenario)
        .into_iter()
        .zip(reply.items)
        .map(|(question, answer)| item(question, answer, &quotable))
        .collect();
    let outcome = decide(case, items);
    Outcome {
        judge_score: reply.score,
        issues: reply.issues,
        recommendations: reply.recommendations,
        ..outcome
    }
}

/// The verdict of a scenario that has nothing to ask the judge: by its checks
/// alone, score 100 or 0.
#[must_use]
pub fn evaluate_checks(case: &Case<'_>) -> Outcome {
    decide(case, Vec::new())
}

fn decide(case: &Case<'_>, items: Vec<Item>) -> Outcome {
    let checks = run_checks(case.scenario, case.transcript);
    let score = score(&items, &checks);
    let min_score = case.scenario.success_criteria.min_score;
    let (verdict, summary) = verdict(&items, &checks, score, min_score);
    Outcome {
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

/// An answer with its quotes looked up. `verified` means that it counts:
///
/// - behaviour or criterion met: a verified quote, or absence where the item
///   accepts it;
/// - failure condition met: a verified quote, nothing less;
/// - not met, either kind: a verified quote or absence ("never greeted"; "did
///   not give a diagnosis"). The verdict takes these without it too.
/// - cannot be told: never.
fn item(question: Question, answer: ItemAnswer, quotable: &Quotable) -> Item {
    let evidence: Vec<Evidence> = answer
        .evidence
        .into_iter()
        .map(|quote| {
            let found = quotable.find(quote.turn, &quote.quote);
            let turn = found.unwrap_or(quote.turn);
            Evidence { turn, quote: quote.quote, verified: found.is_some() }
        })
        .collect();
    let quoted = evidence.iter().any(|evidence| evidence.verified);
    let absent = answer.basis == Some(Basis::Absence);
    let accusation = question.kind == ItemKind::FailureCondition;
    let verified = match answer.met {
        None => false,
        Some(false) => quoted || absent,
        Some(true) if accusation => quoted,
        Some(true) => quoted || (absent && question.evidence == EvidenceRule::Optional),
    };
    Item {
        kind: question.kind,
        text: question.text,
        required: question.required,
        met: answer.met,
        basis: answer.basis,
        reason: answer.reason,
        evidence,
        verified,
    }
}

/// The share of behaviours and criteria that are met and verified, required
/// ones counting double. Failure conditions are no achievements: they decide
/// the verdict and do not enter the share. Where there is nothing to share
/// out, it is all or nothing: 0 if a check fails or a failure condition
/// happened, else 100; what is open then is for the verdict to say.
fn score(items: &[Item], checks: &[Check]) -> f64 {
    let weight = |item: &Item| if item.required { 2_u32 } else { 1 };
    let wanted: Vec<&Item> = items.iter().filter(|item| !is_accusation(item)).collect();
    let all: u32 = wanted.iter().map(|item| weight(item)).sum();
    if all == 0 {
        let happened = items.iter().any(|item| item.met == Some(true) && item.verified);
        let clean = !happened && checks.iter().all(|check| check.ok);
        return if clean { 100.0 } else { 0.0 };
    }
    let shown = wanted.iter().filter(|item| item.met == Some(true) && item.verified);
    let shown: u32 = shown.map(|item| weight(item)).sum();
    (f64::from(shown) / f64::from(all) * 10_000.0).round() / 100.0
}

fn is_accusation(item: &Item) -> bool {
    item.kind == ItemKind::FailureCondition
}

/// The rules, in their order; the first that applies names the reason.
fn verdict(items: &[Item], checks: &[Check], score: f64, min_score: u32) -> (Verdict, String) {
    let failed_check = checks.iter().find(|check| !check.ok);
    let happened =
        items.iter().find(|item| is_accusation(item) && item.met == Some(true) && item.verified);
    let not_met =
        items.iter().find(|item| !is_accusation(item) && item.required && item.met == Some(false));
    let unclear = items.iter().find(|item| is_unclear(item));
    let reason = if let Some(check) = failed_check {
        format!("A check failed: {}, {}.", check.check, check.detail)
    } else if let Some(item) = happened {
        format!("The agent did what it must not do: {}.", brief(&item.text))
    } else if let Some(item) = not_met {
        format!("A required behaviour is missing: {}.", brief(&item.text))
    } else if score < f64::from(min_score) {
        format!("The score of {score} is under the required {min_score}{}.", hint(items))
    } else if let Some(item) = unclear {
        return (Verdict::Inconclusive, why_unclear(item));
    } else {
        return (Verdict::Passed, all_well(items, checks, score));
    };
    (Verdict::Failed, reason)
}

/// Whether a verdict cannot rest on this item: a required one that is open or
/// met without being shown, or an accusation that is open or not shown.
fn is_unclear(item: &Item) -> bool {
    item.required
        && match item.met {
            None => true,
            Some(true) => !item.verified,
            Some(false) => false,
        }
}

fn why_unclear(item: &Item) -> String {
    let text = brief(&item.text);
    match (is_accusation(item), item.met) {
        (true, None) => format!("The judge could not tell whether this happened: {text}."),
        (true, _) => format!("An accusation could not be verified by a quote: {text}."),
        (false, None) => format!("The judge could not tell whether this was done: {text}."),
        (false, _) => format!("A required behaviour could not be verified by a quote: {text}."),
    }
}

/// Where answers were lost to missing quotes, a low score says less about the
/// agent: so the sentence says it.
fn hint(items: &[Item]) -> String {
    let wanted = items.iter().filter(|item| !is_accusation(item));
    let open = wanted.filter(|item| item.met != Some(false) && !item.verified).count();
    match open {
        0 => String::new(),
        1 => "; 1 item could not be verified".to_owned(),
        n => format!("; {n} items could not be verified"),
    }
}

fn all_well(items: &[Item], checks: &[Check], score: f64) -> String {
    match (items.len(), checks.len()) {
        (0, 0) => "The scenario asks for nothing, and the agent answered.".to_owned(),
        (0, n) => format!("No questions to the judge; {} passed.", count(n, "check")),
        (_, 0) => format!("Everything required was shown; the score is {score}."),
        (_, n) => format!(
            "Everything required was shown and {} passed; the score is {score}.",
            count(n, "check")
        ),
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The beginning of a long text on one line, without its full stop: it goes
/// into a sentence.
fn brief(text: &str) -> String {
    const MOST: usize = 120;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MOST {
        let start: String = line.chars().take(MOST).collect();
        format!("{}…", start.trim_end())
    } else {
        line.trim_end_matches('.').to_owned()
    }
}
