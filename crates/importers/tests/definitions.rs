//! Definitions of Retell and Vapi become agents; test cases become scenarios.

#![allow(clippy::expect_used, clippy::panic)] // tests

mod support;

use domain::services::ImportNoteKind;
use domain::{ScenarioSpec, TextMatch};
use importers::{Format, convert};
use rstest::rstest;
use serde_json::{Value, json};
use std::path::Path;
use support::{agent, converted, notes, read, shared_data};

fn fixture(name: &str) -> Value {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name))
}

/// Checks that the text has all parts, in this order.
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no “{part}” at its place in:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

/// Checks that there is a note at each path.
fn assert_noted(conversion: &importers::Conversion, paths: &[&str]) {
    for path in paths {
        let found = conversion.notes.iter().any(|note| note.path == *path);
        assert!(found, "no note about {path}: {:#?}", notes(conversion));
    }
}

#[test]
fn retell_llm_becomes_agent_with_states_as_sections() {
    let (agent, conversion) = agent("bikes", fixture("retell_llm.json"));
    assert_eq!(conversion.formats, [Format::RetellLlm]);
    assert_eq!((agent.name.as_str(), agent.model.as_str()), ("bikes", "gpt-4o"));
    assert_eq!(agent.temperature, Some(0.2));
    assert_eq!(agent.begin_message.as_deref(), Some("Bike shop, good morning!"));
    assert_in_order(
        &agent.system_prompt,
        &[
            "You answer the phone of Spoke & Wheel for {{caller}}.",
            "Begin in the state “repair”.",
            "## repair\n\nAsk what is broken.",
            "- “closing” when: The repair is booked",
            "## closing",
            "call the tool end_conversation, which replaces end_call.",
        ],
    );
    let tools: Vec<_> = agent.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["to_workshop", "book_repair"]);
    assert_eq!(agent.tools[1].parameters["required"], json!(["day"]));
    assert_noted(
        &conversion,
        &[
            "states",
            "knowledge_base_ids",
            "llm_id",
            "{{caller}}",
            "{{shop}}",
            "general_tools[0]",
            "general_tools[1].type",
            "general_tools[1].transfer_destination",
            "general_tools[1].parameters",
            "states[0].tools[0].url",
            "states[0].tools[0].speak_during_execution",
            "model",
        ],
    );
    let kind = |path: &str| conversion.notes.iter().find(|n| n.path == path).map(|n| n.kind);
    assert_eq!(kind("{{shop}}"), Some(ImportNoteKind::Inferred));
    assert_eq!(kind("{{caller}}"), Some(ImportNoteKind::NotCarriedOver));
}

#[test]
fn retell_agent_export_is_read_with_its_frame() {
    let (agent, conversion) = agent("file", fixture("retell_agent.json"));
    assert_eq!(agent.name, "Bike shop");
    assert_eq!(agent.system_prompt, "You sell bikes.");
    assert_noted(&conversion, &["voice_id", "agent_id", "response_engine", "retellLlmData.llm_id"]);
}

#[test]
fn retell_flow_becomes_agent_with_nodes_as_sections() {
    let (agent, conversion) = agent("rent", fixture("retell_flow.json"));
    assert_in_order(
        &agent.system_prompt,
        &[
            "You rent bikes.",
            "Begin with the step “Ask”.",
            "## Ask\n\nAsk for the size.",
            "- “Reserve” when: The size is known",
            "- “Child” when: {{age}} < 12 or {{tall}} == no",
            "## Reserve\n\nCall the tool reserve.",
            "- “Bye” when: no other condition holds",
            "- age: The age.",
            "Say exactly: Have a good ride.",
            "Come to this step from any other one when: A bike was stolen",
            "- The caller wants to go on",
            "Send the address.",
            "call the tool end_conversation.",
        ],
    );
    assert_eq!(agent.tools[0].parameters["type"], "object");
    assert_noted(
        &conversion,
        &[
            "nodes",
            "start_speaker",
            "nodes[0].display_position",
            "nodes[1].tool_type",
            "nodes[2].variables",
            "nodes[5].type",
            "tools[0].url",
            "model_choice.model",
        ],
    );
}

#[test]
fn retell_test_cases_become_simulated_scenarios() {
    let conversion = converted("tests", fixture("retell_tests.json"));
    let parsed = |at: usize| ScenarioSpec::parse(&conversion.documents[at]).expect("is valid");
    let (simulated, unit) = (parsed(0), parsed(1));
    assert_eq!(simulated.expected_behaviors.len(), 2);
    assert!(simulated.goal.starts_with("You are Ida."));
    assert_eq!(simulated.tool_mocks[0].result, Some(json!({"status": "ok"})));
    assert_eq!(simulated.tool_mocks[0].when, json!({"day": "Monday"}).as_object().cloned());
    assert_eq!(simulated.tool_mocks[1].error.as_deref(), Some("closed"));
    assert_eq!(unit.success_criteria.must_include[0].explicit_match(), Some(TextMatch::Part));
    assert_eq!(unit.success_criteria.must_not_include[0].text(), "goodbye");
    assert_noted(&conversion, &["[0].dynamic_variables", "[0].llm_model", "[1].patterns"]);
}

#[test]
fn vapi_assistant_becomes_agent() {
    let (agent, conversion) = agent("file", fixture("vapi_assistant.json"));
    assert_eq!((agent.name.as_str(), agent.max_tokens), ("Florist", 250));
    assert_in_order(&agent.system_prompt, &["You sell flowers.", "the tool end_conversation"]);
    assert!(!agent.system_prompt.contains("I sell flowers."));
    assert_eq!(agent.begin_message.as_deref(), Some("Flowers and more, hello!"));
    assert_eq!(
        agent.tools[0].parameters["properties"]["destination"]["enum"],
        json!(["+15550101"])
    );
    assert_eq!(agent.tools[1].name, "order");
    assert_noted(
        &conversion,
        &[
            "id",
            "voice",
            "model.toolIds",
            "model.messages[1]",
            "model.tools[0].parameters",
            "model.tools[0].destinations",
            "model.tools[1].server",
        ],
    );
}

#[test]
fn vapi_squad_becomes_one_agent_with_sections() {
    let (agent, conversion) = agent("file", fixture("vapi_squad.json"));
    assert_in_order(
        &agent.system_prompt,
        &[
            "Begin with the part “Greeting”.",
            "## Greeting",
            "- “Orders” when: The caller orders",
            "## Orders",
            "Take the order.",
        ],
    );
    assert_eq!((agent.model.as_str(), agent.begin_message.as_deref()), ("gpt-4o", Some("Hello!")));
    assert_noted(&conversion, &["members", "members[1].assistant.model.model"]);
}

#[rstest]
// file, first message, path of a note about it
#[case::retell(json!({"general_prompt": "P", "begin_message": "Hi"}), Some("Hi"), None)]
#[case::retell_variable(
    json!({"general_prompt": "P", "begin_message": "Hi {{who}}", "default_dynamic_variables": {"who": "Mia"}}),
    Some("Hi Mia"), Some("{{who}}"))]
#[case::retell_user(
    json!({"general_prompt": "P", "begin_message": "Hi", "start_speaker": "user"}), None, Some("begin_message"))]
#[case::retell_made_up(json!({"general_prompt": "P", "start_speaker": "agent"}), None, Some("start_speaker"))]
#[case::retell_waits(json!({"general_prompt": "P", "begin_message": ""}), None, None)]
#[case::retell_flow(
    json!({"start_speaker": "agent", "nodes": [{"id": "a"}], "start_node_id": "a"}), None, Some("start_speaker"))]
#[case::vapi(json!({"firstMessage": "Hi", "model": {"model": "m"}}), Some("Hi"), None)]
#[case::vapi_speaks(
    json!({"firstMessage": "Hi", "firstMessageMode": "assistant-speaks-first", "model": {"model": "m"}}), Some("Hi"), None)]
#[case::vapi_waits(
    json!({"firstMessage": "Hi", "firstMessageMode": "assistant-waits-for-user", "model": {"model": "m"}}),
    None, Some("firstMessage"))]
#[case::vapi_made_up(
    json!({"firstMessageMode": "assistant-speaks-first-with-model-generated-message", "model": {"model": "m"}}),
    None, Some("firstMessageMode"))]
#[case::vapi_none(json!({"model": {"model": "m"}, "firstMessage": ""}), None, None)]
fn first_message_is_carried_over_unless_the_user_begins(
    #[case] file: Value,
    #[case] expected: Option<&str>,
    #[case] noted: Option<&str>,
) {
    let conversion = converted("file", file);
    let message = conversion.documents[0].0.get("begin_message").and_then(Value::as_str);
    assert_eq!(message, expected);
    let about = ["begin_message", "start_speaker", "firstMessage", "firstMessageMode", "{{who}}"];
    let found = conversion.notes.iter().find(|note| about.contains(&note.path.as_str()));
    assert_eq!(found.map(|note| note.path.as_str()), noted, "{:#?}", notes(&conversion));
}

#[rstest]
#[case::text_instead_of_list(json!({"general_prompt": "P", "states": "x"}), "states")]
#[case::no_object_in_list(json!({"general_prompt": "P", "states": [7]}), "states[0]")]
#[case::prompt_is_no_text(json!({"general_prompt": {"a": 1}, "llm_id": "l"}), "general_prompt")]
#[case::no_prompt_in_export(json!({"agent_name": "A", "response_engine": {"type": "x"}}), "retellLlmData")]
#[case::empty_flow(json!({"conversation_flow_id": "f", "nodes": []}), "nodes")]
#[case::unknown_start(json!({"start_node_id": "a", "nodes": [{"id": "b"}]}), "start_node_id")]
#[case::edge_to_nowhere(
    json!({"nodes": [{"id": "b", "edges": [{"destination_node_id": "zz"}]}]}),
    "nodes[0].edges[0].destination_node_id"
)]
#[case::unknown_tool(json!({"nodes": [{"id": "b", "type": "function", "tool_id": "q"}]}), "nodes[0].tool_id")]
#[case::vapi_model_is_text(json!({"firstMessage": "Hi", "model": "gpt"}), "model")]
#[case::vapi_without_model(json!({"firstMessage": "Hi"}), "model")]
#[case::squad_by_id(json!({"members": [{"assistantId": "a"}]}), "members[0].assistant")]
#[case::empty_squad(json!({"members": []}), "members")]
#[case::task_without_user(json!({"user_scenario": null, "evaluation_criteria": {}}), "user_scenario")]
#[case::task_without_criteria(json!({"user_scenario": {"instructions": "x"}}), "evaluation_criteria")]
#[case::task_with_list(json!({"user_scenario": {"instructions": []}}), "user_scenario.instructions")]
#[case::unknown_test(json!({"user_prompt": "x", "type": "load"}), "type")]
fn malformed_definition_is_a_problem_with_its_path(#[case] content: Value, #[case] path: &str) {
    let error = convert("", vec![content], false).expect_err("is malformed");
    let paths: Vec<_> = error.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert!(paths.contains(&path), "{path} is not in {paths:?}");
}

#[test]
fn documents_of_rehearsal_are_not_taken_for_another_format() {
    for document in [
        json!({"kind": "agent", "name": "A", "states": []}),
        json!({"name": "A", "system_prompt": "P", "model": {"messages": []}}),
        json!({"kind": "scenario", "user_prompt": "x"}),
        json!({"name": "neither"}),
        json!(7),
    ] {
        let conversion = converted("", document.clone());
        assert_eq!(conversion.documents[0].0, document);
        assert!(conversion.formats.is_empty() && conversion.notes.is_empty());
    }
}

#[test]
fn default_of_a_variable_cannot_fill_the_memory() {
    let text = "{{a}}".repeat(100_000);
    let content = json!({"general_prompt": text,
        "default_dynamic_variables": {"a": "x".repeat(100_000)}});
    let conversion = converted("", content);
    let prompt = conversion.documents[0].text("system_prompt");
    assert!(prompt.len() < 1_000_000, "{}", prompt.len());
}

#[test]
fn every_field_of_a_definition_is_used_or_noted() {
    for file in ["retell_llm.json", "retell_agent.json", "retell_flow.json", "vapi_assistant.json"]
    {
        let mut content = fixture(file);
        content["field_of_the_future"] = json!({"a": 1});
        let conversion = converted(file, content);
        assert_noted(&conversion, &["field_of_the_future"]);
    }
}

#[test]
fn all_definitions_of_voicetest_become_valid_documents() {
    let Some(folder) = shared_data() else { return };
    let (mut agents, mut scenarios) = (0, 0);
    for part in ["retell", "vapi", "demo"] {
        let files =
            std::fs::read_dir(folder.join("voicetest-agents").join(part)).expect("a folder");
        for file in files {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if name.contains("tests") {
                for document in converted(&name, read(&path)).documents {
                    ScenarioSpec::parse(&document).unwrap_or_else(|p| panic!("{name}: {p:?}"));
                    scenarios += 1;
                }
            } else {
                let (agent, conversion) = agent(&name, read(&path));
                assert!(!agent.system_prompt.is_empty());
                assert!(!conversion.notes.is_empty(), "{name}");
                agents += 1;
            }
        }
    }
    assert_eq!((agents, scenarios), (15, 28));
}
