use super::{AgentSpec, Draft};
use rstest::rstest;
use serde_json::{Value, json};

const CONNECTION: &str = "018f2f1e-0000-7000-8000-000000000001";

fn draft(with: Value) -> Draft {
    let mut draft = json!({
        "name": "Clinic", "system_prompt": "You help.", "connection_id": CONNECTION, "model": "m"
    });
    for (key, value) in with.as_object().into_iter().flatten() {
        draft[key] = value.clone();
    }
    Draft(draft)
}

/// The problems as lines, as a person reads them.
fn problems(with: Value) -> Vec<String> {
    let parsed = AgentSpec::parse(&draft(with));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn valid(with: Value) -> AgentSpec {
    AgentSpec::parse(&draft(with)).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

#[test]
fn little_is_needed_and_the_rest_has_defaults() {
    let agent = valid(json!({}));
    assert_eq!((agent.max_tokens, agent.temperature), (1024, None));
    assert!(agent.tools.is_empty() && agent.description.is_empty() && agent.category.is_empty());
}

#[test]
fn fields_are_read_from_json_and_from_forms_alike() {
    let from_json = valid(json!({
        "temperature": 0.5, "max_tokens": 200,
        "tools": [{"name": "find", "parameters": {"type": "object", "required": ["day"]}}]
    }));
    let from_form = valid(json!({
        "temperature": " 0.5 ", "max_tokens": "200", "description": "", "category": " ",
        "tools": {"4": {"name": " find ", "description": "",
                        "parameters": "{\"type\":\"object\",\"required\":[\"day\"]}"}}
    }));
    assert_eq!(from_json, from_form);
}

#[test]
fn all_problems_come_at_once_with_their_paths() {
    let listed = problems(json!({
        "name": " ", "system_prompt": "\u{200B}\n\u{FEFF}", "connection_id": "abc", "model": "",
        "category": "c".repeat(51), "temperature": 3, "max_tokens": 0, "prompt": "x",
        "tools": [
            {"name": "a b", "parameters": []},
            {"name": "find", "parameters": "{"},
            {"name": "find", "parameters": {"type": "string"}},
            {"name": "end_conversation"},
            "find"
        ]
    }));
    let expected = [
        "name: must not be empty",
        "category: must be at most 50 characters, is 51",
        "system_prompt: must not be empty",
        "connection_id: is not the id of a connection",
        "model: must not be empty",
        "temperature: must be from 0 to 2",
        "max_tokens: must be from 1 to 200000",
        "tools[0].name: may contain letters, digits, _ and - only",
        "tools[0].parameters: must be a JSON Schema, an object",
        "tools[2].name: is used twice: find",
        "tools[2].parameters: must have \"type\": \"object\": arguments are passed by name",
        "tools[3].name: is built in already",
        "tools[4]: must be an object, not text",
    ];
    for line in expected {
        assert!(listed.contains(&line.to_owned()), "{line} is not among {listed:#?}");
    }
    let starts = |path: &str| listed.iter().any(|line| line.starts_with(path));
    assert!(starts("tools[1].parameters: must be JSON") && starts("prompt: is not known here"));
    assert_eq!(listed.len(), expected.len() + 2, "{listed:#?}");
}

#[rstest]
#[case::longest_name(json!({"name": "n".repeat(200)}), None)]
#[case::name(json!({"name": "n".repeat(201)}), Some("name: must be at most 200 characters, is 201"))]
#[case::letters_not_bytes(json!({"name": "ä".repeat(200)}), None)]
#[case::name_lines(json!({"name": "a\nb"}), Some("name: must be on one line"))]
#[case::name_kind(json!({"name": ["a"]}), Some("name: must be text, not a list"))]
#[case::longest_prompt(json!({"system_prompt": "p".repeat(65_536)}), None)]
#[case::prompt(json!({"system_prompt": "p".repeat(65_537)}), Some("system_prompt: must be at most 65536 bytes, is 65537"))]
#[case::prompt_nul(json!({"system_prompt": "a\0"}), Some("system_prompt: must not contain the character U+0000"))]
#[case::prompt_missing(json!({"system_prompt": null}), Some("system_prompt: must not be empty"))]
#[case::no_connection(json!({"connection_id": ""}), Some("connection_id: must be chosen: without a connection the model cannot be reached"))]
#[case::connection_kind(json!({"connection_id": {}}), Some("connection_id: must be text, not an object"))]
#[case::warm(json!({"temperature": 2}), None)]
#[case::cold(json!({"temperature": -0.1}), Some("temperature: must be from 0 to 2"))]
#[case::not_a_number(json!({"temperature": "warm"}), Some("temperature: must be a number"))]
#[case::infinite(json!({"temperature": "inf"}), Some("temperature: must be a number"))]
#[case::half_a_token(json!({"max_tokens": 1.5}), Some("max_tokens: must be a whole number"))]
#[case::most_tokens(json!({"max_tokens": 200_000}), None)]
#[case::blank_number(json!({"max_tokens": ""}), None)]
#[case::tool_name(json!({"tools": [{"name": "t".repeat(65)}]}), Some("tools[0].name: must be at most 64 characters, is 65"))]
#[case::tool_nul(json!({"tools": [{"name": "t", "parameters": {"type": "object", "a": ["\0"]}}]}), Some("tools[0].parameters: must not contain the character U+0000"))]
#[case::tool_nul_in_text(json!({"tools": [{"name": "t", "parameters": "{\"type\":\"object\",\"\\u0000\":1}"}]}), Some("tools[0].parameters: must not contain the character U+0000"))]
#[case::schema(json!({"tools": [{"name": "t", "parameters": {"type": "object", "required": ["a"], "properties": {"a": {"type": ["string", "null"], "enum": ["x", null]}, "b": true, "c": {"type": "array", "items": {"type": "integer"}}}}}]}), None)]
#[case::unknown_type(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": {"type": "banana"}}}}]}), Some("tools[0].parameters: is no JSON Schema: an unknown type"))]
#[case::deep_type(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": {"items": {"type": 5}}}}}]}), Some("tools[0].parameters: is no JSON Schema: an unknown type"))]
#[case::properties(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": 5}}]}), Some("tools[0].parameters: is no JSON Schema: properties must be an object"))]
#[case::property(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": "string"}}}]}), Some("tools[0].parameters: is no JSON Schema: a part is no schema"))]
#[case::required(json!({"tools": [{"name": "t", "parameters": {"type": "object", "required": "a"}}]}), Some("tools[0].parameters: is no JSON Schema: required must be a list of names"))]
#[case::tools_kind(json!({"tools": 5}), Some("tools: must be a list, not a number"))]
#[case::sent_back(json!({"id": "x", "revision": 3, "updated_at": "now"}), None)]
fn one_field(#[case] with: Value, #[case] problem: Option<&str>) {
    assert_eq!(problems(with), problem.into_iter().collect::<Vec<_>>());
}

#[test]
fn two_tools_without_a_name_are_not_told_to_share_it() {
    let listed = problems(json!({"tools": [{"name": ""}, {"name": ""}]}));
    assert_eq!(listed, ["tools[0].name: must not be empty", "tools[1].name: must not be empty"]);
}

#[test]
fn a_hundred_tools_and_no_more() {
    let tools =
        |n: usize| -> Vec<Value> { (0..n).map(|i| json!({"name": format!("t{i}")})).collect() };
    assert_eq!(problems(json!({"tools": tools(100)})), Vec::<String>::new());
    assert_eq!(
        problems(json!({"tools": tools(101)})),
        ["tools: must have at most 100 entries, has 101"]
    );
}

#[rstest]
#[case(Value::Null)]
#[case(json!([]))]
#[case(json!("agent"))]
#[case(json!(1))]
fn what_is_no_object_is_said_once(#[case] draft: Value) {
    let problems = AgentSpec::parse(&Draft(draft)).err().unwrap_or_default();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].path.is_empty() && problems[0].message.starts_with("must be an object"));
}

#[test]
fn the_built_in_tool_is_always_there() {
    let agent = valid(json!({"tools": [{"name": "find"}]}));
    assert!(agent.has_tool("find") && agent.has_tool("end_conversation"));
    assert!(!agent.has_tool("Find") && !agent.has_tool(""));
}
