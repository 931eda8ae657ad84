use super::*;
use conversation::fixtures::{agent, says, scenario, transcript, user};
use domain::{ModelOptions, ScenarioSpec, Turn, Verdict};
use llm_types::Message;
use rstest::rstest;
use serde_json::{Value, json};

const JUDGE: JudgeModel<'static> = JudgeModel { model: "judge-model", options: &NO_OPTIONS };
const NO_OPTIONS: ModelOptions = ModelOptions {
    temperature: None,
    max_tokens: None,
    reasoning_effort: None,
    extra_body: None,
    timeout_seconds: None,
};

const GOOD: &str = r#"{"items":{"item_0":{"reason":"It did.","met":true,"basis":"evidence",
    "evidence":[{"turn":1,"quote":"how can I help you?"}]}},
    "issues":[],"recommendations":[],"score":80,"opinion":"Good."}"#;

fn step(spec: &ScenarioSpec, turns: &[Turn], raw: &[&str]) -> JudgeStep {
    let agent = agent(json!({}));
    let case =
        JudgedConversation { agent: &agent, scenario: spec, transcript: turns, end_reason: None };
    let raw: Vec<RawReply> = raw.iter().map(|text| RawReply::from(*text)).collect();
    judge_step(&case, &raw, JUDGE)
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
fn unreadable_reply_is_requested_once_more() {
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
    let JudgeStep::Unparseable { problem, truncated: false } =
        step(&spec, &sample_transcript(), &["x", cut])
    else {
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
        r#"{{"items":{{"item_0":{{"reason":"r","met":{met},"basis":"{basis}","evidence":{evidence}}}}},
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
#[case::not_met_with_invented_quote("false", "evidence", "how may I serve you today?", true)]
#[case::not_met_without_quote("false", "evidence", "", false)]
#[case::not_met_by_absence("false", "absence", "how may I serve you today?", false)]
#[case::unknown_with_invented_quote("null", "evidence", "how may I serve you today?", false)]
fn misquoted_required_item_is_requested_once_more(
    #[case] met: &str,
    #[case] basis: &str,
    #[case] quote: &str,
    #[case] requested: bool,
) {
    let turns =
        transcript(vec![user("Hi, I have a problem"), says("Good morning, how can I help you?")]);
    let (spec, reply) = (greeting(json!({})), answer(met, basis, quote));
    match step(&spec, &turns, &[&reply]) {
        JudgeStep::CallJudge(request) => {
            assert!(requested, "no second request is needed");
            let named = format!("The quote \"{quote}\" of item 0 was not found.");
            let last = request.messages.last();
            assert!(matches!(last, Some(Message::User(text)) if text.contains(&named)), "{last:?}");
            let again = decided(step(&spec, &turns, &[&reply, &reply]));
            assert_eq!(again.verdict, Verdict::Inconclusive, "{}", again.summary);
            let better = answer("true", "evidence", "how can I help you?");
            let better = decided(step(&spec, &turns, &[&reply, &better]));
            assert_eq!(better.verdict, Verdict::Passed, "{}", better.summary);
        }
        JudgeStep::Decided(_) => assert!(!requested, "a second request is needed"),
        JudgeStep::Unparseable { problem, .. } => panic!("{problem}"),
    }
}

#[test]
fn misquoted_optional_item_is_not_requested_again() {
    let spec = scenario(json!({
        "expected_behaviors": [{"text": "Offers help", "required": false}],
        "success_criteria": {"min_score": 0}
    }));
    let reply = answer("true", "evidence", "how may I serve you today?");
    assert_eq!(decided(step(&spec, &sample_transcript(), &[&reply])).verdict, Verdict::Passed);
}

#[test]
fn misquoted_failure_condition_is_requested_once_more() {
    let spec = scenario(json!({"failure_conditions": ["Swears"]}));
    let reply = answer("true", "evidence", "how may I serve you today?");
    assert!(matches!(step(&spec, &sample_transcript(), &[&reply]), JudgeStep::CallJudge(_)));
    let twice = decided(step(&spec, &sample_transcript(), &[&reply, &reply]));
    assert_eq!(twice.verdict, Verdict::Inconclusive);
}

#[test]
fn unreadable_second_reply_after_misquote_is_no_verdict() {
    let reply = answer("true", "evidence", "how may I serve you today?");
    let step = step(&greeting(json!({})), &sample_transcript(), &[&reply, "Sorry!"]);
    assert!(matches!(step, JudgeStep::Unparseable { .. }));
}

/// A reply with these items, each met by absence.
fn partial(items: &[usize], with_lists: bool) -> String {
    let answer = json!({"reason": "r", "met": true, "basis": "absence", "evidence": []});
    let items = items.iter().map(|item| (format!("item_{item}"), answer.clone()));
    let items: serde_json::Map<String, Value> = items.collect();
    let lists = json!({"items": items, "issues": ["Slow."], "recommendations": [], "score": 70, "opinion": "o"});
    if with_lists { lists.to_string() } else { json!({ "items": items }).to_string() }
}

#[rstest]
#[case::one(&[0, 2], "Item 1 was not answered.", &["item_1"])]
#[case::several(&[1], "Items 0, 2 were not answered.", &["item_0", "item_2"])]
fn second_request_asks_only_for_missing_items(
    #[case] answered: &[usize],
    #[case] problem: &str,
    #[case] keys: &[&str],
) {
    let spec = scenario(json!({"expected_behaviors": ["Greets", "Asks", "Thanks"]}));
    let first = partial(answered, true);
    let JudgeStep::CallJudge(request) = step(&spec, &sample_transcript(), &[&first]) else {
        unreachable!("asks once more")
    };
    let last = request.messages.last();
    let named = |text: &str| text.contains(problem) && text.contains(&keys.join(", "));
    assert!(matches!(last, Some(Message::User(text)) if named(text)), "{last:?}");
    let schema = request.output.expect("a schema").schema;
    assert_eq!(schema["properties"]["items"]["required"], json!(keys));
    assert_eq!(schema["required"], json!(["items"]));

    let missing: Vec<usize> = (0..3).filter(|item| !answered.contains(item)).collect();
    let outcome = decided(step(&spec, &sample_transcript(), &[&first, &partial(&missing, false)]));
    assert_eq!((outcome.verdict, outcome.issues), (Verdict::Passed, vec!["Slow.".to_owned()]));
    let again = step(&spec, &sample_transcript(), &[&first, &partial(&missing[1..], false)]);
    assert!(matches!(again, JudgeStep::Unparseable { .. }), "an item is still missing: {again:?}");
}

#[rstest]
#[case::judge_of_the_product("judge-model", NO_OPTIONS, 2048, Some(4096))]
#[case::reasoning("gpt-5", NO_OPTIONS, 16_000, Some(32_000))]
#[case::chosen("gpt-5", ModelOptions { max_tokens: Some(900), ..NO_OPTIONS }, 900, None)]
fn cut_off_reply_is_requested_again_with_twice_the_limit(
    #[case] model: &str,
    #[case] options: ModelOptions,
    #[case] limit: u32,
    #[case] doubled: Option<u32>,
) {
    let (agent, spec, turns) = (agent(json!({})), greeting(json!({})), sample_transcript());
    let case =
        JudgedConversation { agent: &agent, scenario: &spec, transcript: &turns, end_reason: None };
    let step =
        |replies: &[RawReply]| judge_step(&case, replies, JudgeModel { model, options: &options });
    let JudgeStep::CallJudge(request) = step(&[]) else { unreachable!("asks first") };
    assert_eq!((request.max_tokens, request.temperature), (limit, None));
    let cut = RawReply { text: GOOD[..40].to_owned(), truncated: true };
    match (step(std::slice::from_ref(&cut)), doubled) {
        (JudgeStep::CallJudge(again), Some(doubled)) => {
            assert_eq!((again.max_tokens, again.messages.len()), (doubled, 1));
            let reason = "/properties/items/properties/item_0/properties/reason/maxLength";
            let bound = |request: &llm_types::ChatRequest| {
                let schema = request.output.as_ref().map(|output| output.schema.clone());
                schema.and_then(|schema| schema.pointer(reason)?.as_u64())
            };
            assert_eq!((bound(&request), bound(&again)), (None, Some(400)), "it may run away");
            let twice = step(&[cut.clone(), cut]);
            assert!(matches!(twice, JudgeStep::Unparseable { truncated: true, .. }));
        }
        (JudgeStep::Unparseable { truncated: true, .. }, None) => {}
        other => unreachable!("{other:?}"),
    }
}
