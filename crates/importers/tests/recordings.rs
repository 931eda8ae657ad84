//! Recorded conversations become scripts.

#![allow(clippy::expect_used)] // tests

mod support;

use domain::{ScenarioSpec, Speaker};
use serde_json::{Value, json};
use support::{converted, shared_data};

fn imported(records: Value) -> Vec<ScenarioSpec> {
    let drafts = converted("", records).documents;
    drafts.iter().map(|draft| ScenarioSpec::parse(draft).expect("a valid scenario")).collect()
}

fn record(task: u32, trial: u32, traj: Value) -> Value {
    json!({"task_id": task, "trial": trial, "reward": 1.0, "traj": traj,
        "info": {"task": {"user_id": "mia", "instruction": "Change a seat.",
            "outputs": ["327"]}}})
}

#[test]
fn recorded_user_turns_become_script_without_markers() {
    let traj = json!([
        {"role": "system", "content": "The policy"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": "It costs $327."},
        {"role": "user", "content": "Thanks! \n\n###STOP###"},
        {"role": "user", "content": " ###STOP### "},
    ]);
    let scenario = imported(json!([record(7, 2, traj)])).remove(0);
    assert_eq!(scenario.name, "tau-bench airline task 7");
    let flow: Vec<_> =
        scenario.conversation_flow.iter().map(|t| (t.speaker, t.message.as_str())).collect();
    let expected =
        [(Speaker::User, "Hello"), (Speaker::Agent, "It costs $327."), (Speaker::User, "Thanks!")];
    assert_eq!(flow, expected);
    let texts: Vec<_> =
        scenario.success_criteria.must_include.iter().map(domain::TextToFind::text).collect();
    assert_eq!(texts, ["327"]);
    assert!(scenario.description.contains("Change a seat."));
}

#[test]
fn skipped_parts_of_a_recording_are_listed() {
    let traj = json!([
        {"role": "system", "content": "The policy"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
    ]);
    let notes = converted("", json!([record(7, 2, traj)])).notes;
    let paths: Vec<_> = notes.iter().map(|note| note.path.as_str()).collect();
    for path in ["[0].traj[0]", "[0].traj[2].tool_calls", "[0].reward"] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}

#[test]
fn recordings_of_same_task_get_distinct_names() {
    let traj = json!([{"role": "user", "content": "Hello"}]);
    let both = imported(json!([record(7, 0, traj.clone()), record(7, 1, traj)]));
    assert_ne!(both[0].name, both[1].name);
}

#[test]
fn long_recordings_get_enough_turns() {
    let say = |i| json!({"role": "user", "content": format!("{i}")});
    let said: Vec<_> = (0..40).map(say).collect();
    let scenario = imported(json!([record(1, 0, Value::Array(said))])).remove(0);
    assert_eq!(scenario.max_turns, 40);
}

#[test]
fn all_real_recordings_become_valid_scenarios() {
    let Some(folder) = shared_data() else { return };
    let file = folder.join("tau-bench-airline-transcripts/transcripts.json");
    let text = std::fs::read_to_string(file).expect("the recordings");
    let records: Vec<Value> = serde_json::from_str(&text).expect("a list");
    let scenarios = imported(Value::Array(records.clone()));
    assert_eq!(scenarios.len(), 20);
    let mut names = std::collections::HashSet::new();
    for (scenario, record) in scenarios.iter().zip(&records) {
        assert!(names.insert(scenario.name.clone()), "{} twice", scenario.name);
        // Counted in the recording, without the code under test.
        let spoken = record["traj"].as_array().expect("turns").iter().filter(|turn| {
            turn["role"] == "user"
                && turn["content"].as_str().is_some_and(|c| c.trim() != "###STOP###")
        });
        assert_eq!(scenario.script().count(), spoken.count(), "{}", scenario.name);
        assert!(!scenario.conversation_flow.iter().any(|t| t.message.contains("STOP###")));
    }
}
