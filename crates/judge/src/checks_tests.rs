use super::checks::*;
use conversation::fixtures::{answers, calls, says, scenario, transcript, user};
use domain::{Check, ScenarioSpec, Turn};
use rstest::rstest;
use serde_json::{Value, json};

fn with(criteria: Value) -> ScenarioSpec {
    scenario(json!({"success_criteria": criteria}))
}

fn sample_transcript() -> Vec<Turn> {
    let mut slow = says("Your **total** is $1,286 — it’s final.");
    slow.latency_ms = Some(2500);
    let mut first = calls("One moment", &[("c1", "find_slot")]);
    first.latency_ms = Some(900);
    transcript(vec![user("user words"), first, answers("c1", "tool words"), slow, user("bye")])
}

#[rstest]
#[case::said(json!({"must_include": ["TOTAL is $1,286"]}), true, "found in turn 3")]
#[case::folded(json!({"must_include": ["it's final"]}), true, "found in turn 3")]
#[case::of_the_user(json!({"must_include": ["user words"]}), false, "not found in any agent turn")]
#[case::of_a_tool(json!({"must_include": ["tool words"]}), false, "not found in any agent turn")]
#[case::over_two_turns(json!({"must_include": ["moment your total"]}), false, "not found in any agent turn")]
#[case::forbidden(json!({"must_not_include": ["one MOMENT"]}), false, "found in turn 1")]
#[case::forbidden_by_user(json!({"must_not_include": ["bye"]}), true, "not found in any agent turn")]
#[case::called(json!({"must_call_tools": ["find_slot"]}), true, "called in turn 1")]
#[case::not_called(json!({"must_call_tools": ["transfer"]}), false, "never called")]
#[case::said_is_not_called(json!({"must_call_tools": ["total"]}), false, "never called")]
#[case::fast(json!({"max_response_seconds": 3}), true, "slowest reply: 2.5 s in turn 3")]
#[case::just_in_time(json!({"max_response_seconds": 2.5}), true, "slowest reply: 2.5 s in turn 3")]
#[case::slow(json!({"max_response_seconds": 2.4}), false, "slowest reply: 2.5 s in turn 3")]
fn run_checks_decides(#[case] criteria: Value, #[case] ok: bool, #[case] detail: &str) {
    let checks = run_checks(&with(criteria), &sample_transcript());
    let seen: Vec<_> = checks.iter().map(|check| (check.ok, check.detail.as_str())).collect();
    assert_eq!(seen, [(ok, detail)]);
}

#[test]
fn check_names_contain_arguments() {
    let spec = with(json!({
        "must_include": ["a \"b\""], "must_not_include": ["c"], "must_call_tools": ["d"],
        "max_response_seconds": 1.5
    }));
    let names: Vec<_> = run_checks(&spec, &[]).into_iter().map(|check| check.check).collect();
    let expected = [
        "must_include \"a \\\"b\\\"\"",
        "must_not_include \"c\"",
        "must_call_tools d",
        "max_response_seconds 1.5",
    ];
    assert_eq!(names, expected);
}

#[test]
fn max_response_seconds_passes_without_latency() {
    let check = Check {
        check: "max_response_seconds 1".to_owned(),
        ok: true,
        detail: "no reply has a measured latency".to_owned(),
    };
    assert_eq!(run_checks(&with(json!({"max_response_seconds": 1})), &[user("x")]), [check]);
    assert_eq!(run_checks(&with(json!({})), &sample_transcript()), []);
}

#[rstest]
#[case::nothing(vec![], false)]
#[case::user_only(vec![user("x")], false)]
#[case::blank(vec![user("x"), says(" \u{200B}\n")], false)]
#[case::hung_up(vec![user("x"), calls("", &[("c", "end_conversation")])], false)]
#[case::tool_words(vec![user("x"), says(""), answers("c", "words")], false)]
#[case::words(vec![user("x"), says(""), user("x"), says("Hi")], true)]
#[case::call(vec![user("x"), calls("", &[("c", "transfer")])], true)]
fn agent_did_something_ignores_blank_turns(#[case] turns: Vec<Turn>, #[case] something: bool) {
    assert_eq!(agent_did_something(&transcript(turns)), something);
}
