//! The request to a model.

use super::http_call::HttpCall;
use super::reasoning;
use domain::{ModelOptions, ReasoningEffort, ToolCall};
use serde_json::{Map, Value};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The provider's name of the model.
    pub model: String,
    /// The system prompt; empty for none.
    pub system: String,
    /// The conversation so far. Starts with a user message.
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    /// Whether the conversation works without the tools, so that they are left out for a
    /// server that does not support any.
    pub tools_optional: bool,
    /// Forbids tool calls. The tools are still sent, because the conversation so far
    /// contains calls of them.
    pub no_tool_calls: bool,
    pub temperature: Option<f64>,
    pub max_tokens: u32,
    /// Whether the user chose `max_tokens`, so that it is never raised.
    pub fixed_limit: bool,
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Fields that the user adds to the body of the request.
    pub extra_body: Option<Map<String, Value>>,
    /// Names a prompt whose beginning many calls share, so that the provider caches it.
    pub cache_key: Option<String>,
    /// Requests a JSON reply with this schema. Never combined with tools.
    pub output: Option<OutputSchema>,
    /// The id of the call's intent row. Sent as `x-rehearsal-call`, so that the log of a
    /// provider can be matched to the database.
    pub call_id: String,
    /// The request to a deployed agent, in place of everything else except `call_id`.
    pub http: Option<Box<HttpCall>>,
}

impl ChatRequest {
    /// Adds what the user chose. Without a choice, the limit of a model that reasons is at
    /// least `floor`.
    #[must_use]
    pub fn with_options(mut self, options: &ModelOptions, floor: u32) -> Self {
        let effort = options.reasoning_effort;
        let reasons = reasoning::is_reasoning_model(&self.model)
            || effort.is_some_and(|effort| effort != ReasoningEffort::None);
        if let Some(limit) = options.max_tokens {
            self.max_tokens = limit;
            self.fixed_limit = true;
        } else if reasons {
            self.max_tokens = self.max_tokens.max(floor);
        }
        self.temperature = options.temperature.or(self.temperature);
        self.reasoning_effort = effort;
        self.extra_body.clone_from(&options.extra_body);
        self
    }

    /// The request with twice the limit, after its reply was cut off. `None` if the user
    /// chose the limit.
    #[must_use]
    pub fn with_doubled_limit(mut self) -> Option<Self> {
        self.max_tokens = self.max_tokens.saturating_mul(2);
        (!self.fixed_limit).then_some(self)
    }
}

/// A message of the conversation, from the view of the called model.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    User(String),
    Assistant {
        /// May be empty if there are tool calls.
        text: String,
        tool_calls: Vec<ToolCall>,
        /// What the adapter of the model returned with this message
        /// ([`ChatReply::provider_state`](super::ChatReply::provider_state)).
        provider_state: Option<Value>,
    },
    /// The result of a tool call.
    Tool {
        call_id: String,
        content: String,
        is_error: bool,
    },
}

impl Message {
    /// What a model said, without tool calls and state.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant { text: text.into(), tool_calls: Vec::new(), provider_state: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// The JSON Schema of the arguments.
    pub parameters: Value,
}

/// The required structure of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSchema {
    /// A short name of letters and `_`.
    pub name: String,
    /// The JSON Schema of an object with `additionalProperties: false`, all required.
    pub schema: Value,
}
