//! Conversion between form fields and drafts: names, IDs and labels of a path.

use crate::domain::Draft;
use serde_json::Value;

/// The name of a field in a form: `persona.name` → `persona[name]`,
/// `conversation_flow[0].message` → `conversation_flow[0][message]`.
#[must_use]
pub fn field_name(path: &str) -> String {
    let mut name = String::with_capacity(path.len() + 2);
    for (i, step) in steps(path).enumerate() {
        if i == 0 {
            name.push_str(step);
        } else {
            name.push('[');
            name.push_str(step);
            name.push(']');
        }
    }
    name
}

/// The ID of a field: `conversation_flow[0].message` → `conversation_flow-0-message`.
#[must_use]
pub fn field_id(path: &str) -> String {
    steps(path).collect::<Vec<_>>().join("-")
}

/// A path in the labels of the page: `conversation_flow[3].message` → `Turn 4, message`.
#[must_use]
pub fn display_path(path: &str) -> String {
    let mut out = String::new();
    for step in steps(path) {
        if let Ok(index) = step.parse::<u32>() {
            out.push_str(&format!(" {}", index + 1));
            continue;
        }
        let word = match step {
            "text" if path.starts_with("success_criteria.") => "text".to_owned(),
            step => label(step),
        };
        if !out.is_empty() && !word.is_empty() {
            out.push_str(", ");
        }
        out.push_str(&word);
    }
    capitalize(&out)
}

/// The label of a field, by default its name. Empty for a group without a heading.
fn label(step: &str) -> String {
    match step {
        "conversation_flow" => "turn",
        "must_include" => "required text",
        "must_not_include" => "forbidden text",
        "match" => "matches",
        "expected_behaviors" => "behavior",
        "tool_mocks" => "mock",
        "tools" => "tool",
        "success_criteria" | "auth" => "",
        "scheme" => "authentication",
        "token_url" => "token URL",
        "client_id" => "client ID",
        "api_version" => "API version",
        "query" => "query parameters",
        "headers" => "extra headers",
        "text" => "what the agent should do",
        "delay_ms" => "delay",
        "min_score" => "minimum score",
        "max_response_seconds" => "max response time",
        "max_turns" => "max user turns",
        "timeout_seconds" => "timeout",
        "max_tokens" => "max tokens per reply",
        "agent_id" => "agent",
        "scenario_ids" => "scenario",
        "connection_id" => "connection",
        "http" => "",
        "at" => "session id",
        "base_url" => "base URL",
        "api_key" => "API key",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

/// Capitalizes the first letter.
#[must_use]
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

pub(super) fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// The entries of a list field for a text area, one per line.
#[must_use]
pub fn lines(draft: &Draft, path: &str) -> String {
    match draft.at(path) {
        Some(Value::Array(entries)) => {
            let texts: Vec<_> = entries.iter().map(scalar_text).collect();
            texts.join("\n")
        }
        _ => draft.text(path),
    }
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A stored spec as a draft of its form. Values that the form shows as JSON
/// become text, so that saving the form unchanged changes nothing.
#[must_use]
pub fn editable_draft(spec: Value) -> Draft {
    let mut spec = spec;
    for request in ["/http/request", "/http/session/start", "/http/session/end"] {
        if let Some(request) = spec.pointer_mut(request).and_then(Value::as_object_mut) {
            show_request_as_text(request);
        }
    }
    for (list, fields) in [("tools", ["parameters", ""]), ("tool_mocks", ["when", "result"])] {
        let entries = spec.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            for field in fields {
                if let Some(value) = entry.get_mut(field)
                    && !value.is_null()
                {
                    *value = Value::String(json_text(value));
                }
            }
        }
    }
    Draft(spec)
}

/// Shows the body of a request as JSON text and its headers as lines.
fn show_request_as_text(request: &mut serde_json::Map<String, Value>) {
    if let Some(body) = request.get_mut("body").filter(|body| !body.is_null()) {
        *body = Value::String(json_text(body));
    }
    if let Some(headers) = request.get_mut("headers") {
        let pairs = headers.as_object().into_iter().flatten();
        let lines: Vec<_> =
            pairs.map(|(name, value)| format!("{name}: {}", scalar_text(value))).collect();
        *headers = Value::String(lines.join("\n"));
    }
}

/// JSON as a form shows it.
fn json_text(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The labels of all fields in which two documents differ.
#[cfg(feature = "ssr")]
#[must_use]
pub fn differences(one: &Value, other: &Value) -> String {
    let mut paths = Vec::new();
    differ(one, other, String::new(), &mut paths);
    let mut named: Vec<String> = paths.iter().map(|path| display_path(path)).collect();
    named.dedup();
    named.join("; ")
}

#[cfg(feature = "ssr")]
fn differ(one: &Value, other: &Value, path: String, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(these), Value::Object(those)) => {
            let more = those.keys().filter(|name| !these.contains_key(*name));
            for name in these.keys().chain(more) {
                let dot = if path.is_empty() { "" } else { "." };
                let (one, other) = (these.get(name), those.get(name));
                let (one, other) = (one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null));
                differ(one, other, format!("{path}{dot}{name}"), found);
            }
        }
        // Rows are listed one by one. A plain list is one field.
        (Value::Array(these), Value::Array(those))
            if these.iter().chain(those).any(Value::is_object) =>
        {
            for i in 0..these.len().max(those.len()) {
                match (these.get(i), those.get(i)) {
                    (Some(one), Some(other)) => differ(one, other, format!("{path}[{i}]"), found),
                    _ => found.push(format!("{path}[{i}]")),
                }
            }
        }
        (one, other) if one != other => found.push(path),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "ssr")]
    use super::differences;
    use super::{display_path, editable_draft, field_id, field_name, lines};
    use crate::domain::{Draft, ScenarioSpec, TextMatch, TextToFind, form};
    use serde_json::json;

    fn draft(pairs: &[(&str, &str)]) -> Draft {
        let pairs =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        form::parse(pairs).expect("a draft")
    }

    #[test]
    fn paths_map_to_names_ids_and_labels() {
        assert_eq!(field_name("name"), "name");
        assert_eq!(field_name("persona.name"), "persona[name]");
        assert_eq!(field_name("conversation_flow[3].message"), "conversation_flow[3][message]");
        assert_eq!(field_id("conversation_flow[3].message"), "conversation_flow-3-message");
        assert_eq!(display_path("conversation_flow[3].message"), "Turn 4, message");
        assert_eq!(display_path("success_criteria.min_score"), "Minimum score");
        let text = "success_criteria.must_not_include[1].text";
        assert_eq!(display_path(text), "Forbidden text 2, text");
        assert_eq!(field_id(text), "success_criteria-must_not_include-1-text");
        assert_eq!(display_path("base_url"), "Base URL");
        assert_eq!(display_path("system_prompt"), "System prompt");
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn differences_use_the_labels_of_the_page() {
        let one = json!({"name": "A", "tags": ["x"], "persona": {"mood": "calm"},
            "conversation_flow": [{"message": "Hi"}, {"message": "Bye"}], "max_turns": 20});
        let other = json!({"name": "B", "tags": ["x", "y"], "persona": {"mood": "calm"},
            "conversation_flow": [{"message": "Hello"}], "max_turns": 20});
        assert_eq!(differences(&one, &other), "Name; Tags; Turn 1, message; Turn 2");
        assert_eq!(differences(&other, &one), "Name; Tags; Turn 1, message; Turn 2");
        assert_eq!(differences(&one, &one), "");
    }

    #[test]
    fn posted_form_parses_as_a_scenario_and_round_trips() {
        let form = draft(&[
            ("name", "Refund"),
            ("category", "support"),
            ("tags", "a, b"),
            ("conversation_flow[0][speaker]", "user"),
            ("conversation_flow[0][message]", "Hello"),
            ("expected_behaviors[0][text]", "Greets"),
            ("expected_behaviors[0][required]", "false"),
            ("tool_mocks[0][tool]", "look_up"),
            ("tool_mocks[0][when]", "{\"id\": 1}"),
            ("tool_mocks[0][result]", "\"plain\""),
            ("tool_mocks[1][tool]", "count"),
            ("tool_mocks[1][result]", "5"),
            ("tool_mocks[2][tool]", "count"),
            ("tool_mocks[2][result]", "\"5\""),
            ("success_criteria[min_score]", "80"),
            ("success_criteria[must_include][0][text]", "C#"),
            ("success_criteria[must_include][0][match]", "word"),
            ("success_criteria[must_not_include][0][text]", "Lena"),
            ("success_criteria[must_not_include][0][match]", "word"),
        ]);
        let spec = ScenarioSpec::parse_form(&form).expect("valid");
        let results: Vec<_> = spec.tool_mocks.iter().flat_map(|mock| mock.result.clone()).collect();
        assert_eq!(results, [json!("plain"), json!(5), json!("5")]);
        assert_eq!(spec.success_criteria.min_score, 80);
        assert!(!spec.expected_behaviors[0].required);
        assert_eq!(spec.success_criteria.must_include, [TextToFind::Text("C#".to_owned())]);
        let lena = TextToFind::WithMatch { text: "Lena".to_owned(), matching: TextMatch::Word };
        assert_eq!(spec.success_criteria.must_not_include, [lena]);
        // Saving it again changes nothing.
        let shown = editable_draft(serde_json::to_value(&spec).expect("JSON"));
        assert_eq!(lines(&shown, "tags"), "a\nb");
        assert_eq!(ScenarioSpec::parse_form(&shown).expect("valid"), spec);
    }
}
