//! Property tests of parsing arbitrary input.

use super::error::AppError;
use super::{AgentSpec, ConnectionSpec, Draft, DraftReader, Problem, Problems, ScenarioSpec};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// Known field names and random strings.
fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "name",
        "description",
        "category",
        "difficulty",
        "tags",
        "persona",
        "is_active",
        "mode",
        "conversation_flow",
        "goal",
        "known_facts",
        "opening_line",
        "expected_behaviors",
        "failure_conditions",
        "success_criteria",
        "required_tools",
        "agent_category",
        "tool_mocks",
        "on_unmocked",
        "max_turns",
        "timeout_seconds",
        "speaker",
        "message",
        "text",
        "required",
        "evidence",
        "min_score",
        "must_include",
        "max_response_seconds",
        "criteria",
        "tool",
        "when",
        "result",
        "error",
        "delay_ms",
        "system_prompt",
        "connection_id",
        "model",
        "temperature",
        "max_tokens",
        "tools",
        "parameters",
        "type",
        "kind",
        "base_url",
        "headers",
        "api_key",
        "id",
        "mood",
        "0",
        "1",
        "",
    ];
    prop_oneof![8 => prop::sample::select(known).prop_map(str::to_owned), 1 => "(?s).{0,5}"]
}

/// Leaves that are often valid values of some field.
fn leaf() -> impl Strategy<Value = Value> {
    let values = vec![
        "",
        " ",
        "user",
        "agent",
        "scripted",
        "simulated",
        "booking",
        "easy",
        "object",
        "required",
        "true",
        "off",
        "5",
        "0.5",
        "1e400",
        "-0",
        "{\"type\":\"object\"}",
        "[1]",
        "\"5\"",
        "null",
        "a\nb",
        "a\0",
        "\u{200B}",
        "https://example.com/ /",
        "demo",
        "openai",
        "X-A: 1\nx-a: 2",
        "018f2f1e-0000-7000-8000-000000000001",
    ];
    prop_oneof![
        4 => prop::sample::select(values).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|n| json!(n)),
        1 => (-2i64..300).prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        2 => "(?s).{0,12}".prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn scenario() -> Value {
    json!({
        "name": "n", "category": "booking", "mode": "simulated", "goal": "g",
        "conversation_flow": [{"speaker": "user", "message": "m"}],
        "expected_behaviors": ["b", {"text": "c", "required": false}],
        "success_criteria": {"min_score": 50, "must_include": ["x"]},
        "tool_mocks": [{"tool": "t", "when": {"a": 1}, "result": {"b": 2}}]
    })
}

fn agent() -> Value {
    json!({
        "name": "n", "system_prompt": "p", "model": "m", "temperature": 0.7,
        "connection_id": "018f2f1e-0000-7000-8000-000000000001",
        "tools": [{"name": "t", "parameters": {"type": "object"}}]
    })
}

fn connection() -> Value {
    json!({"name": "n", "kind": "openai", "headers": {"X-A": "1"}, "api_key": "k"})
}

/// A valid draft in which one node is replaced by an arbitrary value.
fn mutated(base: Value) -> impl Strategy<Value = Value> {
    let pointers = {
        let mut pointers = Vec::new();
        collect_pointers(&base, "", &mut pointers);
        pointers
    };
    (prop::sample::select(pointers), key(), anything(), any::<bool>()).prop_map(
        move |(at, key, value, add)| {
            let mut draft = base.clone();
            match draft.pointer_mut(&at) {
                Some(Value::Object(map)) if add => {
                    map.insert(key, value);
                }
                Some(node) => *node = value,
                None => {}
            }
            draft
        },
    )
}

fn collect_pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, child)| collect_pointers(child, &format!("{at}/{key}"), out));
        }
        Value::Array(list) => {
            (0..).zip(list).for_each(|(i, child): (usize, _)| {
                collect_pointers(child, &format!("{at}/{i}"), out)
            });
        }
        _ => {}
    }
}

/// Checks that a valid spec survives a round trip through stored JSON, and that an invalid
/// draft has problems with messages. Returns whether the draft was valid.
fn check_parse<T>(
    draft: Value,
    parse: fn(&Draft) -> Result<T, Problems>,
) -> Result<bool, TestCaseError>
where
    T: Serialize + PartialEq + Debug,
{
    match parse(&Draft(draft)) {
        Ok(spec) => {
            let text = serde_json::to_string(&spec).unwrap_or_default();
            prop_assert!(!text.contains("\\u0000"), "stores U+0000: {text}");
            let stored = serde_json::from_str(&text).unwrap_or(Value::Null);
            prop_assert_eq!(parse(&Draft(stored)), Ok(spec));
            Ok(true)
        }
        Err(problems) => {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| !problem.message.is_empty()));
            Ok(false)
        }
    }
}

#[test]
fn base_drafts_are_valid() {
    assert!(check_parse(scenario(), ScenarioSpec::parse).is_ok_and(|valid| valid));
    assert!(check_parse(agent(), AgentSpec::parse).is_ok_and(|valid| valid));
    assert!(check_parse(connection(), ConnectionSpec::parse).is_ok_and(|valid| valid));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn parse_handles_arbitrary_input(value in anything()) {
        check_parse(value.clone(), ScenarioSpec::parse)?;
        check_parse(value.clone(), AgentSpec::parse)?;
        check_parse(value, ConnectionSpec::parse)?;
    }

    #[test]
    fn stored_scenario_round_trips(draft in mutated(scenario())) {
        check_parse(draft, ScenarioSpec::parse)?;
    }

    #[test]
    fn stored_agent_round_trips(draft in mutated(agent())) {
        check_parse(draft, AgentSpec::parse)?;
    }

    #[test]
    fn connection_round_trips(draft in mutated(connection())) {
        check_parse(draft, ConnectionSpec::parse)?;
    }

    #[test]
    fn draft_accessors_never_panic(value in anything(), path in "[a-z_.\\[\\]0-9]{0,20}") {
        let draft = Draft(value);
        let _ = (draft.text(&path), draft.len(&path), draft.flag(&path, true), draft.at(&path));
    }
}

#[test]
fn many_unknown_fields_are_counted() {
    let fields: Map<String, Value> = (0..1000).map(|n| (format!("field_{n}"), json!(1))).collect();
    let value = json!({"persona": fields});
    let mut problems = Problems::new();
    let mut reader = DraftReader::new(&value, String::new(), &mut problems);
    reader.object("persona").deny_unknown_fields(&[]);
    assert_eq!(problems.len(), 21);
    assert_eq!(problems[20].to_string(), "persona: has 980 more unknown fields");
}

#[test]
fn entries_above_the_maximum_are_not_examined() {
    let value = json!({"tags": vec![json!({}); 1000]});
    let mut problems = Problems::new();
    let mut reader = DraftReader::new(&value, String::new(), &mut problems);
    assert_eq!(reader.list("tags", 3).len(), 3);
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn error_lists_a_bounded_number_of_short_problems() {
    let problems = (0..5000).map(|n| Problem::new("x".repeat(5000), format!("is wrong {n}")));
    let error = AppError::invalid(problems.collect());
    assert_eq!(error.problems.len(), 100);
    assert!(
        error.detail.starts_with("There are 5000 problems, of which the first 100 are listed.")
    );
    assert!(serde_json::to_string(&error).is_ok_and(|text| text.len() < 200_000));
}
