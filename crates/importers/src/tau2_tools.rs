//! The tools that reference calls name. Their schemas are inferred from the arguments of all
//! calls.

use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Beginnings of the names of tools that change nothing.
const READS: [&str; 8] =
    ["get_", "search_", "list_", "find_", "check_", "lookup_", "calculate", "think"];
/// Lists and objects in arguments are described down to this depth.
const MAX_DEPTH: usize = 8;

/// Whether a call of the tool changes nothing, judged by its name.
pub(crate) fn is_read(name: &str) -> bool {
    READS.iter().any(|start| name.starts_with(start))
}

/// A call that the reference solution of a task makes.
pub(crate) struct ReferenceCall {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
    /// The arguments that are compared; `None` stands for all.
    pub(crate) compared: Option<Vec<String>>,
}

/// The tools of all tasks of a domain.
#[derive(Default)]
pub(crate) struct Tools {
    /// The calls of each tool, and the schema of the arguments that were seen.
    seen: Map<String, Value>,
}

impl Tools {
    pub(crate) fn add(&mut self, call: &ReferenceCall) {
        let arguments = schema(&Value::Object(call.arguments.clone()), 0);
        match self.seen.get_mut(&call.name) {
            Some(known) => merge(known, arguments),
            None => {
                self.seen.insert(call.name.clone(), arguments);
            }
        }
    }

    /// The tools as an agent lists them, sorted by name.
    pub(crate) fn documents(self) -> Vec<Value> {
        let mut names: Vec<_> = self.seen.into_iter().collect();
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        let document = |(name, parameters): (String, Value)| {
            let description = name.replace('_', " ");
            json!({"name": name, "description": description, "parameters": parameters})
        };
        names.into_iter().map(document).collect()
    }
}

/// The schema of one value.
fn schema(value: &Value, depth: usize) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(_) if depth >= MAX_DEPTH => json!({"type": "array"}),
        Value::Object(_) if depth >= MAX_DEPTH => json!({"type": "object"}),
        Value::Array(entries) => {
            let items = entries.iter().map(|entry| schema(entry, depth + 1));
            let merged = items.reduce(|mut a, b| {
                merge(&mut a, b);
                a
            });
            match merged {
                Some(items) => json!({"type": "array", "items": items}),
                None => json!({"type": "array"}),
            }
        }
        Value::Object(fields) => {
            let properties: Map<String, Value> = fields
                .iter()
                .map(|(name, value)| (name.clone(), schema(value, depth + 1)))
                .collect();
            let required: Vec<_> = fields.keys().cloned().collect();
            json!({"type": "object", "properties": properties, "required": required})
        }
    }
}

/// Extends the schema `a` to the values of `b`. It changes `a` in place, because a tool may
/// have many calls and `a` may be large.
fn merge(a: &mut Value, b: Value) {
    let kind = |schema: &Value| schema.get("type").and_then(Value::as_str).map(str::to_owned);
    match (kind(a).as_deref(), kind(&b).as_deref()) {
        (Some("object"), Some("object")) => merge_objects(a, b),
        (Some("array"), Some("array")) => merge_field(a, b, "items"),
        (Some("integer"), Some("number")) | (Some("number"), Some("integer")) => {
            *a = json!({"type": "number"});
        }
        (a_kind, b_kind) if a_kind == b_kind => {}
        _ => *a = json!({}),
    }
}

/// Merges the schemas in one field of two objects, of which either may be absent.
fn merge_field(a: &mut Value, mut b: Value, field: &str) {
    let Some(of_b) = b.get_mut(field).map(Value::take) else { return };
    match a.get_mut(field) {
        Some(of_a) => merge(of_a, of_b),
        None => a[field] = of_b,
    }
}

/// Properties of either object; required are those of both.
fn merge_objects(a: &mut Value, mut b: Value) {
    let mut take = |field: &str| b.get_mut(field).map(Value::take);
    let (required, properties) = (take("required"), take("properties"));
    let of_b: HashSet<&str> = required
        .iter()
        .flat_map(|names| names.as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    if let Some(Value::Array(names)) = a.get_mut("required") {
        names.retain(|name| name.as_str().is_some_and(|name| of_b.contains(name)));
    }
    let (Some(Value::Object(known)), Some(Value::Object(properties))) =
        (a.get_mut("properties"), properties)
    else {
        return;
    };
    for (name, schema) in properties {
        match known.get_mut(&name) {
            Some(known) => merge(known, schema),
            None => {
                known.insert(name, schema);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReferenceCall, Tools, is_read};
    use serde_json::{Value, json};

    fn call(name: &str, arguments: Value) -> ReferenceCall {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        ReferenceCall { name: name.to_owned(), arguments, compared: None }
    }

    #[test]
    fn schema_covers_the_arguments_of_all_calls() {
        let mut tools = Tools::default();
        tools.add(&call("book", json!({"to": "SFO", "bags": 1, "flights": [{"no": "A1"}]})));
        tools.add(&call(
            "book",
            json!({"to": 7, "bags": 1.5, "flights": [{"no": "B", "day": "x"}],
            "paid": true}),
        ));
        tools.add(&call("add", json!({})));
        let tools = tools.documents();
        assert_eq!(tools[0]["name"], "add");
        let schema = &tools[1]["parameters"];
        assert_eq!(schema["required"], json!(["to", "bags", "flights"]));
        let properties = &schema["properties"];
        assert_eq!(properties["to"], json!({}), "a text once, a number once");
        assert_eq!(properties["bags"], json!({"type": "number"}));
        assert_eq!(properties["paid"], json!({"type": "boolean"}));
        assert_eq!(properties["flights"]["items"]["required"], json!(["no"]));
    }

    #[test]
    fn reads_are_recognized_by_name() {
        for name in ["get_user_details", "search_direct_flight", "calculate", "list_all_airports"] {
            assert!(is_read(name), "{name}");
        }
        for name in ["book_reservation", "cancel_reservation", "transfer_to_human_agents"] {
            assert!(!is_read(name), "{name}");
        }
    }
}
