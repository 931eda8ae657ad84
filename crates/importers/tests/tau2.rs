//! Tasks of τ²-bench become scenarios, and the tools that they name.

#![allow(clippy::expect_used, clippy::panic)] // tests

mod support;

use domain::{Mode, OnUnmocked, ScenarioSpec};
use serde_json::{Value, json};
use std::path::Path;
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
