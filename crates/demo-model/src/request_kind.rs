//! Recognizes the role of a request by its output schema, and generates values that match
//! a schema. The crates that build the prompts also parse them.

use conversation::{SimulatedRole, parse_simulated_user_prompt};
use judge::{ParsedPrompt, parse_prompt};
use llm_types::{ChatRequest, Message};
use serde_json::{Map, Value, json};

/// The role that a request asks for.
pub(super) enum RequestKind {
    /// The next agent turn.
    Agent,
    /// A judgment.
    Judge { prompt: ParsedPrompt, schema: Value },
    /// The next turn of the simulated user.
    User { role: SimulatedRole, schema: Value },
    /// Any other JSON reply: the simulated result of a tool.
    Json { schema: Value },
}

pub(super) fn classify(request: &ChatRequest) -> RequestKind {
    let Some(output) = &request.output else { return RequestKind::Agent };
    let schema = output.schema.clone();
    let has_field = |name: &str| schema["properties"].get(name).is_some();
    if has_field("items") {
        // The second request to a judge starts with the messages of the first request.
        let first = request.messages.iter().find_map(|message| match message {
            Message::User(text) => Some(text.as_str()),
            _ => None,
        });
        return RequestKind::Judge {
            prompt: parse_prompt(first.unwrap_or_default()).unwrap_or_default(),
            schema,
        };
    }
    if has_field("message") && has_field("done") {
        return RequestKind::User {
            role: parse_simulated_user_prompt(&request.system).unwrap_or_default(),
            schema,
        };
    }
    RequestKind::Json { schema }
}

/// Removes fields that the schema does not contain and adds missing ones with placeholder
/// values.
pub(super) fn fit_to_schema(answer: Value, schema: &Value) -> Value {
    match (answer, schema["properties"].as_object()) {
        (Value::Object(mut values), Some(fields)) => {
            let fitted = fields.iter().map(|(name, schema)| {
                let value = values
                    .remove(name)
                    .map_or_else(|| placeholder(name, schema), |v| fit_to_schema(v, schema));
                (name.clone(), value)
            });
            Value::Object(fitted.collect::<Map<_, _>>())
        }
        (Value::Array(items), _) => {
            items.into_iter().map(|item| fit_to_schema(item, &schema["items"])).collect()
        }
        (answer, _) => answer,
    }
}

/// A minimal value that matches the schema and is plausible for the field name.
pub(super) fn placeholder(name: &str, schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => fit_to_schema(json!({}), schema),
        Some("array") => json!([]),
        Some("integer") => json!(1),
        Some("number") => json!(1.0),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!(super::tools::plausible(name)),
    }
}
