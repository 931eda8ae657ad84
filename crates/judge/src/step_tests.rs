use super::*;
use conversation::fixtures::{agent, says, scenario, transcript, user};
use domain::{ScenarioSpec, Turn, Verdict};
use llm_types::Message;
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
        (Verdict::Passed, 100.0, Some(80.0))
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
