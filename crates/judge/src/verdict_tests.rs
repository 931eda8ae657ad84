use super::budget::Budget;
use super::prompt::JudgedConversation;
use super::reply::{ItemAnswer, JudgeReply, Quote};
use super::verdict::*;
use Answer::{Absent, AbsentWrong, No, NotByAbsence, NotWrong, Quoted, Unknown, Wrong};
use Verdict::{Failed, Inconclusive, Passed};
use conversation::fixtures::{agent, says, scenario, transcript, user};
use domain::{Basis, EvidenceRule, ItemKind, ScenarioSpec, Turn, Verdict};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

/// The judge's answer to an item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// Met, with a correct quote.
    Quoted,
    /// Met, with a wrong quote.
    Wrong,
    /// Met, by absence.
    Absent,
    /// Met, by absence, with a wrong quote.
    AbsentWrong,
    /// Not met, without evidence.
    No,
    /// Not met, by absence.
    NotByAbsence,
    /// Not met, with a wrong quote.
    NotWrong,
    /// Undecided.
    Unknown,
}

impl Answer {
    const ALL: [Self; 8] =
        [Quoted, Wrong, Absent, AbsentWrong, No, NotByAbsence, NotWrong, Unknown];

    fn item(self) -> ItemAnswer {
        let quote = |text: &str| vec![Quote { turn: 1, quote: text.to_owned() }];
        let (met, basis, evidence) = match self {
            Quoted => (Some(true), Basis::Evidence, quote("the very words of the agent")),
            Wrong => (Some(true), Basis::Evidence, quote("words that nobody ever said")),
            Absent => (Some(true), Basis::Absence, vec![]),
            AbsentWrong => (Some(true), Basis::Absence, quote("words that nobody ever said")),
            No => (Some(false), Basis::Evidence, vec![]),
            NotByAbsence => (Some(false), Basis::Absence, vec![]),
            NotWrong => (Some(false), Basis::Evidence, quote("words that nobody ever said")),
            Unknown => (None, Basis::Evidence, vec![]),
        };
        ItemAnswer { reason: "Because.".to_owned(), met, basis: Some(basis), evidence }
    }
}

fn sample_transcript() -> Vec<Turn> {
    transcript(vec![user("words of the user only"), says("Here are the very words of the agent.")])
}

fn outcome(scenario: &ScenarioSpec, answers: &[Answer]) -> EvaluationResult {
    outcome_within(scenario, answers, Budget::new())
}

fn outcome_within(scenario: &ScenarioSpec, answers: &[Answer], budget: Budget) -> EvaluationResult {
    let (agent, transcript) = (agent(json!({})), sample_transcript());
    let case =
        JudgedConversation { agent: &agent, scenario, transcript: &transcript, end_reason: None };
    let reply = JudgeReply {
        items: answers.iter().map(|answer| answer.item()).collect(),
        issues: vec!["An issue.".to_owned()],
        recommendations: vec!["A recommendation.".to_owned()],
        score: Some(99.0),
        opinion: None,
    };
    evaluate_within(&case, reply, budget)
}

/// The score would be 0, but nobody searched the quotes.
#[rstest]
#[case::not_searched(Quoted, 1, Inconclusive)]
#[case::searched(Quoted, 1_000_000, Passed)]
#[case::wrong_although_searched(Wrong, 1_000_000, Failed)]
fn quotes_beyond_the_budget_never_fail_a_run(
    #[case] answer: Answer,
    #[case] bytes: u64,
    #[case] expected: Verdict,
) {
    let scenario = scenario(json!({
        "expected_behaviors": [{"text": "Optional", "required": false}],
        "success_criteria": {"min_score": 50}
    }));
    let result = outcome_within(&scenario, &[answer], Budget::of_bytes(bytes));
    assert_eq!(result.verdict, expected, "{}", result.summary);
}

/// One required behavior, one optional behavior and one failure condition.
fn mixed_scenario(min_score: u32) -> ScenarioSpec {
    scenario(json!({
        "expected_behaviors": ["Required.", {"text": "Optional", "required": false}],
        "failure_conditions": ["Forbidden"],
        "success_criteria": {"min_score": min_score}
    }))
}

#[rstest]
// required, optional, forbidden → score, verdict
#[case::all_shown(0, [Quoted, Quoted, NotByAbsence], 100.0, Passed)]
#[case::denied_with_nothing_to_show(0, [Quoted, Quoted, No], 100.0, Passed)]
#[case::shown_by_absence(0, [Absent, Absent, NotByAbsence], 100.0, Passed)]
#[case::absence_with_a_wrong_quote(0, [AbsentWrong, Quoted, NotByAbsence], 100.0, Passed)]
#[case::optional_missing(0, [Quoted, No, NotByAbsence], 66.67, Passed)]
#[case::optional_unknown(0, [Quoted, Unknown, NotByAbsence], 66.67, Passed)]
#[case::optional_unverified(0, [Quoted, Wrong, NotByAbsence], 66.67, Passed)]
#[case::at_the_bar(66, [Quoted, No, NotByAbsence], 66.67, Passed)]
#[case::under_the_bar(67, [Quoted, No, NotByAbsence], 66.67, Failed)]
#[case::required_missing(0, [No, Quoted, NotByAbsence], 33.33, Failed)]
#[case::required_missing_by_absence(0, [NotByAbsence, Quoted, NotByAbsence], 33.33, Failed)]
#[case::required_missing_with_wrong_quote(0, [NotWrong, Quoted, NotByAbsence], 33.33, Inconclusive)]
#[case::score_of_wrong_quotes(70, [NotWrong, NotWrong, NotByAbsence], 0.0, Inconclusive)]
#[case::optional_missing_with_wrong_quote(0, [Quoted, NotWrong, NotByAbsence], 66.67, Passed)]
#[case::denied_with_wrong_quote(0, [Quoted, Quoted, NotWrong], 100.0, Passed)]
#[case::required_unknown(0, [Unknown, Quoted, NotByAbsence], 33.33, Inconclusive)]
#[case::required_unverified(0, [Wrong, Quoted, NotByAbsence], 33.33, Inconclusive)]
#[case::score_goes_before_unclear(34, [Unknown, Quoted, NotByAbsence], 33.33, Failed)]
#[case::unverified_missing_beside_misquote(0, [No, Quoted, Wrong], 33.33, Inconclusive)]
#[case::verified_missing_goes_before_misquote(0, [NotByAbsence, Quoted, Wrong], 33.33, Failed)]
#[case::happened_goes_before_misquote(0, [Wrong, Quoted, Quoted], 33.33, Failed)]
#[case::score_beside_misquote(70, [Wrong, Quoted, NotByAbsence], 33.33, Inconclusive)]
#[case::score_of_nothing_beside_misquote(70, [Wrong, No, NotByAbsence], 0.0, Inconclusive)]
#[case::score_beside_misquoted_accusation(100, [Quoted, No, Wrong], 66.67, Inconclusive)]
#[case::score_beside_optional_misquote(70, [Quoted, Wrong, NotByAbsence], 66.67, Failed)]
#[case::optional_missing_beside_misquote(0, [Wrong, NotByAbsence, NotByAbsence], 0.0, Inconclusive)]
#[case::two_misquotes(70, [Wrong, Quoted, Wrong], 33.33, Inconclusive)]
#[case::misquote_beside_unknown(0, [Wrong, Quoted, Unknown], 33.33, Inconclusive)]
#[case::happened(0, [Quoted, Quoted, Quoted], 100.0, Failed)]
#[case::happened_goes_before_unclear(0, [Unknown, Quoted, Quoted], 33.33, Failed)]
#[case::accused_without_proof(0, [Quoted, Quoted, Wrong], 100.0, Inconclusive)]
#[case::accused_by_absence(0, [Quoted, Quoted, Absent], 100.0, Inconclusive)]
#[case::accused_by_absence_and_wrong_quote(0, [Quoted, Quoted, AbsentWrong], 100.0, Inconclusive)]
#[case::accusation_open(0, [Quoted, Quoted, Unknown], 100.0, Inconclusive)]
#[case::nothing_at_all(0, [No, No, NotByAbsence], 0.0, Failed)]
#[case::bar_of_a_hundred(100, [Quoted, Quoted, NotByAbsence], 100.0, Passed)]
fn evaluate_decides_verdict(
    #[case] min_score: u32,
    #[case] answers: [Answer; 3],
    #[case] score: f64,
    #[case] verdict: Verdict,
) {
    let outcome = outcome(&mixed_scenario(min_score), &answers);
    assert_eq!((outcome.score, outcome.verdict), (Some(score), verdict), "{}", outcome.summary);
}

#[rstest]
#[case::quoted(Quoted, 100.0, Passed)]
#[case::absent(Absent, 0.0, Inconclusive)]
#[case::absent_with_a_wrong_quote(AbsentWrong, 0.0, Inconclusive)]
#[case::wrong(Wrong, 0.0, Inconclusive)]
#[case::no(No, 0.0, Failed)]
fn required_evidence_needs_verified_quote(
    #[case] answer: Answer,
    #[case] score: f64,
    #[case] verdict: Verdict,
) {
    let spec = scenario(json!({
        "expected_behaviors": [{"text": "Shows it", "evidence": "required"}],
        "success_criteria": {"min_score": 0}
    }));
    let outcome = outcome(&spec, &[answer]);
    assert_eq!((outcome.score, outcome.verdict), (Some(score), verdict));
}

#[rstest]
#[case::fails_alone(json!({"must_include": ["nowhere"], "min_score": 0}), Failed)]
#[case::forbidden(json!({"must_not_include": ["very words"], "min_score": 0}), Failed)]
#[case::tool(json!({"must_call_tools": ["find_slot"], "min_score": 0}), Failed)]
#[case::pace(json!({"max_response_seconds": 0.5, "min_score": 0}), Failed)]
#[case::holds(json!({"must_include": ["very words"], "max_response_seconds": 1}), Passed)]
fn checks_take_precedence_over_judge(
    #[case] criteria: serde_json::Value,
    #[case] verdict: Verdict,
) {
    let spec = scenario(json!({"expected_behaviors": ["Does it"], "success_criteria": criteria}));
    let outcome = outcome(&spec, &[Quoted]);
    assert_eq!((outcome.score, outcome.verdict), (Some(100.0), verdict), "{}", outcome.summary);
}

#[test]
fn criteria_count_once_and_never_fail_run() {
    let spec = scenario(json!({
        "expected_behaviors": ["Required"],
        "success_criteria": {"criteria": ["Polite", "Brief"], "min_score": 50}
    }));
    let half = outcome(&spec, &[Quoted, No, Unknown]);
    assert_eq!((half.score, half.verdict), (Some(50.0), Passed));
    let kinds: Vec<_> = half.items.iter().map(|item| (item.kind, item.required)).collect();
    let criterion = (ItemKind::Criterion, false);
    assert_eq!(kinds, [(ItemKind::Behavior, true), criterion, criterion]);
}

#[rstest]
#[case::none_happened(&[NotByAbsence, No], true, 100.0, Passed)]
#[case::one_happened(&[NotByAbsence, Quoted], true, 0.0, Failed)]
#[case::one_open(&[NotByAbsence, Unknown], true, 100.0, Inconclusive)]
#[case::one_unproven(&[NotByAbsence, Wrong], true, 100.0, Inconclusive)]
#[case::check_fails(&[NotByAbsence, NotByAbsence], false, 0.0, Failed)]
fn score_of_failure_conditions_alone_is_0_or_100(
    #[case] answers: &[Answer],
    #[case] check: bool,
    #[case] score: f64,
    #[case] verdict: Verdict,
) {
    let include = if check { "very words" } else { "nowhere" };
    let spec = scenario(json!({
        "failure_conditions": ["One", "Two"],
        "success_criteria": {"must_include": [include]}
    }));
    let outcome = outcome(&spec, answers);
    assert_eq!((outcome.score, outcome.verdict), (Some(score), verdict));
}

#[rstest]
#[case::checks_hold(json!({"must_include": ["very words"]}), 100.0, Passed)]
#[case::a_check_fails(json!({"must_include": ["nowhere"]}), 0.0, Failed)]
fn rules_decide_without_items(
    #[case] criteria: serde_json::Value,
    #[case] score: f64,
    #[case] verdict: Verdict,
) {
    let spec = scenario(json!({"success_criteria": criteria}));
    let (agent, transcript) = (agent(json!({})), sample_transcript());
    let case = JudgedConversation {
        agent: &agent,
        scenario: &spec,
        transcript: &transcript,
        end_reason: None,
    };
    let outcome = decide(&case, Vec::new(), true);
    assert_eq!((outcome.score, outcome.verdict), (Some(score), verdict));
    assert_eq!(outcome.judge_score, None);
}

/// Beside a misquoted required item, only what is verified fails the run.
#[rstest]
#[case::rule_fails(json!({"success_criteria": {"must_include": ["nowhere"]}}), vec![Wrong], Failed)]
#[case::forbidden_text(json!({"success_criteria": {"must_not_include": ["very words"]}}), vec![Wrong], Failed)]
#[case::tool_never_called(json!({"success_criteria": {"must_call_tools": ["find_slot"]}}), vec![Wrong], Failed)]
#[case::other_behavior_is_missing(json!({"expected_behaviors": ["Does it", "Does that"]}), vec![Wrong, NotByAbsence], Failed)]
#[case::condition_is_quoted(json!({"failure_conditions": ["Swears"]}), vec![Wrong, Quoted], Failed)]
#[case::rule_passes(json!({"success_criteria": {"must_include": ["very words"]}}), vec![Wrong], Inconclusive)]
#[case::minimum_score(json!({"success_criteria": {"min_score": 100}}), vec![Wrong], Inconclusive)]
#[case::alone(json!({}), vec![Wrong], Inconclusive)]
#[case::other_behavior_is_met(json!({"expected_behaviors": ["Does it", "Does that"]}), vec![Wrong, Quoted], Inconclusive)]
#[case::other_answer_is_not_verified(json!({"expected_behaviors": ["Does it", "Does that"]}), vec![Wrong, No], Inconclusive)]
#[case::optional_behavior_is_missing(json!({"expected_behaviors": ["Does it", {"text": "b", "required": false}]}), vec![Wrong, NotByAbsence], Inconclusive)]
#[case::condition_is_misquoted(json!({"failure_conditions": ["Swears"]}), vec![Wrong, Wrong], Inconclusive)]
#[case::condition_did_not_happen(json!({"failure_conditions": ["Swears"]}), vec![Wrong, NotByAbsence], Inconclusive)]
#[case::criterion_is_missing(json!({"success_criteria": {"criteria": ["Polite"]}}), vec![Wrong, NotByAbsence], Inconclusive)]
fn misquoted_item_fails_run_only_on_verified_grounds(
    #[case] with: serde_json::Value,
    #[case] answers: Vec<Answer>,
    #[case] verdict: Verdict,
) {
    let mut draft = json!({"expected_behaviors": ["Does it"]});
    draft.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let outcome = outcome(&scenario(draft), &answers);
    assert_eq!(outcome.verdict, verdict, "{}", outcome.summary);
}

#[test]
fn judge_score_is_informational() {
    let outcome = outcome(&mixed_scenario(0), &[No, No, NotByAbsence]);
    assert_eq!((outcome.judge_score, outcome.score), (Some(99.0), Some(0.0)));
    assert_eq!(outcome.issues, ["An issue."]);
    assert_eq!(outcome.recommendations, ["A recommendation."]);
}

#[test]
fn wrong_turn_number_is_corrected() {
    let (agent, transcript, spec) = (agent(json!({})), sample_transcript(), mixed_scenario(0));
    let case = JudgedConversation {
        agent: &agent,
        scenario: &spec,
        transcript: &transcript,
        end_reason: None,
    };
    let mut items: Vec<_> = [Quoted, Wrong, NotByAbsence].into_iter().map(Answer::item).collect();
    items[0].evidence[0].turn = 7;
    items[1].evidence[0].turn = 7;
    let reply =
        JudgeReply { items, issues: vec![], recommendations: vec![], score: None, opinion: None };
    let outcome = evaluate(&case, reply);
    let found = &outcome.items[0].evidence[0];
    assert_eq!((found.turn, found.verified), (1, true));
    let lost = &outcome.items[1].evidence[0];
    assert_eq!((lost.turn, lost.verified), (7, false));
}

#[rstest]
#[case([Quoted, Quoted, NotByAbsence], "All requirements are met; the score is 100.")]
#[case([No, Quoted, NotByAbsence], "A required behavior is missing: Required.")]
#[case([Quoted, Quoted, Quoted], "The agent did what it must not do: Forbidden.")]
#[case([Wrong, Quoted, NotByAbsence], "A required behavior could not be verified by a quote: Required.")]
#[case([Quoted, Quoted, Unknown], "The judge could not tell whether this happened: Forbidden.")]
fn summary_contains_reason(#[case] answers: [Answer; 3], #[case] summary: &str) {
    assert_eq!(outcome(&mixed_scenario(0), &answers).summary, summary);
}

#[test]
fn summary_mentions_unverified_items() {
    let summary = outcome(&mixed_scenario(70), &[Quoted, Wrong, NotByAbsence]).summary;
    assert_eq!(
        summary,
        "The score of 66.67 is below the required 70; 1 item could not be verified."
    );
}

#[test]
fn summary_shortens_long_items() {
    let long = "Erklärt äußerst geduldig ".repeat(40);
    let spec =
        scenario(json!({"expected_behaviors": [long], "success_criteria": {"min_score": 0}}));
    let summary = outcome(&spec, &[No]).summary;
    assert!(summary.chars().count() < 200 && summary.contains('…'), "{summary}");
}

fn scenario_and_answers() -> impl Strategy<Value = (ScenarioSpec, Vec<Answer>)> {
    let answer = || prop::sample::select(&Answer::ALL[..]);
    let behavior = (any::<bool>(), any::<bool>(), answer());
    (
        prop::collection::vec(behavior, 0..6),
        prop::collection::vec(answer(), 0..4),
        prop::collection::vec(answer(), 0..4),
        0u32..=100,
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(behaviors, criteria, failures, min_score, check)| {
            let expected: Vec<_> = behaviors
                .iter()
                .map(|(required, quote, _)| {
                    let evidence = if *quote { "required" } else { "optional" };
                    json!({"text": "b", "required": required, "evidence": evidence})
                })
                .collect();
            let include: Vec<_> =
                check.iter().map(|ok| if *ok { "very words" } else { "nowhere" }).collect();
            let spec = scenario(json!({
                "expected_behaviors": expected,
                "failure_conditions": vec!["f"; failures.len()],
                "success_criteria": {
                    "min_score": min_score, "must_include": include,
                    "criteria": vec!["c"; criteria.len()]
                }
            }));
            let answers = behaviors.into_iter().map(|(_, _, answer)| answer);
            (spec, answers.chain(criteria).chain(failures).collect())
        })
}

proptest! {
    #[test]
    fn verdict_invariants_hold((spec, answers) in scenario_and_answers()) {
        let outcome = outcome(&spec, &answers);
        prop_assert!(outcome.score.is_some_and(|score| (0.0..=100.0).contains(&score)));
        prop_assert!(!outcome.summary.is_empty() && outcome.summary.ends_with('.'));
        prop_assert_eq!(outcome.items.len(), answers.len());
        let forbidden = |item: &&domain::Item| item.kind == ItemKind::FailureCondition;
        let checks_hold = outcome.checks.iter().all(|check| check.ok);
        let score = outcome.score.unwrap_or_default();
        let enough = score >= f64::from(spec.success_criteria.min_score);
        let misquotes = |item: &domain::Item| item.basis == Some(Basis::Evidence) && !item.evidence.is_empty();
        let unsupported = |item: &domain::Item| item.required && !item.verified
            && (item.met == Some(true) || (item.met == Some(false) && misquotes(item) && !forbidden(&item)));
        let misquoted = outcome.items.iter().any(unsupported);
        if !checks_hold || (!enough && !misquoted) {
            prop_assert_eq!(outcome.verdict, Failed);
        }
        if misquoted {
            prop_assert_ne!(outcome.verdict, Passed);
        }
        if outcome.verdict == Passed {
            for item in &outcome.items {
                if forbidden(&item) {
                    prop_assert_eq!(item.met, Some(false));
                } else if item.required {
                    prop_assert!(item.met == Some(true) && item.verified);
                }
            }
        }
        if outcome.items.iter().filter(forbidden).any(|item| item.met == Some(true) && item.verified) {
            prop_assert_eq!(outcome.verdict, Failed);
        }
        for (item, unjudged) in outcome.items.iter().zip(super::prompt::items_of(&spec)) {
            let quoted = item.evidence.iter().any(|evidence| evidence.verified);
            if item.met == Some(true) && item.verified && !quoted {
                prop_assert_eq!(item.basis, Some(Basis::Absence));
                prop_assert_eq!(unjudged.evidence, EvidenceRule::Optional);
                prop_assert!(!forbidden(&item));
            }
        }
    }

    #[test]
    fn better_answer_never_lowers_score((spec, answers) in scenario_and_answers(), at in any::<prop::sample::Index>()) {
        let scored = answers.len() - spec.failure_conditions.len();
        prop_assume!(scored > 0);
        let mut better = answers.clone();
        better[at.index(scored)] = Quoted;
        prop_assert!(outcome(&spec, &better).score >= outcome(&spec, &answers).score);
    }

    #[test]
    fn evaluate_is_deterministic((spec, answers) in scenario_and_answers()) {
        prop_assert_eq!(outcome(&spec, &answers), outcome(&spec, &answers));
    }
}
