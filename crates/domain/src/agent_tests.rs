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

fn problems(with: Value) -> Vec<String> {
    let parsed = AgentSpec::parse(&draft(with));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn valid(with: Value) -> AgentSpec {
    AgentSpec::parse(&draft(with)).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

#[test]
fn parse_fills_in_defaults() {
    let agent = valid(json!({}));
    assert_eq!((agent.max_tokens, agent.temperature), (1024, None));
    assert!(agent.tools.is_empty() && agent.description.is_empty() && agent.category.is_empty());
}

#[test]
fn parse_reads_forms_and_json_alike() {
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
fn parse_reports_all_problems_with_paths() {
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
        "category: must be at most 50 characters, but is 51",
        "system_prompt: must not be empty",
        "connection_id: is not a connection id",
        "model: must not be empty",
        "temperature: must be from 0 to 2",
        "max_tokens: must be from 1 to 200000",
        "tools[0].name: may contain only letters, digits, _ and -",
        "tools[0].parameters: must be a JSON Schema object",
        "tools[2].name: must be unique: find is used twice",
        "tools[2].parameters: must have \"type\": \"object\" because arguments are passed by name",
        "tools[3].name: is the name of a built-in tool",
        "tools[4]: must be an object, not text",
    ];
    for line in expected {
        assert!(listed.contains(&line.to_owned()), "{line} is not among {listed:#?}");
    }
    let starts = |path: &str| listed.iter().any(|line| line.starts_with(path));
    assert!(starts("tools[1].parameters: must be JSON") && starts("prompt: is not a known field"));
    assert_eq!(listed.len(), expected.len() + 2, "{listed:#?}");
}

#[rstest]
#[case::longest_name(json!({"name": "n".repeat(200)}), None)]
#[case::name(json!({"name": "n".repeat(201)}), Some("name: must be at most 200 characters, but is 201"))]
#[case::letters_not_bytes(json!({"name": "ä".repeat(200)}), None)]
#[case::name_lines(json!({"name": "a\nb"}), Some("name: must be on one line"))]
#[case::name_kind(json!({"name": ["a"]}), Some("name: must be text, not a list"))]
#[case::longest_prompt(json!({"system_prompt": "p".repeat(65_536)}), None)]
#[case::prompt(json!({"system_prompt": "p".repeat(65_537)}), Some("system_prompt: must be at most 65536 bytes, but is 65537"))]
#[case::prompt_nul(json!({"system_prompt": "a\0"}), Some("system_prompt: must not contain the character U+0000"))]
#[case::prompt_missing(json!({"system_prompt": null}), Some("system_prompt: must not be empty"))]
#[case::no_connection(json!({"connection_id": ""}), Some("connection_id: must be selected"))]
#[case::connection_kind(json!({"connection_id": {}}), Some("connection_id: must be text, not an object"))]
#[case::warm(json!({"temperature": 2}), None)]
#[case::cold(json!({"temperature": -0.1}), Some("temperature: must be from 0 to 2"))]
#[case::not_a_number(json!({"temperature": "warm"}), Some("temperature: must be a number"))]
#[case::infinite(json!({"temperature": "inf"}), Some("temperature: must be a number"))]
#[case::half_a_token(json!({"max_tokens": 1.5}), Some("max_tokens: must be a whole number"))]
#[case::most_tokens(json!({"max_tokens": 200_000}), None)]
#[case::blank_number(json!({"max_tokens": ""}), None)]
#[case::tool_name(json!({"tools": [{"name": "t".repeat(65)}]}), Some("tools[0].name: must be at most 64 characters, but is 65"))]
#[case::tool_nul(json!({"tools": [{"name": "t", "parameters": {"type": "object", "a": ["\0"]}}]}), Some("tools[0].parameters: must not contain the character U+0000"))]
#[case::tool_nul_in_text(json!({"tools": [{"name": "t", "parameters": "{\"type\":\"object\",\"\\u0000\":1}"}]}), Some("tools[0].parameters: must not contain the character U+0000"))]
#[case::schema(json!({"tools": [{"name": "t", "parameters": {"type": "object", "required": ["a"], "properties": {"a": {"type": ["string", "null"], "enum": ["x", null]}, "b": true, "c": {"type": "array", "items": {"type": "integer"}}}}}]}), None)]
#[case::unknown_type(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": {"type": "banana"}}}}]}), Some("tools[0].parameters: is not a valid JSON Schema: unknown type"))]
#[case::deep_type(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": {"items": {"type": 5}}}}}]}), Some("tools[0].parameters: is not a valid JSON Schema: unknown type"))]
#[case::properties(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": 5}}]}), Some("tools[0].parameters: is not a valid JSON Schema: properties must be an object"))]
#[case::property(json!({"tools": [{"name": "t", "parameters": {"type": "object", "properties": {"a": "string"}}}]}), Some("tools[0].parameters: is not a valid JSON Schema: every property must be a schema"))]
#[case::required(json!({"tools": [{"name": "t", "parameters": {"type": "object", "required": "a"}}]}), Some("tools[0].parameters: is not a valid JSON Schema: required must be a list of names"))]
#[case::tools_kind(json!({"tools": 5}), Some("tools: must be a list, not a number"))]
#[case::sent_back(json!({"id": "x", "revision": 3, "updated_at": "now"}), None)]
fn parse_validates_field(#[case] with: Value, #[case] problem: Option<&str>) {
    assert_eq!(problems(with), problem.into_iter().collect::<Vec<_>>());
}

#[test]
fn unnamed_tools_are_not_reported_as_duplicates() {
    let listed = problems(json!({"tools": [{"name": ""}, {"name": ""}]}));
    assert_eq!(listed, ["tools[0].name: must not be empty", "tools[1].name: must not be empty"]);
}

#[test]
fn parse_limits_number_of_tools() {
    let tools =
        |n: usize| -> Vec<Value> { (0..n).map(|i| json!({"name": format!("t{i}")})).collect() };
    assert_eq!(problems(json!({"tools": tools(100)})), Vec::<String>::new());
    assert_eq!(
        problems(json!({"tools": tools(101)})),
        ["tools: must have at most 100 entries, but has 101"]
    );
}

#[rstest]
#[case(Value::Null)]
#[case(json!([]))]
#[case(json!("agent"))]
#[case(json!(1))]
fn parse_reports_one_problem_for_non_object(#[case] draft: Value) {
    let problems = AgentSpec::parse(&Draft(draft)).err().unwrap_or_default();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].path.is_empty() && problems[0].message.starts_with("must be an object"));
}

#[test]
fn has_tool_includes_built_in_tool() {
    let agent = valid(json!({"tools": [{"name": "find"}]}));
    assert!(agent.has_tool("find") && agent.has_tool("end_conversation"));
    assert!(!agent.has_tool("Find") && !agent.has_tool(""));
}
