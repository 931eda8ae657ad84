//! Converts conversations recorded by tau-bench to scripted scenarios: the user
//! turns are repeated, the agent turns become reference answers for the judge.
//!
//! A record is `{task_id, trial, traj: [{role, content, …}], info: {task:
//! {user_id, instruction, outputs}}}`.

use serde_json::{Map, Value, json};

/// Markers with which the recording's simulated user ended a conversation.
const STOP: &str = "###STOP###";

/// Whether an entry is a tau-bench record.
pub(super) fn is_record(entry: &Value) -> bool {
    entry.get("traj").is_some_and(Value::is_array)
}

/// One scenario per record; repeated tasks get distinct names.
pub(super) fn scenarios(records: &[Value]) -> Vec<Value> {
    records
        .iter()
        .map(|record| {
            let task = number(record, "task_id");
            let twins = records.iter().filter(|other| number(other, "task_id") == task).count();
            let mut name = format!("tau-bench airline task {task}");
            if twins > 1 {
                name.push_str(&format!(" (trial {})", number(record, "trial")));
            }
            scenario(name, record)
        })
        .collect()
}

fn number(record: &Value, field: &str) -> String {
    record.get(field).map(ToString::to_string).unwrap_or_default()
}

fn scenario(name: String, record: &Value) -> Value {
    // An entry that is no record becomes a scenario without turns, which is
    // reported as a problem.
    let turns = record.get("traj").and_then(Value::as_array).map(Vec::as_slice);
    let flow: Vec<Value> = turns.unwrap_or_default().iter().filter_map(turn).collect();
    let users = flow.iter().filter(|turn| turn["speaker"] == "user").count();
    let task = record.pointer("/info/task").and_then(Value::as_object);
    let outputs = task.and_then(|task| task.get("outputs")).cloned().unwrap_or_else(|| json!([]));
    json!({
        "kind": "scenario",
        "name": name,
        "description": format!("A recorded conversation. The customer's task was: {}",
            text(task, "instruction")),
        "category": "support",
        "tags": ["tau-bench", "airline", "recorded"],
        "persona": {"name": text(task, "user_id")},
        "mode": "scripted",
        "conversation_flow": flow,
        "success_criteria": {"must_include": outputs},
        "max_turns": users.clamp(20, 200),
        "timeout_seconds": 900,
    })
}

fn text<'a>(task: Option<&'a Map<String, Value>>, field: &str) -> &'a str {
    task.and_then(|task| task.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// A turn of the script, or a reference answer. Tool calls, their results and the
/// policy are skipped.
fn turn(message: &Value) -> Option<Value> {
    let speaker = match message.get("role")?.as_str()? {
        "user" => "user",
        "assistant" => "agent",
        _ => return None,
    };
    let said = message.get("content")?.as_str()?.replace(STOP, "");
    let said = said.trim();
    (!said.is_empty()).then(|| json!({"speaker": speaker, "message": said}))
}

#[cfg(test)]
mod tests {
    use crate::document_import::{Format, read};
    use domain::{AgentSpec, Draft, ScenarioSpec, Speaker, limits};
    use serde_json::{Value, json};
    use std::path::PathBuf;

    fn imported(records: &Value) -> Vec<ScenarioSpec> {
        let drafts = read("", &records.to_string(), Format::Json).expect("records");
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
        let scenario = imported(&json!([record(7, 2, traj)])).remove(0);
        assert_eq!(scenario.name, "tau-bench airline task 7");
        let flow: Vec<_> =
            scenario.conversation_flow.iter().map(|t| (t.speaker, t.message.as_str())).collect();
        let expected = [
            (Speaker::User, "Hello"),
            (Speaker::Agent, "It costs $327."),
            (Speaker::User, "Thanks!"),
        ];
        assert_eq!(flow, expected);
        let texts: Vec<_> =
            scenario.success_criteria.must_include.iter().map(domain::TextItem::text).collect();
        assert_eq!(texts, ["327"]);
        assert!(scenario.description.contains("Change a seat."));
    }

    #[test]
    fn recordings_of_same_task_get_distinct_names() {
        let traj = json!([{"role": "user", "content": "Hello"}]);
        let both = imported(&json!([record(7, 0, traj.clone()), record(7, 1, traj)]));
        assert_ne!(both[0].name, both[1].name);
    }

    #[test]
    fn long_recordings_get_enough_turns() {
        let say = |i| json!({"role": "user", "content": format!("{i}")});
        let said: Vec<_> = (0..40).map(say).collect();
        let scenario = imported(&json!([record(1, 0, Value::Array(said))])).remove(0);
        assert_eq!(scenario.max_turns, 40);
    }

    /// Uses real recordings if they are available.
    fn recordings() -> Option<PathBuf> {
        let folder = std::env::var_os("REHEARSAL_TEST_DATA").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
            PathBuf::from,
        );
        folder.is_dir().then_some(folder)
    }

    #[test]
    fn all_real_recordings_become_valid_scenarios() {
        let Some(folder) = recordings() else { return };
        let file = folder.join("tau-bench-airline-transcripts/transcripts.json");
        let text = std::fs::read_to_string(file).expect("the recordings");
        let records: Vec<Value> = serde_json::from_str(&text).expect("a list");
        let drafts = read("", &text, Format::Json).expect("scenarios");
        assert_eq!(drafts.len(), 20);
        let mut names = std::collections::HashSet::new();
        for (draft, record) in drafts.iter().zip(&records) {
            let scenario = ScenarioSpec::parse(draft).expect("a valid scenario");
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

    #[test]
    fn real_policy_becomes_prompt() {
        let Some(folder) = recordings() else { return };
        let text = std::fs::read_to_string(folder.join("tau2-airline/policy.md")).expect("a file");
        let mut drafts = read("policy.md", &text, Format::Markdown).expect("an agent");
        let Draft(Value::Object(mut fields)) = drafts.remove(0) else {
            unreachable!("an agent is an object")
        };
        fields.insert("connection_id".into(), json!("0190a000-0000-7000-8000-000000000001"));
        fields.insert("model".into(), json!("m"));
        let agent = AgentSpec::parse(&Draft(Value::Object(fields))).expect("a valid agent");
        assert_eq!(agent.name, "Airline Agent Policy");
        assert_eq!(agent.system_prompt, text);
        assert!(text.len() < limits::SYSTEM_PROMPT);
    }
}
