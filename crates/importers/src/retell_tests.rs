//! Test cases of Retell (and of voicetest, which uses the same form): a prompt for the
//! simulated user, and criteria or texts by which the agent is judged.

use crate::source::Source;
use domain::{Draft, limits};
use serde_json::{Value, json};

/// A simulated scenario.
pub(crate) fn scenario(source: Source<'_>) -> Draft {
    let includes = source.texts("includes");
    let texts: Vec<Value> =
        includes.iter().map(|text| json!({"text": text, "match": "part"})).collect();
    let name: String = source.text("name").chars().take(limits::NAME).collect();
    let draft = json!({
        "kind": "scenario",
        "name": name,
        "category": "support",
        "mode": "simulated",
        "goal": source.text("user_prompt"),
        "expected_behaviors": source.texts("metrics"),
        "success_criteria": {"must_include": texts, "must_not_include": source.texts("excludes")},
        "tool_mocks": mocks(&source),
        "on_unmocked": "simulate",
    });
    source.inferred("category", "The file has no category. It is “support”.");
    let reason = "A model simulates the results of tools that no mock answers.";
    source.inferred("tool_mocks", reason);
    let kind = source.text("type");
    if !["", "simulation", "unit"].contains(&kind.as_str()) {
        source.problem("type", "must be simulation or unit");
    }
    source.skip("patterns", "Texts are literal in Rehearsal. Regular expressions are not checked.");
    let reason = "The values are variables of the agent's prompt, which Rehearsal does not fill.";
    source.skip("dynamic_variables", reason);
    source.skip("llm_model", "Settings → Models selects the model that simulates the user.");
    source.finish(&[(
        &[
            "response_engine",
            "test_case_definition_id",
            "creation_timestamp",
            "user_modified_timestamp",
        ],
        "It identifies the test case at Retell.",
    )]);
    Draft(draft)
}

fn mocks(source: &Source<'_>) -> Vec<Value> {
    let mut mocks = Vec::new();
    for mock in source.objects("tool_mocks") {
        let output = mock.text("output");
        let mut answer = json!({"tool": mock.text("tool_name")});
        if let Some(rule) = mock.object("input_match_rule") {
            match (rule.text("type").as_str(), rule.value("args")) {
                ("partial_match", Some(arguments)) => answer["when"] = arguments.clone(),
                ("any" | "partial_match", _) => {}
                _ => rule.problem("type", "must be any or partial_match"),
            }
            rule.finish(&[]);
        }
        let field =
            if mock.value("result") == Some(&Value::Bool(false)) { "error" } else { "result" };
        answer[field] = serde_json::from_str(&output)
            .ok()
            .filter(|_| field == "result")
            .unwrap_or_else(|| output.into());
        mocks.push(answer);
        mock.finish(&[]);
    }
    mocks
}
