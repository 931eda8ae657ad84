//! Tasks of τ²-bench: a simulated user, and the criteria by which the agent is judged.
//!
//! The fields are those of sierra-research/tau2-bench (`data/tau2/domains/*/tasks.json`, read
//! in November 2026). The policy of a domain is a file of its own.

use crate::source::Source;
use crate::tau2_tools::{ReferenceCall, Tools, is_read};
use domain::Draft;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The maximum number of user turns. The simulator of τ²-bench may take 100 steps of user and
/// agent together.
const MAX_TURNS: u32 = 50;
const TIMEOUT_SECONDS: u32 = 1800;
/// The maximum number of reference calls. The tasks of the benchmark have a few dozen.
const MAX_ACTIONS: usize = 1000;

/// A simulated scenario. Adds the tools of its reference calls to `tools`.
pub(crate) fn scenario(source: Source<'_>, tools: &mut Tools) -> Option<Draft> {
    let id = source.text("id");
    let mut draft = Map::new();
    let mut set = |field: &str, value: Value| draft.insert(field.to_owned(), value);
    set("kind", "scenario".into());
    set("category", "support".into());
    set("mode", "simulated".into());
    set("max_turns", MAX_TURNS.into());
    set("timeout_seconds", TIMEOUT_SECONDS.into());
    set("description", description(&source).into());
    let user = source.object("user_scenario");
    let domain = user.as_ref().map(|user| add_user(&mut draft, user)).unwrap_or_default();
    let name = [domain.as_str(), "task", id.as_str()];
    let name = name.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    draft.insert("name".to_owned(), name.into());
    let mut tags = vec![json!("tau2-bench")];
    tags.extend((!domain.is_empty()).then(|| domain.clone().into()));
    draft.insert("tags".to_owned(), Value::Array(tags));
    match source.object("evaluation_criteria") {
        Some(criteria) => add_criteria(&mut draft, criteria, tools),
        None => source.problem("evaluation_criteria", "is missing: it contains what is expected"),
    }
    source.inferred("category", "A task has no category. It is “support”.");
    if let Some(user) = user {
        user.finish(&[]);
    } else {
        source.problem("user_scenario", "is missing: it contains what the user wants");
        return None;
    }
    let reason = "Rehearsal has no database that could be in a state when a run begins.";
    source.skip("initial_state", reason);
    source.finish(&[(&["annotations"], "Annotations about the task are no part of a scenario.")]);
    Some(Draft(Value::Object(draft)))
}

fn description(source: &Source<'_>) -> String {
    let Some(description) = source.object("description") else { return String::new() };
    let texts = [description.text("purpose"), description.text("notes")];
    description.finish(&[(
        &["relevant_policies"],
        "The whole policy is the prompt of the agent. A scenario does not select parts of it.",
    )]);
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Adds goal, facts and persona. Returns the name of the domain.
fn add_user(draft: &mut Map<String, Value>, user: &Source<'_>) -> String {
    if let Some(Value::String(persona)) = user.value("persona") {
        draft.insert("persona".to_owned(), json!({"background": persona}));
    } else {
        user.skip("persona", "Only a persona in words can be carried over.");
    }
    let goal = match user.value("instructions") {
        Some(Value::String(text)) => {
            draft.insert("goal".to_owned(), text.clone().into());
            return String::new();
        }
        Some(Value::Object(_)) => user.object("instructions"),
        _ => None,
    };
    let Some(instructions) = goal else {
        user.problem("instructions", "must be text or an object");
        return String::new();
    };
    let parts = [instructions.text("reason_for_call"), instructions.text("task_instructions")];
    let parts: Vec<_> = parts.iter().map(|part| part.trim()).filter(|p| !p.is_empty()).collect();
    draft.insert("goal".to_owned(), parts.join("\n\n").into());
    let facts = [instructions.text("known_info"), instructions.text("unknown_info")];
    let lines = facts.iter().flat_map(|text| text.lines()).map(str::trim);
    let facts: Vec<Value> = lines.filter(|line| !line.is_empty()).map(Value::from).collect();
    draft.insert("known_facts".to_owned(), Value::Array(facts));
    let domain = instructions.text("domain");
    instructions.finish(&[]);
    domain
}

fn add_criteria(draft: &mut Map<String, Value>, criteria: Source<'_>, tools: &mut Tools) {
    let basis = criteria.texts("reward_basis");
    let calls = reference_calls(&criteria);
    for call in &calls {
        tools.add(call);
    }
    let mut must_call: Vec<&str> = Vec::new();
    if basis.iter().any(|part| part == "ACTION") {
        let mut seen = HashSet::new();
        must_call.extend(calls.iter().map(|call| &*call.name).filter(|name| seen.insert(*name)));
    }
    let said = criteria.texts("communicate_info");
    draft.insert(
        "success_criteria".to_owned(),
        json!({"must_include": said, "must_call_tools": must_call}),
    );
    draft.insert("expected_behaviors".to_owned(), json!(criteria.texts("nl_assertions")));
    draft.insert("tool_mocks".to_owned(), Value::Array(mocks(&calls)));
    draft.insert("on_unmocked".to_owned(), "simulate".into());
    if !calls.is_empty() {
        let reason = "A task does not contain what its tools return. A mock confirms each call \
                      that changes something; a model simulates the results of all other calls.";
        criteria.inferred("actions", reason);
    }
    for (at, part) in basis.iter().enumerate() {
        let reason = match part.as_str() {
            "DB" => "The final state of the database is not compared: the file has no database.",
            "ENV_ASSERTION" => "Assertions about the environment are not checked.",
            "ACTION" | "COMMUNICATE" | "NL_ASSERTION" => continue,
            _ => "This part of the reward is not known.",
        };
        criteria.report().not_carried_over(&criteria.path(&format!("reward_basis[{at}]")), reason);
    }
    criteria.finish(&[(
        &["env_assertions"],
        "Assertions about the environment are not checked: there is no environment.",
    )]);
}

/// The reference calls of the agent.
fn reference_calls(criteria: &Source<'_>) -> Vec<ReferenceCall> {
    let mut calls = Vec::new();
    let actions = criteria.objects("actions");
    if actions.len() > MAX_ACTIONS {
        criteria.problem("actions", &format!("must have at most {MAX_ACTIONS} entries"));
        return calls;
    }
    for action in actions {
        let name = action.text("name");
        let arguments = action.map("arguments").cloned().unwrap_or_default();
        if action.text("requestor") == "user" {
            let reason = "The user has no tools in Rehearsal.";
            action.report().not_carried_over(&action.path(""), reason);
            continue;
        }
        let compared = action.value("compare_args").map(|_| action.texts("compare_args"));
        if name.is_empty() {
            action.problem("name", "must not be empty");
            continue;
        }
        calls.push(ReferenceCall { name, arguments, compared });
        action.finish(&[(
            &["action_id", "info"],
            "It names the reference call and does not change the scenario.",
        )]);
    }
    calls
}

/// A mock for each distinct call that changes something.
fn mocks(calls: &[ReferenceCall]) -> Vec<Value> {
    let mut mocks: Vec<Value> = Vec::new();
    let mut seen = HashSet::new();
    for call in calls.iter().filter(|call| !is_read(&call.name)) {
        let when: Map<String, Value> = match &call.compared {
            None => call.arguments.clone(),
            Some(names) => {
                let names: HashSet<_> = names.iter().collect();
                let compared = call.arguments.iter().filter(|(name, _)| names.contains(name));
                compared.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
        };
        let mut mock = json!({"tool": call.name, "result": {"status": "success"}});
        if !when.is_empty() {
            mock["when"] = Value::Object(when);
        }
        if seen.insert(mock.to_string()) {
            mocks.push(mock);
        }
    }
    mocks
}
