use super::*;
use conversation::fixtures::{agent, says, scenario, transcript, user};
use llm_types::Message;
use domain::{ScenarioSpec, Turn, Verdict};
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

fn spoken() -> Vec<Turn> {
    transcript(vec![user("Hi"), says("Good morning, how can I help you?")])
}

fn decided(step: JudgeStep) -> Outcome {
    match step {
        JudgeStep::Decided(outcome) => *outcome,
        other => unreachable!("no verdict but {other:?}"),
    }
}

#[test]
fn a_judging_asks_reads_and_decides() {
    let spec = greeting(json!({}));
    let JudgeStep::Ask(request) = step(&spec, &spoken(), &[]) else { unreachable!("asks first") };
    assert_eq!((request.model.as_str(), request.messages.len()), ("judge-model", 1));
    let outcome = decided(step(&spec, &spoken(), &[GOOD]));
    assert_eq!(
        (outcome.verdict, outcome.score, outcome.judge_score),
        (Verdict::Passed, 100.0, Some(80.0))
    );
}

#[test]
fn an_unreadable_reply_is_asked_for_once_more() {
    let spec = greeting(json!({}));
    let JudgeStep::Ask(request) = step(&spec, &spoken(), &["passed, I think"]) else {
        unreachable!("asks once more")
    };
    let last = request.messages.last();
    assert!(matches!(last, Some(Message::User(text)) if text.contains("not a JSON object")));
    let outcome = decided(step(&spec, &spoken(), &["passed, I think", GOOD]));
    assert_eq!(outcome.verdict, Verdict::Passed);
}

#[test]
fn two_unreadable_replies_give_no_verdict() {
    let spec = greeting(json!({}));
    let cut = &GOOD[..40];
    let JudgeStep::Unparseable { problem } = step(&spec, &spoken(), &["x", cut]) else {
        unreachable!("there is nothing to decide from")
    };
    assert!(problem.contains("did not fit"), "{problem}");
}

#[test]
fn what_needs_no_judge_is_decided_at_once() {
    let silent = transcript(vec![user("Hi"), says("")]);
    assert_eq!(decided(step(&greeting(json!({})), &silent, &[])).verdict, Verdict::Failed);
    let checks = scenario(json!({"success_criteria": {"must_include": ["good MORNING"]}}));
    assert_eq!(decided(step(&checks, &spoken(), &[])).verdict, Verdict::Passed);
    let missing = scenario(json!({"success_criteria": {"must_include": ["good evening"]}}));
    assert_eq!(decided(step(&missing, &spoken(), &[])).verdict, Verdict::Failed);
}
