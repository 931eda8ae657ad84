//! What a request asks, whichever protocol it comes in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

/// What the model is wanted for, seen from the form that its answer must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// No form: the agent under test.
    Agent,
    /// A list of graded items.
    Judge,
    /// A message, and whether the talk is over.
    SimulatedUser,
    /// Any other form: a tool's result made up.
    ToolResult,
}

/// A request, read.
#[derive(Clone, Debug)]
pub struct Question {
    /// The protocol.
    pub protocol: Protocol,
    /// The model.
    pub model: String,
    /// What for.
    pub role: Role,
    /// The form of the answer: its name and JSON Schema.
    pub form: Option<(String, Value)>,
    /// The system prompt.
    pub system: String,
    /// The last user message.
    pub last_user: String,
    /// The first user message: of a judge, what it is to grade.
    pub first_user: String,
    /// Messages but for the system prompt.
    pub messages: usize,
    /// How often the model has spoken already.
    pub spoken: usize,
}

impl Question {
    /// Reads a request.
    #[must_use]
    pub fn read(protocol: Protocol, body: &Value) -> Self {
        let all = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let role_of = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
        let said = |wanted: &str| all.iter().rfind(|message| role_of(message) == wanted);
        let system = match protocol {
            Protocol::OpenAi => {
                text(&said("system").map(|m| &m["content"]).cloned().unwrap_or_default())
            }
            Protocol::Anthropic => text(&body["system"]),
        };
        // A user message of Anthropic's may hold results of tools alone.
        let mut users = all
            .iter()
            .filter(|message| role_of(message) == "user")
            .map(|message| text(&message["content"]))
            .filter(|text| !text.is_empty());
        let first_user = users.next().unwrap_or_default();
        let last_user = users.next_back().unwrap_or_else(|| first_user.clone());
        let form = form(protocol, body, &system);
        Self {
            protocol,
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            role: form.as_ref().map_or(Role::Agent, |(_, schema)| role(schema)),
            form,
            system,
            last_user,
            first_user,
            messages: all.iter().filter(|message| role_of(message) != "system").count(),
            spoken: all.iter().filter(|message| role_of(message) == "assistant").count(),
        }
    }
}

/// Text, or the text parts of a list.
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

/// The form that the answer must have: by the protocol's own means, or asked
/// for in the words of the system prompt.
fn form(protocol: Protocol, body: &Value, system: &str) -> Option<(String, Value)> {
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match protocol {
        Protocol::Anthropic => {
            let wanted = body.pointer("/tool_choice/name")?;
            let tools = body["tools"].as_array()?;
            let tool = tools.iter().find(|tool| tool["name"] == *wanted)?;
            Some((name(wanted), tool["input_schema"].clone()))
        }
        Protocol::OpenAi => match body.pointer("/response_format/json_schema") {
            Some(form) => Some((name(&form["name"]), form["schema"].clone())),
            None => form_in_words(system),
        },
    }
}

fn form_in_words(system: &str) -> Option<(String, Value)> {
    let (_, rest) = system.rsplit_once("JSON Schema")?;
    let schema = rest.get(rest.find('{')?..)?;
    let schema = serde_json::Deserializer::from_str(schema).into_iter().next()?.ok()?;
    Some(("in_words".to_owned(), schema))
}

fn role(schema: &Value) -> Role {
    let has = |name: &str| schema["properties"].get(name).is_some();
    match (has("items"), has("message") && has("done")) {
        (true, _) => Role::Judge,
        (_, true) => Role::SimulatedUser,
        _ => Role::ToolResult,
    }
}
