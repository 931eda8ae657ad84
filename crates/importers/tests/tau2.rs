//! Tasks of τ²-bench become scenarios, and the tools that they name.

#![allow(clippy::expect_used, clippy::panic)] // tests

mod support;

use domain::{Mode, OnUnmocked, ScenarioSpec};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;
use support::{converted, read, shared_data};

fn fixture() -> importers::Conversion {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tau2_tasks.json");
    converted("tau2_tasks", read(&file))
}

fn parsed(conversion: &importers::Conversion) -> Vec<ScenarioSpec> {
    let documents = conversion.documents.iter();
    documents.map(|document| ScenarioSpec::parse(document).expect("is valid")).collect()
}

#[test]
fn task_becomes_simulated_scenario() {
    let conversion = fixture();
    let scenario = parsed(&conversion).remove(0);
    assert_eq!(scenario.name, "library task 0");
    assert_eq!(scenario.description, "The agent refuses a refund.");
    assert_eq!((scenario.mode, scenario.on_unmocked), (Mode::Simulated, OnUnmocked::Simulate));
    assert_eq!(
        scenario.goal,
        "You want your late fee back.\n\nIf the agent refuses, ask once more."
    );
    let facts = ["You are Mia Bell.", "Your user id is mia_1.", "You do not know the amount."];
    assert_eq!(scenario.known_facts, facts);
    assert_eq!(scenario.expected_behaviors[0].text, "Agent does not refund the fee.");
    assert_eq!(scenario.success_criteria.must_include[0].text(), "12");
    // Only the arguments that the task compares select the mock, and reads have none.
    let [mock] = scenario.tool_mocks.as_slice() else { panic!("one mock") };
    assert_eq!(mock.tool, "renew_loan");
    assert_eq!(mock.when, json!({"loan_id": "L1"}).as_object().cloned());
}

#[test]
fn calls_are_required_only_where_the_reward_says_so() {
    let scenarios = parsed(&fixture());
    let required: Vec<_> =
        scenarios.iter().map(|one| one.success_criteria.must_call_tools.clone()).collect();
    assert_eq!(required, [vec![], vec!["renew_loan".to_owned()]]);
}

#[test]
fn what_is_lost_and_inferred_is_listed() {
    let conversion = fixture();
    let paths: Vec<_> = conversion.notes.iter().map(|note| note.path.as_str()).collect();
    for path in [
        "[0].evaluation_criteria.actions",
        "[0].evaluation_criteria.actions[2]",
        "[0].evaluation_criteria.reward_basis[0]",
        "[0].category",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}

#[test]
fn tools_of_the_agent_are_inferred_from_all_tasks() {
    let tools = fixture().agent_tools;
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["get_user", "renew_loan"]);
    assert_eq!(tools[1]["parameters"]["properties"]["weeks"], json!({"type": "integer"}));
}

/// A file with one task that makes these calls.
fn task(actions: &[Value]) -> Value {
    json!([{"id": "0", "user_scenario": {"instructions": "Renew."},
        "evaluation_criteria": {"actions": actions, "reward_basis": ["ACTION"]}}])
}

#[test]
fn task_with_too_many_calls_is_a_problem() {
    let action = json!({"name": "renew", "arguments": {}});
    let Value::Array(entries) = task(&vec![action.clone(); 1001]) else { panic!("a list") };
    let error = importers::convert("tasks", entries, true).expect_err("too many calls");
    assert_eq!(error.problems[0].path, "[0].evaluation_criteria.actions");
    assert_eq!(error.problems[0].message, "must have at most 1000 entries");
    assert_eq!(converted("tasks", task(&vec![action; 1000])).documents.len(), 1);
}

/// Converting takes seconds at most; work that grows with the square takes minutes.
#[test]
fn calls_with_many_arguments_are_converted_in_linear_time() {
    let arguments: Map<String, Value> =
        (0..40_000).map(|i| (format!("argument_{i}"), i.into())).collect();
    let names: Vec<_> = arguments.keys().cloned().collect();
    let large = json!({"name": "renew", "arguments": arguments, "compare_args": names});
    let mut actions = vec![json!({"name": "renew", "arguments": {"loan": 1}}); 998];
    actions.insert(0, large.clone());
    actions.insert(1, large);
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(converted("tasks", task(&actions))));
    let conversion = receive.recv_timeout(Duration::from_secs(30)).expect("is converted in time");
    let tool = &conversion.agent_tools[0]["parameters"];
    assert_eq!(tool["properties"].as_object().map(Map::len), Some(40_001));
    assert_eq!(tool["required"], json!([]));
}

#[test]
fn all_airline_tasks_become_valid_scenarios() {
    let Some(folder) = shared_data() else { return };
    let tasks = read(&folder.join("tau2-airline/tasks.json"));
    let conversion = converted("tasks", tasks.clone());
    let scenarios = parsed(&conversion);
    assert_eq!(scenarios.len(), 50);
    assert_eq!(conversion.agent_tools.len(), 10);
    let list = |task: &Value, field: &str| {
        task["evaluation_criteria"][field].as_array().map_or(0, Vec::len)
    };
    for (scenario, task) in scenarios.iter().zip(tasks.as_array().expect("a list")) {
        let instructions = &task["user_scenario"]["instructions"];
        for part in ["reason_for_call", "task_instructions"] {
            let text = instructions[part].as_str().expect("a text").trim();
            assert!(scenario.goal.contains(text), "{}: {part}", scenario.name);
        }
        assert_eq!(scenario.expected_behaviors.len(), list(task, "nl_assertions"));
        let said = list(task, "communicate_info");
        assert_eq!(scenario.success_criteria.must_include.len(), said);
        assert!(scenario.success_criteria.must_call_tools.is_empty(), "{}", scenario.name);
    }
}
