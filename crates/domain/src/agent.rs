//! Agents: what is under test.

use super::draft::storable;
use super::ids::{AgentId, ConnectionId};
use super::problem::{Problem, Problems};
use super::timestamp::Timestamp;
use super::{Draft, Reader, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The built-in tool with which an agent hangs up. Never mocked, never listed.
pub const END_CONVERSATION: &str = "end_conversation";

/// An agent as it is stored and shown: its spec at one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// The revision shown, counted from 1; every save makes a new one.
    pub revision: u32,
    /// When this revision was saved.
    pub updated_at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub spec: AgentSpec,
}

/// What a person writes about an agent; valid by construction through
/// [`AgentSpec::parse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentSpec {
    /// 1–200 characters.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Free text, at most 50 characters, compared without case.
    pub category: String,
    /// The system prompt; never blank, at most 64 KiB.
    pub system_prompt: String,
    /// The connection over which its model is reached.
    pub connection_id: ConnectionId,
    /// The model's name at the provider.
    pub model: String,
    /// Sampling temperature 0–2; the provider's default when absent.
    pub temperature: Option<f64>,
    /// Most tokens of one answer.
    pub max_tokens: u32,
    /// The tools its model is told of. Rehearsal never executes one.
    pub tools: Vec<Tool>,
}

/// A tool as the agent's model is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Tool {
    /// Letters, digits, `_` and `-`, 1–64 characters; unique in its agent.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments (an object).
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub parameters: Value,
}

impl AgentSpec {
    /// The valid agent, or all problems of the draft.
    ///
    /// # Errors
    /// Every problem, with its path.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
        if !reader.is_object() {
            return Err(problems);
        }
        let name = reader.name("name", limits::NAME, true);
        let description = reader.text("description", limits::MESSAGE);
        let category = reader.name("category", limits::AGENT_CATEGORY, false);
        let system_prompt = reader.required_text("system_prompt", limits::SYSTEM_PROMPT);
        let connection = reader.text("connection_id", limits::NAME);
        let connection_id = connection.parse::<ConnectionId>().ok();
        // What cannot be text has its problem already.
        let no_text = matches!(
            draft.0.get("connection_id"),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_))
        );
        if connection_id.is_none() && !no_text {
            let message = if connection.trim().is_empty() {
                "must be chosen: without a connection the model cannot be reached"
            } else {
                "is not the id of a connection"
            };
            reader.problem("connection_id", message);
        }
        let model = reader.name("model", limits::NAME, true);
        let temperature = reader.optional_number("temperature", 0.0, 2.0);
        let max_tokens = reader.integer("max_tokens", 1024, 1, 200_000);
        let tools = parse_tools(&mut reader);
        reader.finish(&["id", "revision", "updated_at", "idempotency_key", "kind"]);
        match connection_id {
            Some(connection_id) if problems.is_empty() => Ok(Self {
                name,
                description,
                category,
                system_prompt,
                connection_id,
                model,
                temperature,
                max_tokens,
                tools,
            }),
            _ => Err(problems),
        }
    }

    /// Whether it has a tool of this name.
    #[must_use]
    pub fn has_tool(&self, name: &str) -> bool {
        name == END_CONVERSATION || self.tools.iter().any(|tool| tool.name == name)
    }
}

fn parse_tools(reader: &mut Reader<'_>) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for (path, value) in reader.list("tools", limits::ITEMS) {
        let mut entry = reader.entry(path, value);
        if !entry.is_object() {
            continue;
        }
        let name = entry.name("name", 64, true);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.is_empty() && !name.chars().all(allowed) {
            entry.problem("name", "may contain letters, digits, _ and - only");
        }
        if name == END_CONVERSATION {
            entry.problem("name", "is built in already");
        }
        if !name.is_empty() && tools.iter().any(|tool| tool.name == name) {
            entry.problem("name", format!("is used twice: {name}"));
        }
        let description = entry.text("description", limits::MESSAGE);
        let parameters = match parse_schema(entry.value("parameters")) {
            Ok(schema) => schema,
            Err(message) => {
                entry.problem("parameters", message);
                Value::Null
            }
        };
        entry.finish(&[]);
        tools.push(Tool { name, description, parameters });
    }
    tools
}

/// A schema given as an object, or as the JSON text of one (forms).
fn parse_schema(value: Option<&Value>) -> Result<Value, String> {
    let parsed = match value {
        None => return Ok(json!({"type": "object", "properties": {}})),
        Some(Value::String(text)) if text.trim().is_empty() => return parse_schema(None),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))?
        }
        Some(other) => other.clone(),
    };
    let Value::Object(map) = &parsed else {
        return Err("must be a JSON Schema, an object".to_owned());
    };
    storable(&parsed)?;
    match map.get("type") {
        Some(Value::String(kind)) if kind == "object" => {
            schema(&parsed, 0).map_err(|what| format!("is no JSON Schema: {what}"))?;
            Ok(parsed)
        }
        _ => Err("must have \"type\": \"object\": arguments are passed by name".to_owned()),
    }
}

/// Looks at what nearly every schema is made of; whether all of it is right is
/// for the server to say. A schema that is none would switch the check of a
/// call's arguments off without a word.
fn schema(value: &Value, depth: usize) -> Result<(), &'static str> {
    let Value::Object(map) = value else {
        return if value.is_boolean() || depth == 0 { Ok(()) } else { Err("a part is no schema") };
    };
    let known = |value: &Value| {
        let word = value.as_str().unwrap_or_default();
        ["object", "string", "number", "integer", "boolean", "array", "null"].contains(&word)
    };
    let all = |value: &Value, test: fn(&Value) -> bool| {
        value.as_array().is_some_and(|list| list.iter().all(test))
    };
    for (key, value) in map {
        match key.as_str() {
            "type" if !known(value) && !value.as_array().is_some_and(|l| l.iter().all(known)) => {
                return Err("an unknown type");
            }
            "required" if !all(value, Value::is_string) => {
                return Err("required must be a list of names");
            }
            "enum" if !value.is_array() => return Err("enum must be a list"),
            "properties" => {
                let Value::Object(parts) = value else {
                    return Err("properties must be an object");
                };
                parts.values().try_for_each(|part| schema(part, depth + 1))?;
            }
            "items" if !value.is_array() => schema(value, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

impl Agent {
    /// Problems of the draft's pair (agent, its stored form) are those of the
    /// spec; kept as a function so that claim and start say the same words.
    #[must_use]
    pub fn problems(&self) -> Problems {
        let value = serde_json::to_value(&self.spec).unwrap_or(Value::Null);
        match AgentSpec::parse(&Draft(value)) {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .into_iter()
                .map(|p| Problem::new(format!("agent.{}", p.path), p.message))
                .collect(),
        }
    }
}
