use super::fixtures::{agent, answers, call, scenario, transcript, user};
use super::*;
use domain::ScenarioSpec;
use llm_types::Message;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

fn with_mocks(mocks: Value) -> ScenarioSpec {
    scenario(json!({"tool_mocks": mocks}))
}

fn outcome(scenario: &ScenarioSpec, name: &str, arguments: Value) -> ToolOutcome {
    match answer_call(scenario, &agent(json!({})), &call("c1", name, arguments)) {
        ToolReply::Answer(outcome) => outcome,
        ToolReply::NeedsSimulation => unreachable!("not asked for by these scenarios"),
    }
}

#[test]
fn first_matching_mock_answers() {
    let spec = with_mocks(json!([
        {"tool": "transfer", "result": "other tool"},
        {"tool": "find_slot", "when": {"day": "Monday", "count": 2}, "result": {"free": [9, 10]}},
        {"tool": "find_slot", "when": {"day": "Monday"}, "result": {"free": [9]}, "delay_ms": 1500},
        {"tool": "find_slot", "error": "closed"},
        {"tool": "find_slot", "result": "never reached"}
    ]));
    let both = outcome(&spec, "find_slot", json!({"day": "Monday", "count": 2.0}));
    assert_eq!(both.message, r#"{"free":[9,10]}"#);
    let day = outcome(&spec, "find_slot", json!({"day": "Monday"}));
    assert_eq!((day.message.as_str(), day.delay_ms), (r#"{"free":[9]}"#, 1500));
    assert!(day.mocked && !day.is_error && !day.invalid_args);
    let closed = outcome(&spec, "find_slot", json!({"day": "Sunday"}));
    assert!(closed.is_error && closed.mocked);
    assert_eq!(closed.message, "closed");
}

#[rstest]
#[case::missing(json!({}), "day")]
#[case::wrong_type(json!({"day": 3}), "/day")]
#[case::unknown(json!({"day": "Monday", "hour": 9}), "hour")]
#[case::not_json(json!("day=Monday"), "JSON object")]
#[case::list(json!(["Monday"]), "JSON object")]
fn invalid_arguments_are_reported(#[case] arguments: Value, #[case] named: &str) {
    let spec = with_mocks(json!([{"tool": "find_slot", "result": "never reached"}]));
    let outcome = outcome(&spec, "find_slot", arguments);
    assert!(outcome.is_error && outcome.invalid_args);
    assert!(outcome.message.contains("invalid_args"), "{}", outcome.message);
    assert!(outcome.message.contains(named), "{}", outcome.message);
}

#[test]
fn null_arguments_count_as_empty_object() {
    let spec = with_mocks(json!([{"tool": "transfer", "result": "ok"}]));
    assert_eq!(outcome(&spec, "transfer", Value::Null).message, "ok");
    assert!(outcome(&spec, "find_slot", Value::Null).invalid_args);
}

#[test]
fn call_without_mock_is_not_mocked() {
    let call = call("c1", "find_slot", json!({"day": "Monday"}));
    let missing = outcome(&scenario(json!({})), "find_slot", json!({"day": "Monday"}));
    assert!(missing.is_error && !missing.mocked && !missing.invalid_args);
    assert!(!missing.result_of(&call).mocked);
    let spec = scenario(json!({"on_unmocked": "simulate"}));
    assert_eq!(answer_call(&spec, &agent(json!({})), &call), ToolReply::NeedsSimulation);
    let simulated = ToolOutcome::simulated("{}".to_owned());
    assert!(!simulated.mocked && !simulated.is_error);
}

#[test]
fn unknown_tool_is_error_despite_mock() {
    let spec = with_mocks(json!([{"tool": "delete_all", "result": "done"}]));
    let outcome = outcome(&spec, "delete_all", json!({}));
    assert!(outcome.is_error && outcome.message.contains("unknown_tool"));
}

#[test]
fn end_conversation_needs_no_mock() {
    for arguments in [json!({}), json!({"reason": "done"}), json!("x"), Value::Null] {
        let outcome = outcome(&scenario(json!({})), "end_conversation", arguments.clone());
        assert!(!outcome.is_error && outcome.mocked);
        assert_eq!(refuse_call(&call("c", "end_conversation", arguments)), outcome);
    }
}

#[test]
fn refuse_call_returns_error() {
    let outcome = refuse_call(&call("c", "find_slot", json!({"day": "Monday"})));
    assert!(outcome.is_error && outcome.message.contains("too_many_calls"));
}

#[rstest]
#[case::unusable_type(json!({"type": "object", "properties": {"day": {"anyOf": [{"type": "nonsense"}]}}}))]
#[case::unusable_pattern(json!({"type": "object", "properties": {"day": {"pattern": "("}}}))]
#[case::elsewhere(json!({"type": "object", "$ref": "https://127.0.0.1:1/schema.json"}))]
#[case::a_file(json!({"type": "object", "$ref": "file:///etc/passwd"}))]
#[case::nowhere(json!({"type": "object", "$ref": "#/definitions/none"}))]
fn unusable_schema_accepts_any_object(#[case] parameters: Value) {
    let agent = agent(json!({"tools": [{"name": "find_slot", "parameters": parameters}]}));
    let spec = with_mocks(json!([{"tool": "find_slot", "result": "ok"}]));
    let reply = answer_call(&spec, &agent, &call("c1", "find_slot", json!({"day": 5})));
    assert!(matches!(reply, ToolReply::Answer(outcome) if outcome.message == "ok"));
    let reply = answer_call(&spec, &agent, &call("c1", "find_slot", json!("text")));
    assert!(matches!(reply, ToolReply::Answer(outcome) if outcome.invalid_args));
}

#[rstest]
#[case::itself(json!({"type": "object", "$ref": "#"}))]
#[case::ring(json!({"type": "object", "$ref": "#/$defs/a",
    "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}))]
#[case::tree(json!({"type": "object", "properties": {"child": {"$ref": "#"}}}))]
#[case::all_of(json!({"type": "object", "allOf": [{"$ref": "#"}]}))]
fn recursive_schema_terminates(#[case] parameters: Value) {
    let agent = agent(json!({"tools": [{"name": "find_slot", "parameters": parameters}]}));
    let arguments = json!({"child": {"child": {"child": {}}}});
    let spec = with_mocks(json!([{"tool": "find_slot", "result": "ok"}]));
    let reply = answer_call(&spec, &agent, &call("c1", "find_slot", arguments));
    assert!(matches!(reply, ToolReply::Answer(outcome) if outcome.message == "ok"));
}

#[rstest]
#[case::nothing(json!({}), json!({"a": 1}), true)]
#[case::deep(json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": 2}}), true)]
#[case::deep_other(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), false)]
#[case::number_forms(json!({"a": 1}), json!({"a": 1.0}), true)]
#[case::text_is_no_number(json!({"a": 1}), json!({"a": "1"}), false)]
#[case::missing(json!({"a": null}), json!({}), false)]
#[case::list(json!({"a": [{"b": 1}, 2]}), json!({"a": [{"b": 1, "c": 3}, 2]}), true)]
#[case::longer_list(json!({"a": [1]}), json!({"a": [1, 2]}), false)]
#[case::order(json!({"a": [1, 2]}), json!({"a": [2, 1]}), false)]
#[case::case_counts(json!({"a": "X"}), json!({"a": "x"}), false)]
fn when_matches_subset_of_arguments(#[case] when: Value, #[case] args: Value, #[case] hit: bool) {
    let mocks = json!([{"tool": "transfer", "when": when, "result": "hit"},
                       {"tool": "transfer", "result": "miss"}]);
    let outcome = outcome(&with_mocks(mocks), "transfer", args);
    assert_eq!(outcome.message, if hit { "hit" } else { "miss" });
}

#[test]
fn simulated_result_request_contains_context() {
    let spec = scenario(json!({"on_unmocked": "simulate", "known_facts": ["closed on Sundays"]}));
    let turns = transcript(vec![user("Hi"), answers("c0", "{\"earlier\":1}")]);
    let call = call("c1", "find_slot", json!({"day": "Monday"}));
    let request = simulated_result_request(&spec, &agent(json!({})), &turns, &call, "sim");
    let Some(Message::User(text)) = request.messages.first() else { unreachable!("a question") };
    for part in ["| closed on Sundays", "{\"earlier\":1}", "Finds a free slot", "\"Monday\""] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert_eq!(request.output.map(|output| output.name), Some(SIMULATED_RESULT_SCHEMA.to_owned()));
    assert_eq!(
        parse_simulated_result("{\"result\":\"{\\\"free\\\":[9]}\"}"),
        Ok("{\"free\":[9]}".into())
    );
    for bad in ["", "free at 9", "{\"result\":\" \"}", "{\"result\":{}}", "{}", "{\"result\":1}"] {
        assert!(parse_simulated_result(bad).is_err(), "{bad}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "(object|string|#|[a-z]{0,3}|.{0,4})".prop_map(Value::from),
    ];
    let key = "(type|properties|required|\\$ref|items|pattern|enum|minimum|day|[a-z]{1,3})";
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn answer_call_never_panics(schema in value(), arguments in value()) {
        let mut schema = schema;
        if let Value::Object(map) = &mut schema {
            map.insert("type".to_owned(), json!("object"));
        } else {
            schema = json!({"type": "object", "properties": {"x": schema}});
        }
        let mut agent = agent(json!({}));
        agent.tools[0].parameters = schema;
        let reply = answer_call(&scenario(json!({})), &agent, &call("c", "find_slot", arguments));
        prop_assert!(matches!(reply, ToolReply::Answer(outcome) if outcome.is_error));
    }

    #[test]
    fn subset_of_arguments_matches(arguments in prop::collection::btree_map("[a-z]{1,3}", value(), 0..5), keep in any::<u8>()) {
        let whole: serde_json::Map<String, Value> = arguments.into_iter().collect();
        let part: serde_json::Map<String, Value> = whole.clone().into_iter().enumerate()
            .filter(|(i, _)| keep & (1 << i) != 0).map(|(_, pair)| pair).collect();
        let mut spec = scenario(json!({"tool_mocks": [{"tool": "transfer", "result": "hit"}]}));
        spec.tool_mocks[0].when = Some(part);
        prop_assert_eq!(outcome(&spec, "transfer", Value::Object(whole)).message, "hit");
    }
}
