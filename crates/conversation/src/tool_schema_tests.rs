//! Schemas that would take too long, and those that must keep working.

use super::tool_schema::{argument_problems, check_tool_schema};
use rstest::rstest;
use serde_json::{Value, json};

/// Definitions that refer to the next one `width` times: `width` to the power of `length`
/// parts.
fn fan_out(width: usize, length: usize) -> Value {
    let mut definitions = json!({format!("d{length}"): {"type": "string"}});
    for n in 0..length {
        let reference = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        definitions[format!("d{n}")] = json!({"anyOf": vec![reference; width]});
    }
    json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": definitions})
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({"type": "string"}), |inner, _| json!({"properties": {"x": inner}}))
}

fn with_pattern(pattern: &str) -> Value {
    json!({"type": "object", "properties": {"x": {"type": "string", "pattern": pattern}}})
}

#[rstest]
#[case::fan_out(fan_out(2, 16), "too complex")]
#[case::long_fan_out(fan_out(2, 30), "nested too deeply")]
#[case::wide_fan_out(fan_out(40, 3), "too complex")]
#[case::size(json!({"type": "object", "description": "x".repeat(70_000)}), "at most 65536 bytes")]
#[case::parts(json!({"type": "object", "enum": vec![0; 11_000]}), "too complex")]
#[case::depth(nested(40), "nested too deeply")]
#[case::recursion(
    json!({"type": "object", "properties": {"x": {"$ref": "#"}}}),
    "recursive schemas are not supported"
)]
#[case::recursion_over_two(
    json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {
        "a": {"items": {"$ref": "#/$defs/b"}}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
    "recursive schemas are not supported"
)]
#[case::reference_to_itself(
    json!({"type": "object", "$defs": {"a": {"$ref": "#/$defs/a"}}}),
    "recursive schemas are not supported"
)]
#[case::dynamic(
    json!({"type": "object", "properties": {"x": {"$dynamicRef": "#x"}}}),
    "must not use $dynamicRef"
)]
#[case::other_document(
    json!({"type": "object", "properties": {"x": {"$ref": "https://example.com/x.json"}}}),
    "must name a part of the same schema"
)]
#[case::metaschema(
    json!({"type": "object", "properties": {
        "x": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}}),
    "must name a part of the same schema"
)]
#[case::missing(
    json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/none"}}}),
    "does not contain"
)]
#[case::inner_id(
    json!({"type": "object", "properties": {"x": {"$id": "https://example.com/", "items": {}}}}),
    "must not use $id below its root"
)]
#[case::unevaluated(
    (0..14).fold(json!({}), |inner, _| json!({"unevaluatedProperties": inner})),
    "too complex"
)]
#[case::look_ahead(with_pattern("^(?=a)b$"), "without look-around")]
#[case::backreference(with_pattern(r"^(a+)\1$"), "without look-around")]
#[case::repetitions(with_pattern("^((a{100}){100}){100}$"), "moderate size")]
#[case::bad_pattern_property(
    json!({"type": "object", "patternProperties": {"^(?!x)": {}}}),
    "without look-around"
)]
#[case::invalid(json!({"type": "object", "minProperties": "one"}), "not a valid JSON Schema")]
fn complex_schema_is_refused(#[case] schema: Value, #[case] problem: &str) {
    let refused = check_tool_schema(&schema).expect_err("is refused");
    assert!(refused.contains(problem), "{refused}");
    let accepted_unchecked = argument_problems(&schema, &json!({"x": "aaaa"}));
    assert_eq!(accepted_unchecked, [""; 0], "a stored one is not the agent's fault");
}

#[rstest]
#[case::plain(json!({"type": "object", "properties": {"day": {"enum": ["Monday", "Tuesday"]}}}))]
#[case::shared(json!({"type": "object", "properties": {
    "from": {"$ref": "#/$defs/place"}, "to": {"$ref": "#/$defs/place"}},
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}}}))]
#[case::encoded_pointer(json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/a%20b"}},
    "$defs": {"a b": {"type": "string"}}}))]
#[case::anchor(json!({"type": "object", "properties": {"x": {"$ref": "#name"}},
    "$defs": {"a": {"$anchor": "name", "type": "string"}}}))]
#[case::root_id(json!({"$id": "https://example.com/tool", "type": "object"}))]
#[case::properties_named_like_keywords(json!({"type": "object", "properties": {
    "$ref": {"type": "string"}, "$id": {"type": "string"}, "pattern": {"type": "string"},
    "id": {"type": "string"}}}))]
#[case::data(json!({"type": "object", "default": {"$ref": "https://example.com", "$id": "x"}}))]
#[case::old_draft(json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
    "properties": {"x": {"$ref": "#/definitions/a"}}, "definitions": {"a": {"type": "string"}}}))]
#[case::wide((0..300).fold(json!({"type": "object", "properties": {}}), |mut schema, n| {
    schema["properties"][format!("field_{n}")] = json!({"type": "string", "description": "Text."});
    schema
}))]
#[case::deep(nested(20))]
#[case::catastrophic_for_other_engines(with_pattern("^(a+)+$"))]
#[case::date(with_pattern(r"^\d{4}-\d{2}-\d{2}$"))]
fn ordinary_schema_is_accepted(#[case] schema: Value) {
    assert_eq!(check_tool_schema(&schema), Ok(()));
}

#[test]
fn arguments_are_validated() {
    let schema = json!({"type": "object", "required": ["day"],
        "properties": {"day": {"type": "string", "pattern": "^(Mon|Tues)day$"}}});
    assert_eq!(argument_problems(&schema, &json!({"day": "Monday"})), [""; 0]);
    assert_eq!(argument_problems(&schema, &json!({"day": "Sunday"})).len(), 1);
    assert_eq!(argument_problems(&schema, &json!({})).len(), 1);
    assert_eq!(argument_problems(&schema, &json!([])).len(), 1);
}

#[test]
fn pattern_with_catastrophic_backtracking_is_matched_in_linear_time() {
    let text = format!("{}!", "a".repeat(100_000));
    let problems = argument_problems(&with_pattern("^(a+)+$"), &json!({"x": text}));
    assert_eq!(problems.len(), 1, "this test would not end with backtracking");
    assert!(problems[0].chars().count() <= 300, "a problem does not repeat the whole text");
}

#[test]
fn validation_above_its_budget_is_not_the_fault_of_the_agent() {
    let mut schema = fan_out(10, 3);
    schema["properties"]["list"] = json!({"type": "array", "items": {"type": "string"}});
    assert_eq!(check_tool_schema(&schema), Ok(()));
    let list = |length: usize| json!({"x": 7, "list": vec![7; length]});
    assert_eq!(argument_problems(&schema, &list(100)).len(), 5);
    assert_eq!(argument_problems(&schema, &list(100_000)), [""; 0]);
}
