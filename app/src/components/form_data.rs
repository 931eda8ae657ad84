//! Fields of a form and drafts: names, ids and values of one path.

use crate::domain::Draft;
use serde_json::{Map, Value};

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

/// The id of a field: `conversation_flow[0].message` → `conversation_flow-0-message`.
#[must_use]
pub fn field_id(path: &str) -> String {
    steps(path).collect::<Vec<_>>().join("-")
}

/// A path in the page's own words: `conversation_flow[3].message` → `Turn 4, message`.
#[must_use]
pub fn spoken(path: &str) -> String {
    let mut out = String::new();
    for step in steps(path) {
        if let Ok(index) = step.parse::<u32>() {
            out.push_str(&format!(" {}", index + 1));
            continue;
        }
        let word = label(step);
        if !out.is_empty() && !word.is_empty() {
            out.push_str(", ");
        }
        out.push_str(&word);
    }
    capital(&out)
}

/// What a page calls a field, where that is not its name; empty for a group
/// that has no heading of its own.
fn label(step: &str) -> String {
    match step {
        "conversation_flow" => "turn",
        "expected_behaviors" => "behaviour",
        "tool_mocks" => "answer",
        "tools" => "tool",
        "persona" => "who calls",
        "success_criteria" => "",
        "text" => "what the agent does",
        "evidence" => "shown by",
        "delay_ms" => "delay",
        "min_score" => "least score",
        "max_response_seconds" => "slowest answer",
        "must_include" => "must say",
        "must_not_include" => "must not say",
        "must_call_tools" => "must call",
        "max_turns" => "most user turns",
        "timeout_seconds" => "active time",
        "max_tokens" => "most tokens of one answer",
        "agent_id" => "agent",
        "scenario_ids" => "scenario",
        "connection_id" => "connection",
        "base_url" => "base URL",
        "api_key" => "key",
        "concurrency" => "at once",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

/// With a capital first letter.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// What a form posts as a draft: bracket names become a tree, lists where all
/// names of a level are numbers. Of one name the last value counts (a ticked
/// box after its hidden `false`), unless it ends in `[]`. Names that begin
/// with `_` are the form's own.
#[must_use]
pub fn to_draft(entries: &[(String, String)]) -> Draft {
    let mut root = Map::new();
    for (name, value) in entries.iter().filter(|(name, _)| !name.starts_with('_')) {
        let (name, many) = match name.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let steps: Vec<&str> = steps(name).take(8).collect();
        insert(&mut root, &steps, value, many);
    }
    Draft(lists(Value::Object(root)))
}

fn insert(map: &mut Map<String, Value>, steps: &[&str], value: &str, many: bool) {
    let Some((first, rest)) = steps.split_first() else { return };
    if rest.is_empty() {
        let text = Value::String(value.to_owned());
        match map.get_mut(*first) {
            Some(Value::Array(list)) if many => list.push(text),
            _ if many => drop(map.insert((*first).to_owned(), Value::Array(vec![text]))),
            _ => drop(map.insert((*first).to_owned(), text)),
        }
        return;
    }
    let entry = map.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    if let Value::Object(inner) = entry {
        insert(inner, rest, value, many);
    }
}

/// Objects whose keys are all numbers become lists in their order.
fn lists(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let entries = map.into_iter().map(|(key, value)| (key, lists(value)));
    let (keys, values): (Vec<String>, Vec<Value>) = entries.unzip();
    let numbers: Option<Vec<u32>> = keys.iter().map(|key| key.parse().ok()).collect();
    match numbers {
        Some(numbers) if !numbers.is_empty() => {
            let mut numbered: Vec<_> = numbers.into_iter().zip(values).collect();
            numbered.sort_by_key(|(number, _)| *number);
            Value::Array(numbered.into_iter().map(|(_, value)| value).collect())
        }
        _ => Value::Object(keys.into_iter().zip(values).collect()),
    }
}

/// The entries of a list field, one a line, as a text area shows them.
#[must_use]
pub fn lines(draft: &Draft, path: &str) -> String {
    match draft.at(path) {
        Some(Value::Array(entries)) => {
            let texts: Vec<_> = entries.iter().map(leaf).collect();
            texts.join("\n")
        }
        _ => draft.text(path),
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A stored spec as a draft: values that a form shows as JSON text become
/// that text, so that saving it again changes nothing.
#[must_use]
pub fn stored(spec: Value) -> Draft {
    let mut spec = spec;
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

/// JSON as a form shows it; plain text stays plain where it reads back as text.
fn json_text(value: &Value) -> String {
    match value {
        Value::String(text) if serde_json::from_str::<Value>(text).is_err() => text.clone(),
        Value::String(_) => value.to_string(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

/// Where two documents differ, in the page's own words; for the server alone.
#[cfg(feature = "ssr")]
#[must_use]
pub fn differences(one: &Value, other: &Value) -> String {
    let mut paths = Vec::new();
    differ(one, other, String::new(), &mut paths);
    let mut named: Vec<String> = paths.iter().map(|path| spoken(path)).collect();
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
        // Rows are named one by one; plain lists stand in one field.
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
    use super::{field_id, field_name, lines, spoken, stored, to_draft};
    use crate::domain::{Draft, ScenarioSpec};
    use serde_json::json;

    fn draft(pairs: &[(&str, &str)]) -> Draft {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        to_draft(&pairs)
    }

    #[test]
    fn one_path_has_one_name_and_one_id() {
        assert_eq!(field_name("name"), "name");
        assert_eq!(field_name("persona.name"), "persona[name]");
        assert_eq!(field_name("conversation_flow[3].message"), "conversation_flow[3][message]");
        assert_eq!(field_id("conversation_flow[3].message"), "conversation_flow-3-message");
        assert_eq!(spoken("conversation_flow[3].message"), "Turn 4, message");
        assert_eq!(spoken("success_criteria.min_score"), "Least score");
        assert_eq!(spoken("base_url"), "Base URL");
        assert_eq!(spoken("system_prompt"), "System prompt");
    }

    #[test]
    fn brackets_become_a_tree_with_lists_in_order() {
        let got = draft(&[
            ("name", "A"),
            ("persona[name]", "Ada"),
            ("conversation_flow[10][message]", "last"),
            ("conversation_flow[2][message]", "first"),
            ("conversation_flow[2][speaker]", "user"),
            ("_action", "add:conversation_flow"),
        ]);
        let want = json!({
            "name": "A",
            "persona": {"name": "Ada"},
            "conversation_flow": [{"message": "first", "speaker": "user"}, {"message": "last"}],
        });
        assert_eq!(got.0, want);
    }

    #[test]
    fn the_last_value_counts_and_brackets_collect() {
        let got = draft(&[
            ("is_active", "false"),
            ("is_active", "true"),
            ("scenario_ids[]", "a"),
            ("scenario_ids[]", "b"),
        ]);
        assert_eq!(got.0, json!({"is_active": "true", "scenario_ids": ["a", "b"]}));
    }

    #[test]
    fn hostile_names_do_no_harm() {
        let got = draft(&[("", "x"), ("a[b", "1"), ("a", "2"), ("a[c]", "3"), ("[[]]", "4")]);
        assert_eq!(got.0, json!({"a": {"c": "3"}}));
        let deep = format!("a{}", "[x]".repeat(10_000));
        assert!(draft(&[(&deep, "1")]).0.is_object());
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn differences_are_named_as_the_page_names_them() {
        let one = json!({"name": "A", "tags": ["x"], "persona": {"mood": "calm"},
            "conversation_flow": [{"message": "Hi"}, {"message": "Bye"}], "max_turns": 20});
        let other = json!({"name": "B", "tags": ["x", "y"], "persona": {"mood": "calm"},
            "conversation_flow": [{"message": "Hello"}], "max_turns": 20});
        assert_eq!(differences(&one, &other), "Name; Tags; Turn 1, message; Turn 2");
        assert_eq!(differences(&other, &one), "Name; Tags; Turn 1, message; Turn 2");
        assert_eq!(differences(&one, &one), "");
    }

    #[test]
    fn what_a_form_posts_is_a_scenario() {
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
            ("tool_mocks[0][result]", "plain"),
            ("success_criteria[min_score]", "80"),
        ]);
        let spec = ScenarioSpec::parse(&form).expect("valid");
        assert_eq!(spec.success_criteria.min_score, 80);
        assert!(!spec.expected_behaviors[0].required);
        // Shown again and saved again it is the same.
        let shown = stored(serde_json::to_value(&spec).expect("JSON"));
        assert_eq!(lines(&shown, "tags"), "a\nb");
        assert_eq!(ScenarioSpec::parse(&shown).expect("valid"), spec);
    }
}
