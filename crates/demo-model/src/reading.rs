//! Which role a request asks for, and the least that fits a form. Roles are
//! known by the form that the answer must have, not by its name; what a
//! question holds is read back by the code that wrote it.

use llm_types::{ChatRequest, Message};
use conversation::{SimulatedRole, read_simulated_prompt};
use judge::{JudgeQuestion, read_prompt};
use serde_json::{Map, Value, json};

/// What a request asks for.
pub(super) enum Asked {
    /// The agent's next turn.
    Agent,
    /// A judgement.
    Judge { question: JudgeQuestion, schema: Value },
    /// The next turn of a simulated user.
    User { role: SimulatedRole, schema: Value },
    /// Anything else in a form: the made-up result of a tool.
    Form { schema: Value },
}

/// Reads a request.
pub(super) fn read(request: &ChatRequest) -> Asked {
    let Some(output) = &request.output else { return Asked::Agent };
    let schema = output.schema.clone();
    let asks_for = |name: &str| schema["properties"].get(name).is_some();
    if asks_for("items") {
        // A repair repeats the question and adds messages behind it.
        let first = request.messages.iter().find_map(|message| match message {
            Message::User(text) => Some(text.as_str()),
            _ => None,
        });
        return Asked::Judge {
            question: read_prompt(first.unwrap_or_default()).unwrap_or_default(),
            schema,
        };
    }
    if asks_for("message") && asks_for("done") {
        return Asked::User {
            role: read_simulated_prompt(&request.system).unwrap_or_default(),
            schema,
        };
    }
    Asked::Form { schema }
}

/// An answer with exactly the fields of a schema: what the schema does not
/// know is left out, what it wants besides is the least that fits.
pub(super) fn fit(answer: Value, schema: &Value) -> Value {
    match (answer, schema["properties"].as_object()) {
        (Value::Object(mut given), Some(fields)) => {
            let fitted = fields.iter().map(|(name, schema)| {
                let value =
                    given.remove(name).map_or_else(|| least(name, schema), |v| fit(v, schema));
                (name.clone(), value)
            });
            Value::Object(fitted.collect::<Map<_, _>>())
        }
        (Value::Array(items), _) => {
            items.into_iter().map(|item| fit(item, &schema["items"])).collect()
        }
        (answer, _) => answer,
    }
}

/// The least that fits a schema, plausible by its name.
pub(super) fn least(name: &str, schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => fit(json!({}), schema),
        Some("array") => json!([]),
        Some("integer") => json!(1),
        Some("number") => json!(1.0),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!(super::tools::plausible(name)),
    }
}
