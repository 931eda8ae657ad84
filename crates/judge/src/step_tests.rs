use super::*;
use conversation::fixtures::{agent, says, scenario, transcript, user};
use domain::{ScenarioSpec, Turn, Verdict};
use llm_types::Message;
use rstest::rstest;
use serde_json::{Value, json};

const GOOD: &str = r#"{"items":[{"index":0,"reason":"It did.","met":true,"basis":"evidence",
    "evidence":[{"turn":1,"quote":"how can I help you?"}]}],
    "issues":[],"recommendations":[],"score":80,"opinion":"Good."}"#;

fn step(spec: &ScenarioSpec, turns: &[Turn], raw: &[&str]) -> JudgeStep {
    let agent = agent(json!({}));
    let case = Case { agent: &agent, scenario: spec, transcript: turns, end_reason: None };
    let raw: Vec<String> = raw.iter().map(|text| (*text).to_owned()).collect();
    judge_step(&case, &raw, "judge-model")
}

fn greeting(with: Value) -> ScenarioSpec {
    let mut draft = json!({"expected_behaviors": ["Offers help"]});
    for (key, value) in with.as_object().into_iter().flatten() {
        draft[key] = value.clone();
    }
    scenario(draft)
}

fn sample_transcript() -> Vec<Turn> {
    transcript(vec![user("Hi"), says("Good morning, how can I help you?")])
}

fn decided(step: JudgeStep) -> EvaluationResult {
    match step {
        JudgeStep::Decided(outcome) => *outcome,
        other => unreachable!("no verdict but {other:?}"),
    }
}

#[test]
fn judge_is_called_once_for_readable_reply() {
    let spec = greeting(json!({}));
    let JudgeStep::CallJudge(request) = step(&spec, &sample_transcript(), &[]) else {
        unreachable!("asks first")
    };
    assert_eq!((request.model.as_str(), request.messages.len()), ("judge-model", 1));
    let outcome = decided(step(&spec, &sample_transcript(), &[GOOD]));
    assert_eq!(
        (outcome.verdict, outcome.score, outcome.judge_score),
        (Verdict::Passed, Some(100.0), Some(80.0))
    );
}

#[test]
fn unreadable_reply_is_repaired_once() {
    let spec = greeting(json!({}));
    let JudgeStep::CallJudge(request) = step(&spec, &sample_transcript(), &["passed, I think"])
    else {
        unreachable!("asks once more")
    };
    let last = request.messages.last();
    assert!(matches!(last, Some(Message::User(text)) if text.contains("not a JSON object")));
    let outcome = decided(step(&spec, &sample_transcript(), &["passed, I think", GOOD]));
    assert_eq!(outcome.verdict, Verdict::Passed);
}

#[test]
fn two_unreadable_replies_are_unparseable() {
    let spec = greeting(json!({}));
    let cut = &GOOD[..40];
    let JudgeStep::Unparseable { problem } = step(&spec, &sample_transcript(), &["x", cut]) else {
        unreachable!("there is nothing to decide from")
    };
    assert!(problem.contains("did not match"), "{problem}");
}

#[test]
fn silent_agent_and_checks_are_decided_without_judge() {
    let silent = transcript(vec![user("Hi"), says("")]);
    assert_eq!(decided(step(&greeting(json!({})), &silent, &[])).verdict, Verdict::Failed);
    let checks = scenario(json!({"success_criteria": {"must_include": ["good MORNING"]}}));
    assert_eq!(decided(step(&checks, &sample_transcript(), &[])).verdict, Verdict::Passed);
    let missing = scenario(json!({"success_criteria": {"must_include": ["good evening"]}}));
    assert_eq!(decided(step(&missing, &sample_transcript(), &[])).verdict, Verdict::Failed);
}

fn answer(met: &str, basis: &str, quote: &str) -> String {
    let evidence = if quote.is_empty() {
        "[]".to_owned()
    } else {
        json!([{"turn": 1, "quote": quote}]).to_string()
    };
    format!(
        r#"{{"items":[{{"index":0,"reason":"r","met":{met},"basis":"{basis}","evidence":{evidence}}}],
        "issues":[],"recommendations":[],"score":80,"opinion":"o"}}"#
    )
}

#[rstest]
#[case::found("true", "evidence", "how can I help you?", false)]
#[case::invented("true", "evidence", "how may I serve you today?", true)]
#[case::of_the_user("true", "evidence", "Hi, I have a problem", true)]
#[case::part_of_a_word("true", "evidence", "orning, how can I help", true)]
#[case::too_short("true", "evidence", "how can", true)]
#[case::without_quote("true", "evidence", "", false)]
#[case::by_absence("true", "absence", "", false)]
#[case::by_absence_with_invented_quote("true", "absence", "how may I serve you today?", false)]
#[case::not_met_with_invented_quote("false", "evidence", "how may I serve you today?", false)]
#[case::unknown_with_invented_quote("null", "evidence", "how may I serve you today?", false)]
fn misquoted_required_item_is_repaired_once(
    #[case] met: &str,
    #[case] basis: &str,
    #[case] quote: &str,
    #[case] repaired: bool,
) {
    let turns =
        transcript(vec![user("Hi, I have a problem"), says("Good morning, how can I help you?")]);
    let (spec, reply) = (greeting(json!({})), answer(met, basis, quote));
    match step(&spec, &turns, &[&reply]) {
        JudgeStep::CallJudge(request) => {
            assert!(repaired, "no repair is needed");
            let named = format!("The quote \"{quote}\" of item 0 was not found.");
            let last = request.messages.last();
            assert!(matches!(last, Some(Message::User(text)) if text.contains(&named)), "{last:?}");
            let again = decided(step(&spec, &turns, &[&reply, &reply]));
            assert_eq!(again.verdict, Verdict::Inconclusive, "{}", again.summary);
            let better = answer("true", "evidence", "how can I help you?");
            let better = decided(step(&spec, &turns, &[&reply, &better]));
            assert_eq!(better.verdict, Verdict::Passed, "{}", better.summary);
        }
        JudgeStep::Decided(_) => assert!(!repaired, "a repair is needed"),
        JudgeStep::Unparseable { problem } => panic!("{problem}"),
    }
}

#[test]
fn misquoted_optional_item_is_not_repaired() {
    let spec = scenario(json!({
        "expected_behaviors": [{"text": "Offers help", "required": false}],
        "success_criteria": {"min_score": 0}
    }));
    let reply = answer("true", "evidence", "how may I serve you today?");
    assert_eq!(decided(step(&spec, &sample_transcript(), &[&reply])).verdict, Verdict::Passed);
}

#[test]
fn misquoted_failure_condition_is_repaired() {
    let spec = scenario(json!({"failure_conditions": ["Swears"]}));
    let reply = answer("true", "evidence", "how may I serve you today?");
    assert!(matches!(step(&spec, &sample_transcript(), &[&reply]), JudgeStep::CallJudge(_)));
    let twice = decided(step(&spec, &sample_transcript(), &[&reply, &reply]));
    assert_eq!(twice.verdict, Verdict::Inconclusive);
}

#[test]
fn unreadable_repair_of_misquote_is_no_verdict() {
    let reply = answer("true", "evidence", "how may I serve you today?");
    let step = step(&greeting(json!({})), &sample_transcript(), &[&reply, "Sorry!"]);
    assert!(matches!(step, JudgeStep::Unparseable { .. }));
}
