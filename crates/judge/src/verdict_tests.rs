use super::parse::{ItemAnswer, JudgeReply, Quote};
use super::prompt::Case;
use super::verdict::*;
use conversation::fixtures::{agent, calls, says, scenario, transcript, user};
use Answer::{Absent, Absent2, Denied, No, Quoted, Unknown, Wrong};
use Verdict::{Failed, Inconclusive, Passed};
use domain::{Basis, EvidenceRule, ItemKind, ScenarioSpec, Turn, Verdict};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

/// What the judge says to an item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// It is so, with a quote that stands.
    Quoted,
    /// It is so, with a quote that nobody said.
    Wrong,
    /// It is so, by absence.
    Absent,
    /// It is so, by absence, with a quote that nobody said.
    Absent2,
    /// It is not so, with nothing to show.
    No,
    /// It is not so, by absence.
    Denied,
    /// It cannot be told.
    Unknown,
}

impl Answer {
    const ALL: [Self; 7] = [Quoted, Wrong, Absent, Absent2, No, Denied, Unknown];

    fn item(self) -> ItemAnswer {
        let quote = |text: &str| vec![Quote { turn: 1, quote: text.to_owned() }];
        let (met, basis, evidence) = match self {
            Quoted => (Some(true), Basis::Evidence, quote("the very words of the agent")),
            Wrong => (Some(true), Basis::Evidence, quote("words that nobody ever said")),
            Absent => (Some(true), Basis::Absence, vec![]),
            Absent2 => (Some(true), Basis::Absence, quote("words that nobody ever said")),
            No => (Some(false), Basis::Evidence, vec![]),
            Denied => (Some(false), Basis::Absence, vec![]),
            Unknown => (None, Basis::Evidence, vec![]),
        };
        ItemAnswer { reason: "Because.".to_owned(), met, basis: Some(basis), evidence }
    }
}

fn spoken() -> Vec<Turn> {
    transcript(vec![user("words of the user only"), says("Here are the very words of the agent.")])
}

fn outcome(scenario: &ScenarioSpec, answers: &[Answer]) -> Outcome {
    let (agent, transcript) = (agent(json!({})), spoken());
    let case = Case { agent: &agent, scenario, transcript: &transcript, end_reason: None };
    let reply = JudgeReply {
        items: answers.iter().map(|answer| answer.item()).collect(),
        issues: vec!["An issue.".to_owned()],
        recommendations: vec!["A recommendation.".to_owned()],
        score: Some(99.0),
        opinion: None,
    };
    evaluate(&case, reply)
}

/// One required and one optional behaviour, one failure condition.
fn usual(min_score: u32) -> ScenarioSpec {
    scenario(json!({
        "expected_behaviors": ["Required.", {"text": "Optional", "required": false}],
        "failure_conditions": ["Forbidden"],
        "success_criteria": {"min_score": min_score}
    }))
}

#[rstest]
// required, optional, forbidden → score, verdict
#[case::all_shown(0, [Quoted, Quoted, Denied], 100.0, Passed)]
#[case::denied_with_nothing_to_show(0, [Quoted, Quoted, No], 100.0, Passed)]
#[case::shown_by_absence(0, [Absent, Absent, Denied], 100.0, Passed)]
#[case::absence_with_a_wrong_quote(0, [Absent2, Quoted, Denied], 100.0, Passed)]
#[case::optional_missing(0, [Quoted, No, Denied], 66.67, Passed)]
#[case::optional_unknown(0, [Quoted, Unknown, Denied], 66.67, Passed)]
#[case::optional_unverified(0, [Quoted, Wrong, Denied], 66.67, Passed)]
#[case::at_the_bar(66, [Quoted, No, Denied], 66.67, Passed)]
#[case::under_the_bar(67, [Quoted, No, Denied], 66.67, Failed)]
#[case::required_missing(0, [No, Quoted, Denied], 33.33, Failed)]
#[case::required_missing_by_absence(0, [Denied, Quoted, Denied], 33.33, Failed)]
#[case::required_unknown(0, [Unknown, Quoted, Denied], 33.33, Inconclusive)]
#[case::required_unverified(0, [Wrong, Quoted, Denied], 33.33, Inconclusive)]
#[case::score_goes_before_unclear(34, [Unknown, Quoted, Denied], 33.33, Failed)]
#[case::missing_goes_before_unclear(0, [No, Quoted, Wrong], 33.33, Failed)]
#[case::happened(0, [Quoted, Quoted, Quoted], 100.0, Failed)]
#[case::happened_goes_before_unclear(0, [Unknown, Quoted, Quoted], 33.33, Failed)]
#[case::accused_without_proof(0, [Quoted, Quoted, Wrong], 100.0, Inconclusive)]
#[case::accused_by_absence(0, [Quoted, Quoted, Absent], 100.0, Inconclusive)]
#[case::accused_by_absence_and_wrong_quote(0, [Quoted, Quoted, Absent2], 100.0, Inconclusive)]
#[case::accusation_open(0, [Quoted, Quoted, Unknown], 100.0, Inconclusive)]
#[case::nothing_at_all(0, [No, No, Denied], 0.0, Failed)]
#[case::bar_of_a_hundred(100, [Quoted, Quoted, Denied], 100.0, Passed)]
fn verdicts(
    #[case] min_score: u32,
    #[case] answers: [Answer; 3],
    #[case] score: f64,
    #[case] verdict: Verdict,
) {
    let outcome = outcome(&usual(min_score), &answers);
    assert_eq!((outcome.score, outcome.verdict), (score, verdict), "{}", outcome.summary);
}

#[rstest]
#[case::quoted(Quoted, 100.0, Passed)]
#[case::absent(Absent, 0.0, Inconclusive)]
#[case::absent_with_a_wrong_quote(Absent2, 0.0, Inconclusive)]
#[case::wrong(Wrong, 0.0, Inconclusive)]
#[case::no(No, 0.0, Failed)]
fn where_a_quote_is_required(#[case] answer: Answer, #[case] score: f64, #[case] verdict: Verdict) {
    let spec = scenario(json!({
        "expected_behaviors": [{"text": "Shows it", "evidence": "required"}],
        "success_criteria": {"min_score": 0}
    }));
    let outcome = outcome(&spec, &[answer]);
    assert_eq!((outcome.score, outcome.verdict), (score, verdict));
}

#[rstest]
#[case::fails_alone(json!({"must_include": ["nowhere"], "min_score": 0}), Failed)]
#[case::forbidden(json!({"must_not_include": ["very words"], "min_score": 0}), Failed)]
#[case::tool(json!({"must_call_tools": ["find_slot"], "min_score": 0}), Failed)]
#[case::pace(json!({"max_response_seconds": 0.5, "min_score": 0}), Failed)]
#[case::holds(json!({"must_include": ["very words"], "max_response_seconds": 1}), Passed)]
fn checks_decide_before_the_judge(#[case] criteria: serde_json::Value, #[case] verdict: Verdict) {
    let spec = scenario(json!({"expected_behaviors": ["Does it"], "success_criteria": criteria}));
    let outcome = outcome(&spec, &[Quoted]);
    assert_eq!((outcome.score, outcome.verdict), (100.0, verdict), "{}", outcome.summary);
}

#[test]
fn criteria_count_once_and_decide_nothing_alone() {
    let spec = scenario(json!({
        "expected_behaviors": ["Required"],
        "success_criteria": {"criteria": ["Polite", "Brief"], "min_score": 50}
    }));
    let half = outcome(&spec, &[Quoted, No, Unknown]);
    assert_eq!((half.score, half.verdict), (50.0, Passed));
    let kinds: Vec<_> = half.items.iter().map(|item| (item.kind, item.required)).collect();
    let criterion = (ItemKind::Criterion, false);
    assert_eq!(kinds, [(ItemKind::Behavior, true), criterion, criterion]);
}

#[rstest]
#[case::none_happened(&[Denied, No], true, 100.0, Passed)]
#[case::one_happened(&[Denied, Quoted], true, 0.0, Failed)]
#[case::one_open(&[Denied, Unknown], true, 100.0, Inconclusive)]
#[case::one_unproven(&[Denied, Wrong], true, 100.0, Inconclusive)]
#[case::check_fails(&[Denied, Denied], false, 0.0, Failed)]
fn failure_conditions_alone_are_all_or_nothing(
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
    assert_eq!((outcome.score, outcome.verdict), (score, verdict));
}

#[rstest]
#[case::checks_hold(json!({"must_include": ["very words"]}), 100.0, Passed)]
#[case::a_check_fails(json!({"must_include": ["nowhere"]}), 0.0, Failed)]
#[case::nothing_asked(json!({"min_score": 100}), 100.0, Passed)]
fn without_questions_the_checks_decide(
    #[case] criteria: serde_json::Value,
    #[case] score: f64,
    #[case] verdict: Verdict,
) {
    let spec = scenario(json!({"success_criteria": criteria}));
    assert!(!needs_judge(&spec));
    let (agent, transcript) = (agent(json!({})), spoken());
    let case = Case { agent: &agent, scenario: &spec, transcript: &transcript, end_reason: None };
    let outcome = evaluate_checks(&case);
    assert_eq!((outcome.score, outcome.verdict), (score, verdict));
    assert_eq!(outcome.judge_score, None);
}

#[test]
fn an_agent_that_said_nothing_has_failed_unasked() {
    let spec = usual(0);
    let agent = agent(json!({}));
    let silent =
        transcript(vec![user("Hi"), says(" "), user("?"), calls("", &[("c", "end_conversation")])]);
    let case = Case { agent: &agent, scenario: &spec, transcript: &silent, end_reason: None };
    let outcome = nothing_said(&case).unwrap_or_else(|| unreachable!("it is silent"));
    assert_eq!((outcome.score, outcome.verdict), (0.0, Failed));
    assert!(outcome.summary.contains("said nothing"));
    assert_eq!(outcome.items.len(), 3);
    assert!(outcome.items.iter().all(|item| item.met.is_none() && !item.verified));
    let spoken = spoken();
    assert_eq!(nothing_said(&Case { transcript: &spoken, ..case }), None);
}

#[test]
fn the_judges_number_is_kept_and_not_used() {
    let outcome = outcome(&usual(0), &[No, No, Denied]);
    assert_eq!((outcome.judge_score, outcome.score), (Some(99.0), 0.0));
    assert_eq!(outcome.issues, ["An issue."]);
    assert_eq!(outcome.recommendations, ["A recommendation."]);
}

#[test]
fn a_quote_with_a_wrong_number_leads_to_where_it_stands() {
    let (agent, transcript, spec) = (agent(json!({})), spoken(), usual(0));
    let case = Case { agent: &agent, scenario: &spec, transcript: &transcript, end_reason: None };
    let mut items: Vec<_> = [Quoted, Wrong, Denied].into_iter().map(Answer::item).collect();
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
#[case([Quoted, Quoted, Denied], "Everything required was shown; the score is 100.")]
#[case([No, Quoted, Denied], "A required behaviour is missing: Required.")]
#[case([Quoted, Quoted, Quoted], "The agent did what it must not do: Forbidden.")]
#[case([Wrong, Quoted, Denied], "A required behaviour could not be verified by a quote: Required.")]
#[case([Quoted, Quoted, Unknown], "The judge could not tell whether this happened: Forbidden.")]
fn the_summary_names_the_reason(#[case] answers: [Answer; 3], #[case] summary: &str) {
    assert_eq!(outcome(&usual(0), &answers).summary, summary);
}

#[test]
fn a_low_score_says_what_was_lost_to_missing_quotes() {
    let summary = outcome(&usual(70), &[Quoted, Wrong, Denied]).summary;
    assert_eq!(
        summary,
        "The score of 66.67 is under the required 70; 1 item could not be verified."
    );
}

#[test]
fn a_long_item_is_shortened_in_the_summary() {
    let long = "Erklärt äußerst geduldig ".repeat(40);
    let spec =
        scenario(json!({"expected_behaviors": [long], "success_criteria": {"min_score": 0}}));
    let summary = outcome(&spec, &[No]).summary;
    assert!(summary.chars().count() < 200 && summary.contains('…'), "{summary}");
}

fn graded() -> impl Strategy<Value = (ScenarioSpec, Vec<Answer>)> {
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
    fn what_holds_of_every_verdict((spec, answers) in graded()) {
        let outcome = outcome(&spec, &answers);
        prop_assert!((0.0..=100.0).contains(&outcome.score));
        prop_assert!(!outcome.summary.is_empty() && outcome.summary.ends_with('.'));
        prop_assert_eq!(outcome.items.len(), answers.len());
        let forbidden = |item: &&domain::Item| item.kind == ItemKind::FailureCondition;
        let checks_hold = outcome.checks.iter().all(|check| check.ok);
        let enough = outcome.score >= f64::from(spec.success_criteria.min_score);
        if !checks_hold || !enough {
            prop_assert_eq!(outcome.verdict, Failed);
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
        for (item, question) in outcome.items.iter().zip(super::prompt::questions(&spec)) {
            let quoted = item.evidence.iter().any(|evidence| evidence.verified);
            if item.met == Some(true) && item.verified && !quoted {
                prop_assert_eq!(item.basis, Some(Basis::Absence));
                prop_assert_eq!(question.evidence, EvidenceRule::Optional);
                prop_assert!(!forbidden(&item));
            }
        }
    }

    /// A better answer to a behaviour or criterion never lowers the score.
    #[test]
    fn more_shown_is_never_less((spec, answers) in graded(), at in any::<prop::sample::Index>()) {
        let asked = answers.len() - spec.failure_conditions.len();
        prop_assume!(asked > 0);
        let mut better = answers.clone();
        better[at.index(asked)] = Quoted;
        prop_assert!(outcome(&spec, &better).score >= outcome(&spec, &answers).score);
    }

    /// The same transcript and reply, the same outcome.
    #[test]
    fn deciding_again_decides_the_same((spec, answers) in graded()) {
        prop_assert_eq!(outcome(&spec, &answers), outcome(&spec, &answers));
    }
}
