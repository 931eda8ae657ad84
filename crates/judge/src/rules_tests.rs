use super::budget::Budget;
use super::rules::*;
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
#[case::part_of_a_word(json!({"must_include": ["mom"]}), false, "not found in any agent turn")]
#[case::part_of_a_word_on_request(json!({"must_include": [{"text": "mom", "match": "part"}]}), true, "found in turn 1")]
#[case::word_by_name(json!({"must_include": [{"text": "moment", "match": "word"}]}), true, "found in turn 1")]
#[case::digits_of_a_number(json!({"must_include": ["1286"]}), true, "found in turn 3")]
#[case::some_digits_of_a_number(json!({"must_include": ["286"]}), false, "not found in any agent turn")]
#[case::forbidden(json!({"must_not_include": ["one MOMENT"]}), false, "found in turn 1")]
#[case::forbidden_part(json!({"must_not_include": ["mom"]}), false, "found in turn 1")]
#[case::forbidden_word_only(json!({"must_not_include": [{"text": "mom", "match": "word"}]}), true, "not found in any agent turn")]
#[case::forbidden_word_found(json!({"must_not_include": [{"text": "final", "match": "word"}]}), false, "found in turn 3")]
#[case::forbidden_by_user(json!({"must_not_include": ["bye"]}), true, "not found in any agent turn")]
#[case::called(json!({"must_call_tools": ["find_slot"]}), true, "called in turn 1")]
#[case::not_called(json!({"must_call_tools": ["transfer"]}), false, "never called")]
#[case::said_is_not_called(json!({"must_call_tools": ["total"]}), false, "never called")]
#[case::fast(json!({"max_response_seconds": 3}), true, "slowest reply: 2.5 s in turn 3")]
#[case::just_in_time(json!({"max_response_seconds": 2.5}), true, "slowest reply: 2.5 s in turn 3")]
#[case::slow(json!({"max_response_seconds": 2.4}), false, "slowest reply: 2.5 s in turn 3")]
fn check_rules_decides(#[case] criteria: Value, #[case] ok: bool, #[case] detail: &str) {
    let checks = check_rules(&with(criteria), &sample_transcript());
    let seen: Vec<_> = checks.iter().map(|check| (check.ok, check.detail.as_str())).collect();
    assert_eq!(seen, [(ok, detail)]);
}

#[test]
fn check_names_contain_arguments() {
    let spec = with(json!({
        "must_include": ["a \"b\"", {"text": "e", "match": "part"}],
        "must_not_include": ["c", {"text": "f", "match": "word"}], "must_call_tools": ["d"],
        "max_response_seconds": 1.5
    }));
    let names: Vec<_> = check_rules(&spec, &[]).into_iter().map(|check| check.rule).collect();
    let expected = [
        "must_include \"a \\\"b\\\"\"",
        "must_include \"e\" (part)",
        "must_not_include \"c\"",
        "must_not_include \"f\" (word)",
        "must_call_tools d",
        "max_response_seconds 1.5",
    ];
    assert_eq!(names, expected);
}

#[test]
fn max_response_seconds_passes_without_latency() {
    let check = Check {
        rule: "max_response_seconds 1".to_owned(),
        ok: true,
        undecided: false,
        detail: "no reply has a measured latency".to_owned(),
    };
    assert_eq!(check_rules(&with(json!({"max_response_seconds": 1})), &[user("x")]), [check]);
    assert_eq!(check_rules(&with(json!({})), &sample_transcript()), []);
}

/// 200 KB of a character that becomes 18 characters, and as many texts as a scenario may
/// have, which all are nowhere.
#[test]
fn large_text_checks_are_decided_within_the_budget() {
    let texts: Vec<_> = (0..100).map(|n| format!("missing {n}")).collect();
    let spec = with(json!({"must_include": texts, "must_not_include": texts}));
    let turns = transcript(vec![user("x"), says(&"\u{FDFA}".repeat(200 * 1024 / 3))]);
    let checks = check_rules(&spec, &turns);
    assert_eq!(checks.len(), 200);
    assert!(checks.iter().all(|check| !check.undecided));
    assert_eq!(checks.iter().filter(|check| check.ok).count(), 100);
}

#[rstest]
#[case::enough(20_000, [false, false, false])]
#[case::none(0, [true, true, false])]
#[case::too_little_to_normalize(100, [true, true, false])]
// The turn and both texts are normalized and then one text is searched.
#[case::for_one_text(20 * (100 + 4 + 4) + 150, [false, true, false])]
fn text_checks_beyond_the_budget_are_undecided(#[case] bytes: u64, #[case] undecided: [bool; 3]) {
    let spec = with(json!({
        "must_include": ["late"], "must_not_include": ["evil"], "must_call_tools": ["t"]
    }));
    let turns = transcript(vec![user("x"), says(&"words ".repeat(17)), says("late")]);
    let checks = check_rules_within(&spec, &turns[..2], Budget::of_bytes(bytes));
    let found: Vec<_> = checks.iter().map(|check| check.undecided).collect();
    assert_eq!(found, undecided, "{checks:?}");
    assert!(checks.iter().all(|check| !(check.undecided && check.ok)));
}

#[rstest]
#[case::nothing(vec![], Activity::Silent)]
#[case::user_only(vec![user("x")], Activity::Silent)]
#[case::blank(vec![user("x"), says(" \u{200B}\n")], Activity::Silent)]
#[case::hung_up(vec![user("x"), calls("", &[("c", "end_conversation")])], Activity::Silent)]
#[case::tool_words(vec![user("x"), says(""), answers("c", "words")], Activity::Silent)]
#[case::words(vec![user("x"), says(""), user("x"), says("Hi")], Activity::Active)]
#[case::call(vec![user("x"), calls("", &[("c", "transfer")])], Activity::Active)]
fn activity_ignores_blank_turns(#[case] turns: Vec<Turn>, #[case] activity: Activity) {
    assert_eq!(Activity::of(&transcript(turns)), activity);
}
