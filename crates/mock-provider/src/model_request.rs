//! A request to a model, parsed from any of the protocols.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Chat Completions.
    OpenAi,
    Responses,
    Anthropic,
}

/// The role that the model plays, recognized by the schema of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// No output schema: the agent under test.
    Agent,
    /// A list of graded items.
    Judge,
    /// A message, and whether the conversation is over.
    SimulatedUser,
    /// Any other schema: a simulated tool result.
    ToolResult,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelRequest {
    pub(crate) protocol: Protocol,
    pub(crate) model: String,
    pub(crate) role: Role,
    /// The JSON Schema that the output must follow.
    pub(crate) output_schema: Option<Value>,
    /// The tool that must be called with the output as its arguments.
    pub(crate) forced_tool: Option<String>,
    pub(crate) system: String,
    pub(crate) last_user: String,
    /// The first user message. For a judge it holds the transcript and the items.
    pub(crate) first_user: String,
    /// The number of messages, not counting the system prompt.
    pub(crate) messages: usize,
    pub(crate) assistant_messages: usize,
    /// Whether the answer is to be streamed.
    pub(crate) stream: bool,
    /// Whether the answer is to contain encrypted reasoning.
    pub(crate) encrypted_reasoning: bool,
}

impl ModelRequest {
    pub(crate) fn parse(protocol: Protocol, body: &Value) -> Self {
        let list = if protocol == Protocol::Responses { "input" } else { "messages" };
        let all = body[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let with_role = |role| all.iter().filter(move |message| message["role"] == role);
        let system = match protocol {
            Protocol::OpenAi => {
                with_role("system").next_back().map_or(String::new(), |m| text(&m["content"]))
            }
            Protocol::Responses => text(&body["instructions"]),
            Protocol::Anthropic => text(&body["system"]),
        };
        // A user message of Anthropic's protocol may hold only tool results.
        let mut users = with_role("user")
            .map(|message| text(&message["content"]))
            .filter(|text| !text.is_empty());
        let first_user = users.next().unwrap_or_default();
        let last_user = users.next_back().unwrap_or_else(|| first_user.clone());
        let output_schema = output_schema(protocol, body, &system);
        Self {
            protocol,
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            role: output_schema.as_ref().map_or(Role::Agent, role),
            output_schema,
            forced_tool: body
                .pointer("/tool_choice/name")
                .and_then(Value::as_str)
                .map(str::to_owned),
            system,
            last_user,
            first_user,
            messages: all.len() - with_role("system").count(),
            assistant_messages: with_role("assistant").count(),
            stream: body["stream"] == true,
            encrypted_reasoning: body["include"]
                .as_array()
                .is_some_and(|all| all.contains(&"reasoning.encrypted_content".into())),
        }
    }

    /// The number of prompt tokens that the usage reports.
    pub(crate) fn prompt_tokens(&self) -> usize {
        tokens(&self.system) + tokens(&self.last_user) + 4 * self.messages
    }
}

/// Counts four bytes as one token.
pub(crate) fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// A text, or the joined text parts of a list.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The output schema, from the protocol's own field or from the words of the
/// system prompt.
fn output_schema(protocol: Protocol, body: &Value, system: &str) -> Option<Value> {
    let own = match protocol {
        Protocol::Anthropic => {
            forced_tool_schema(body).or(body.pointer("/output_config/format/schema"))
        }
        Protocol::OpenAi => body.pointer("/response_format/json_schema/schema"),
        Protocol::Responses => body.pointer("/text/format/schema"),
    };
    own.cloned().or_else(|| schema_in_prompt(system))
}

fn forced_tool_schema(body: &Value) -> Option<&Value> {
    let wanted = body.pointer("/tool_choice/name")?;
    let tool = body["tools"].as_array()?.iter().find(|tool| tool["name"] == *wanted)?;
    tool.get("input_schema")
}

fn schema_in_prompt(system: &str) -> Option<Value> {
    let (_, rest) = system.rsplit_once("JSON Schema")?;
    let schema = rest.get(rest.find('{')?..)?;
    serde_json::Deserializer::from_str(schema).into_iter().next()?.ok()
}

fn role(schema: &Value) -> Role {
    let has = |name: &str| schema["properties"].get(name).is_some();
    match (has("items"), has("message") && has("done")) {
        (true, _) => Role::Judge,
        (_, true) => Role::SimulatedUser,
        _ => Role::ToolResult,
    }
}
