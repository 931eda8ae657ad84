//! Agents under test.

use super::draft::check_storable;
use super::http_agent::{Begins, HttpAgent};
use super::ids::{AgentId, ConnectionId};
use super::model_options::{ReasoningEffort, read_effort, read_extra_body};
use super::problem::{Problem, Problems};
use super::timestamp::Timestamp;
use super::tool_name::read_tool_name;
use super::{Draft, DraftReader, is_blank, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The built-in tool that ends the conversation. Never mocked, never listed.
pub const END_CONVERSATION: &str = "end_conversation";

/// The output limit of an agent whose user chose none.
pub const DEFAULT_MAX_TOKENS: u32 = 1024;

/// One revision of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Agent {
    pub id: AgentId,
    /// Starts at 1; every save creates a new revision.
    pub revision: u32,
    pub updated_at: Timestamp,
    #[serde(flatten)]
    pub spec: AgentSpec,
}

/// The user-supplied part of an agent, validated by [`AgentSpec::parse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentSpec {
    /// 1–200 characters.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Free text, at most 50 characters, compared case-insensitively.
    pub category: String,
    /// At most 64 KiB. Blank only for an agent that is called over HTTP.
    pub system_prompt: String,
    /// What the agent says before the user says anything; absent if the user begins. Only
    /// for an agent with a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_message: Option<String>,
    /// The connection to the provider of the model, or to the deployed agent.
    pub connection_id: ConnectionId,
    /// Name of the model at the provider. Empty only for an agent that is called over HTTP.
    pub model: String,
    /// Sampling temperature, 0–2; the provider's default if absent.
    pub temperature: Option<f64>,
    /// Maximum tokens of one reply. A reply that is cut off at the default
    /// ([`DEFAULT_MAX_TOKENS`]) before its first word is requested once more with twice
    /// the limit; any other limit is never exceeded.
    pub max_tokens: u32,
    #[serde(default)]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Fields that are added to the body of each request as they are.
    #[serde(default)]
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub extra_body: Option<Map<String, Value>>,
    /// Whether the agent can end the conversation, with the tool [`END_CONVERSATION`].
    #[serde(default = "default_may_hang_up")]
    pub may_hang_up: bool,
    /// Tools offered to the model. Rehearsal never executes them.
    pub tools: Vec<Tool>,
    /// How to call an agent that is deployed; absent for a prompt and a model.
    #[serde(default)]
    pub http: Option<Box<HttpAgent>>,
}

/// A tool as offered to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Tool {
    /// Letters, digits, `_` and `-`, 1–64 characters; unique within the agent.
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments object.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub parameters: Value,
}

fn default_may_hang_up() -> bool {
    true
}

impl AgentSpec {
    /// Validates the draft.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let name = reader.name("name", limits::NAME, true);
        let description = reader.text("description", limits::MESSAGE);
        let category = reader.name("category", limits::AGENT_CATEGORY, false);
        let is_deployed = reader.value("http").is_some();
        let system_prompt = if is_deployed {
            reader.text("system_prompt", limits::SYSTEM_PROMPT)
        } else {
            reader.required_text("system_prompt", limits::SYSTEM_PROMPT)
        };
        let begin_message = reader.text("begin_message", limits::MESSAGE);
        let begin_message = Some(begin_message).filter(|message| !is_blank(message));
        if is_deployed && begin_message.is_some() {
            let message = "is possible for an agent with a prompt only; see http.begins";
            reader.problem("begin_message", message);
        }
        let connection = reader.text("connection_id", limits::NAME);
        let connection_id = connection.parse::<ConnectionId>().ok();
        // The reader has already reported values that are not text.
        let is_not_text = matches!(
            reader.value("connection_id"),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_))
        );
        if connection_id.is_none() && !is_not_text {
            let message = if connection.trim().is_empty() {
                "must be selected"
            } else {
                "is not a connection id"
            };
            reader.problem("connection_id", message);
        }
        let model = reader.name("model", limits::NAME, !is_deployed);
        let temperature = reader.optional_number("temperature", 0.0, 2.0);
        let max_tokens = reader.integer("max_tokens", DEFAULT_MAX_TOKENS, 1, limits::MAX_TOKENS);
        let reasoning_effort = read_effort(&mut reader);
        let extra_body = read_extra_body(&mut reader);
        let may_hang_up = reader.flag("may_hang_up", true);
        let tools = parse_tools(&mut reader);
        let http = is_deployed.then(|| HttpAgent::read(reader.object("http")));
        reader.deny_unknown_fields(&["id", "revision", "updated_at", "idempotency_key", "kind"]);
        Some(Self {
            name,
            description,
            category,
            system_prompt,
            begin_message,
            connection_id: connection_id?,
            model,
            temperature,
            max_tokens,
            reasoning_effort,
            extra_body,
            may_hang_up,
            tools,
            http: http.flatten().map(Box::new),
        })
    }

    /// Whether the agent speaks first.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.begin_message.is_some()
            || self.http.as_ref().is_some_and(|http| http.begins == Begins::Agent)
    }

    /// What the judge reads about the agent: its system prompt, or what it is for.
    #[must_use]
    pub fn instructions(&self) -> &str {
        self.http.as_ref().map_or(&self.system_prompt, |http| &http.purpose)
    }

    /// Whether the agent has a tool of this name. An agent that may hang up has
    /// [`END_CONVERSATION`].
    #[must_use]
    pub fn has_tool(&self, name: &str) -> bool {
        (name == END_CONVERSATION && self.may_hang_up)
            || self.tools.iter().any(|tool| tool.name == name)
    }
}

fn parse_tools(reader: &mut DraftReader<'_>) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for (path, value) in reader.list("tools", limits::ENTRIES) {
        let mut entry = reader.entry(path, value);
        if !entry.is_object() {
            continue;
        }
        let name = read_tool_name(&mut entry, "name");
        if name == END_CONVERSATION {
            entry.problem("name", "is the name of a built-in tool");
        }
        if !name.is_empty() && tools.iter().any(|tool| tool.name == name) {
            entry.problem("name", format!("must be unique: {name} is used twice"));
        }
        let description = entry.text("description", limits::MESSAGE);
        let parameters = match parse_schema(entry.value("parameters")) {
            Ok(schema) => schema,
            Err(message) => {
                entry.problem("parameters", message);
                Value::Null
            }
        };
        entry.deny_unknown_fields(&[]);
        tools.push(Tool { name, description, parameters });
    }
    tools
}

/// Parses a schema given as an object, or as JSON text (from a form).
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
        return Err("must be a JSON Schema object".to_owned());
    };
    check_storable(&parsed)?;
    match map.get("type") {
        Some(Value::String(kind)) if kind == "object" => {
            check_schema(&parsed, 0)
                .map_err(|problem| format!("is not a valid JSON Schema: {problem}"))?;
            Ok(parsed)
        }
        _ => Err("must have \"type\": \"object\" because arguments are passed by name".to_owned()),
    }
}

/// Checks the most common keywords so that the browser can report mistakes. The server
/// compiles the schema, because an invalid schema would silently disable the validation
/// of tool arguments.
fn check_schema(value: &Value, depth: usize) -> Result<(), &'static str> {
    let Value::Object(map) = value else {
        return if value.is_boolean() || depth == 0 {
            Ok(())
        } else {
            Err("every property must be a schema")
        };
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
                return Err("unknown type");
            }
            "required" if !all(value, Value::is_string) => {
                return Err("required must be a list of names");
            }
            "enum" if !value.is_array() => return Err("enum must be a list"),
            "properties" => {
                let Value::Object(parts) = value else {
                    return Err("properties must be an object");
                };
                parts.values().try_for_each(|part| check_schema(part, depth + 1))?;
            }
            "items" if !value.is_array() => check_schema(value, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

impl Agent {
    /// Validates a stored agent again, with paths that start with `agent.`.
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
