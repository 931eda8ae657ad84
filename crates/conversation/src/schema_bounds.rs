//! Bounds for the output of a model that wrote until it was cut off.

use llm_types::ChatRequest;
use serde_json::{Value, json};

/// The maximum length of a text, in characters.
const MAX_CHARS: u32 = 400;
/// The maximum number of entries of a list.
const MAX_ENTRIES: u32 = 3;

/// Bounds the lengths of the texts and lists in the output schema. A small model that is bound
/// to a schema can write one text without end, so that a greater token limit alone does not
/// help. Servers that reject bounds get the schema without them.
#[must_use]
pub fn with_schema_bounds(mut request: ChatRequest) -> ChatRequest {
    if let Some(output) = &mut request.output {
        add_bounds(&mut output.schema);
    }
    request
}

fn add_bounds(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    match fields.get("type").and_then(Value::as_str) {
        Some("string") if !fields.contains_key("enum") => {
            fields.insert("maxLength".to_owned(), json!(MAX_CHARS));
        }
        Some("array") => {
            fields.insert("maxItems".to_owned(), json!(MAX_ENTRIES));
            fields.get_mut("items").into_iter().for_each(add_bounds);
        }
        Some("object") => {
            let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
            properties.into_iter().flat_map(|all| all.values_mut()).for_each(add_bounds);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::with_schema_bounds;
    use llm_types::{ChatRequest, OutputSchema};
    use serde_json::{Value, json};

    #[test]
    fn texts_and_lists_are_bounded_in_any_depth() {
        let schema = |text: Value, list: Value| {
            let choice = json!({"type": "string", "enum": ["a", "b"]});
            let entry = json!({"type": "object", "properties": {"items": text, "choice": choice}});
            let mut items = list;
            items["items"] = entry;
            json!({"type": "object", "properties": {"items": items, "met": {"type": ["boolean", "null"]}}})
        };
        let plain = schema(json!({"type": "string"}), json!({"type": "array"}));
        let output = OutputSchema { name: "evaluation".into(), schema: plain };
        let bounded =
            with_schema_bounds(ChatRequest { output: Some(output), ..ChatRequest::default() });
        let expected = schema(
            json!({"type": "string", "maxLength": 400}),
            json!({"type": "array", "maxItems": 3}),
        );
        assert_eq!(bounded.output.map(|output| output.schema), Some(expected));
        assert_eq!(with_schema_bounds(ChatRequest::default()), ChatRequest::default());
    }
}
