use super::prompt::JudgedConversation;
use super::without_judge::decide_without_judge;
use Verdict::{Failed, Inconclusive, Passed};
use conversation::fixtures::{agent, answers, calls, says, scenario, transcript, user};
use domain::{FinishReason, Turn, Verdict};
use rstest::rstest;
use serde_json::{Value, json};

fn decide(scenario_draft: Value, turns: Vec<Turn>) -> Option<(Verdict, Option<f64>, String)> {
    let (agent, scenario, transcript) =
        (agent(json!({})), scenario(scenario_draft), transcript(turns));
    let case = JudgedConversation {
        agent: &agent,
        scenario: &scenario,
        transcript: &transcript,
        end_reason: None,
    };
    decide_without_judge(&case).map(|outcome| (outcome.verdict, outcome.score, outcome.summary))
}

fn spoken() -> Vec<Turn> {
    vec![user("Hi"), says("Here are the very words.")]
}

#[rstest]
#[case::nothing(json!({}), true)]
#[case::only_a_minimum(json!({"success_criteria": {"min_score": 100}}), true)]
#[case::only_tools_and_mocks(json!({"required_tools": ["t"], "tool_mocks": [{"tool": "t", "result": 1}]}), true)]
#[case::empty_lists(json!({"expected_behaviors": [], "success_criteria": {"must_include": [], "criteria": []}}), true)]
#[case::behavior(json!({"expected_behaviors": ["Greets"]}), false)]
#[case::optional_behavior(json!({"expected_behaviors": [{"text": "Greets", "required": false}]}), false)]
#[case::failure_condition(json!({"failure_conditions": ["Swears"]}), false)]
#[case::criterion(json!({"success_criteria": {"criteria": ["Polite"]}}), false)]
#[case::must_include(json!({"success_criteria": {"must_include": ["x"]}}), false)]
#[case::must_not_include(json!({"success_criteria": {"must_not_include": ["x"]}}), false)]
#[case::must_call_tools(json!({"success_criteria": {"must_call_tools": ["t"]}}), false)]
#[case::max_response_seconds(json!({"success_criteria": {"max_response_seconds": 1}}), false)]
fn scenario_that_checks_nothing_is_inconclusive(#[case] draft: Value, #[case] nothing: bool) {
    for turns in [spoken(), vec![user("Hi"), says("")], vec![]] {
        let decided = decide(draft.clone(), turns);
        let is_nothing = decided.is_some_and(|(verdict, score, summary)| {
            verdict == Inconclusive && score.is_none() && summary.starts_with("Nothing to check:")
        });
        assert_eq!(is_nothing, nothing, "{draft}");
    }
}

fn blank(finish: FinishReason) -> Turn {
    Turn { finish: Some(finish), ..says(" \u{200B}") }
}

fn judged() -> Value {
    json!({"expected_behaviors": ["Greets"]})
}

fn by_rule() -> Value {
    json!({"success_criteria": {"must_not_include": ["nowhere"], "must_include": ["words"]}})
}

use FinishReason::{ContentFilter, Length, Refusal, Stop};

#[rstest]
#[case::said_nothing(judged(), vec![user("Hi"), says("")], Some(Failed))]
#[case::said_nothing_by_rule(by_rule(), vec![user("Hi"), says("")], Some(Failed))]
#[case::said_nothing_twice(judged(), vec![user("Hi"), blank(Stop), user("?"), blank(Stop)], Some(Failed))]
#[case::only_ended(judged(), vec![user("Hi"), calls("", &[("c", "end_conversation")])], Some(Failed))]
#[case::only_a_tool_spoke(judged(), vec![user("Hi"), says(""), answers("c", "words")], Some(Failed))]
#[case::length(judged(), vec![user("Hi"), blank(Length)], None)]
#[case::filter(judged(), vec![user("Hi"), blank(ContentFilter)], None)]
#[case::refusal(judged(), vec![user("Hi"), blank(Refusal)], None)]
#[case::one_of_two_was_cut_off(judged(), vec![user("Hi"), says(""), user("?"), blank(Length)], None)]
#[case::length_by_rule(by_rule(), vec![user("Hi"), blank(Length)], Some(Inconclusive))]
#[case::filter_by_rule(by_rule(), vec![user("Hi"), blank(ContentFilter)], Some(Inconclusive))]
#[case::cut_off_after_words(by_rule(), vec![user("Hi"), says("words"), user("?"), blank(Length)], Some(Passed))]
#[case::cut_off_within_words(by_rule(), vec![user("Hi"), Turn { finish: Some(Length), ..says("some words") }], Some(Passed))]
#[case::cut_off_within_other_words(by_rule(), vec![user("Hi"), Turn { finish: Some(Length), ..says("some") }], Some(Failed))]
#[case::spoke(judged(), spoken(), None)]
#[case::called_a_tool(judged(), vec![user("Hi"), calls("", &[("c", "transfer")])], None)]
#[case::spoke_by_rule(by_rule(), spoken(), Some(Passed))]
fn blank_answers_fail_only_if_agent_said_nothing(
    #[case] draft: Value,
    #[case] turns: Vec<Turn>,
    #[case] verdict: Option<Verdict>,
) {
    assert_eq!(decide(draft, turns).map(|(verdict, ..)| verdict), verdict);
}

#[test]
fn silent_agent_gets_unanswered_items() {
    let (agent, scenario) = (agent(json!({})), scenario(judged()));
    let silent = transcript(vec![user("Hi"), says(" ")]);
    let case = JudgedConversation {
        agent: &agent,
        scenario: &scenario,
        transcript: &silent,
        end_reason: None,
    };
    let outcome = decide_without_judge(&case).expect("it is silent");
    assert_eq!((outcome.score, outcome.verdict), (Some(0.0), Failed));
    assert!(outcome.summary.contains("said nothing"));
    assert_eq!(outcome.items.len(), 1);
    assert!(outcome.items.iter().all(|item| item.met.is_none() && !item.verified));
}
