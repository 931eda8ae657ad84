//! Conversations recorded by tau-bench become scripted scenarios: the user turns are
//! repeated, the agent turns become reference answers for the judge.
//!
//! A record is `{task_id, trial, traj: [{role, content, …}], info: {task:
//! {user_id, instruction, outputs}}}`.

use crate::source::Source;
use domain::Draft;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Markers with which the recording's simulated user ended a conversation.
const STOP: &str = "###STOP###";

/// The name of the scenario of each entry; repeated tasks get distinct names.
pub(crate) fn names(entries: &[Value]) -> Vec<String> {
    let number =
        |entry: &Value, field: &str| entry.get(field).map(ToString::to_string).unwrap_or_default();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        *counts.entry(number(entry, "task_id")).or_default() += 1;
    }
    let name = |entry: &Value| {
        let task = number(entry, "task_id");
        let is_repeated = counts.get(&task).is_some_and(|count| *count > 1);
        let trial = number(entry, "trial");
        let trial = if is_repeated { format!(" (trial {trial})") } else { String::new() };
        format!("tau-bench airline task {task}{trial}")
    };
    entries.iter().map(name).collect()
}

/// A scripted scenario of a record.
pub(crate) fn scenario(source: Source<'_>, name: &str) -> Draft {
    let flow: Vec<Value> = source.objects("traj").into_iter().filter_map(turn).collect();
    let users = flow.iter().filter(|turn| turn["speaker"] == "user").count();
    let (mut user_id, mut instruction, mut outputs) = Default::default();
    if let Some(info) = source.object("info") {
        if let Some(task) = info.object("task") {
            (user_id, instruction) = (task.text("user_id"), task.text("instruction"));
            outputs = task.texts("outputs");
            let reason = "They are one way to do the task, and the recording shows another.";
            task.skip("actions", reason);
            task.finish(&[]);
        }
        info.finish(&[]);
    }
    source.value("task_id");
    source.inferred("category", "A recording has no category. It is “support”.");
    source.finish(&[
        (&["reward"], "The judge of Rehearsal decides whether the agent did its job."),
        (&["trial"], "The number of a repetition tells scenarios of one task apart."),
    ]);
    let outputs: Vec<String> = outputs;
    Draft(json!({
        "kind": "scenario",
        "name": name,
        "description": format!("A recorded conversation. The customer's task was: {instruction}"),
        "category": "support",
        "tags": ["tau-bench", "airline", "recorded"],
        "persona": {"name": user_id},
        "mode": "scripted",
        "conversation_flow": flow,
        "success_criteria": {"must_include": outputs},
        "max_turns": users.clamp(20, 200),
        "timeout_seconds": 900,
    }))
}

/// A turn of the script, or a reference answer.
fn turn(message: Source<'_>) -> Option<Value> {
    let speaker = match message.text("role").as_str() {
        "user" => "user",
        "assistant" => "agent",
        _ => {
            let reason = "Prompts and results of tools in a recording are not repeated.";
            message.report().not_carried_over(&message.path(""), reason);
            return None;
        }
    };
    message.skip("tool_calls", "The agent under test decides itself which tools it calls.");
    let said = message.text("content").replace(STOP, "");
    let said = said.trim();
    message.finish(&[]);
    (!said.is_empty()).then(|| json!({"speaker": speaker, "message": said}))
}
