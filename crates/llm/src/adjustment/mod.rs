//! What servers reject, and how requests are adjusted to it.
//!
//! A server that rejects a field or a value says so with a 400 or 422. [`next_adjustment`]
//! reads the error and decides what the next request leaves out or changes; the adjustments
//! of a request that succeeded are [remembered](learned) per connection, address and model.

pub mod learned;
mod rejection;
mod token_limit;

pub use learned::{AdjustmentKey, AdjustmentSink, Learned};
pub(crate) use rejection::next_adjustment;

use llm_types::{ChatRequest, OutputSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// A field that a request can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Temperature,
    ReasoningEffort,
    /// Only tools that the request marks as optional.
    Tools,
    /// Streaming: the answer then comes at once.
    Stream,
    /// The greatest lengths of texts and lists in an output schema.
    SchemaBounds,
    /// The request for encrypted reasoning, which models that do not reason reject.
    EncryptedReasoning,
}

/// How a request asks for structured output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputForm {
    /// By the protocol's own field.
    #[default]
    Native,
    /// By a tool that the model is forced to call, for older Claude models.
    ForcedTool,
    /// By words in the system prompt.
    Prompt,
}

/// All adjustments of the requests to one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adjustments {
    pub dropped: BTreeSet<Field>,
    pub output: OutputForm,
    /// The token limit has the other of its two names: `max_completion_tokens` or
    /// `max_tokens`.
    pub other_limit_name: bool,
    /// The most output tokens that the server allows.
    pub max_tokens: Option<u32>,
    /// Requests go to the Responses API, because Chat Completions does not offer the model,
    /// or not with tools.
    pub responses_api: bool,
}

impl Adjustments {
    /// The request without what the server rejects. The output schema moves to the system
    /// prompt if the server cannot take it otherwise.
    #[must_use]
    pub fn apply(&self, request: &ChatRequest) -> ChatRequest {
        let mut request = request.clone();
        if self.dropped.contains(&Field::Temperature) {
            request.temperature = None;
        }
        if self.dropped.contains(&Field::ReasoningEffort) {
            request.reasoning_effort = None;
        }
        if self.drops_tools(&request) {
            request.tools.clear();
        }
        if self.dropped.contains(&Field::SchemaBounds)
            && let Some(output) = &mut request.output
        {
            remove_bounds(&mut output.schema);
        }
        if let Some(most) = self.max_tokens {
            request.max_tokens = request.max_tokens.min(most);
        }
        if self.output == OutputForm::Prompt
            && let Some(output) = request.output.take()
        {
            request.system.push_str(&schema_prompt(&output));
        }
        request
    }

    fn drops_tools(&self, request: &ChatRequest) -> bool {
        self.dropped.contains(&Field::Tools) && request.tools_optional
    }

    /// What this request loses by the adjustments, for people.
    #[must_use]
    pub fn describe(&self, request: &ChatRequest) -> Vec<String> {
        let mut lost = Vec::new();
        if self.responses_api {
            lost.push("sent to the Responses API".to_owned());
        }
        if self.dropped.contains(&Field::Temperature) && request.temperature.is_some() {
            lost.push("temperature left out".to_owned());
        }
        if self.dropped.contains(&Field::ReasoningEffort) && request.reasoning_effort.is_some() {
            lost.push("reasoning_effort left out".to_owned());
        }
        if self.drops_tools(request) && !request.tools.is_empty() {
            lost.push("end_conversation not offered".to_owned());
        }
        if let Some(most) = self.max_tokens.filter(|most| *most < request.max_tokens) {
            lost.push(format!("max_tokens limited to {most}"));
        }
        match self.output {
            OutputForm::ForcedTool if request.output.is_some() => {
                lost.push("output schema sent as a tool".to_owned());
            }
            OutputForm::Prompt if request.output.is_some() => {
                lost.push("output schema sent in the prompt".to_owned());
            }
            _ => {}
        }
        lost
    }
}

/// The output schema as text, for a server that does not support structured output.
/// The keywords of a schema that bound lengths.
const BOUNDS: [&str; 2] = ["maxLength", "maxItems"];

/// Whether a keyword of the schema, in any depth, bounds a length.
fn has_bounds(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_bound(name, value) || has_bounds(value))
        }
        Value::Array(list) => list.iter().any(has_bounds),
        _ => false,
    }
}

/// A property may have the name of a keyword, but its value is a schema.
fn is_bound(name: &str, value: &Value) -> bool {
    BOUNDS.contains(&name) && value.is_number()
}

fn remove_bounds(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, value| !is_bound(name, value));
            fields.values_mut().for_each(remove_bounds);
        }
        Value::Array(list) => list.iter_mut().for_each(remove_bounds),
        _ => {}
    }
}

fn schema_prompt(output: &OutputSchema) -> String {
    format!(
        "\n\nAnswer with one JSON object and nothing else: no words around it, no Markdown. \
         It must be valid against this JSON Schema ({}):\n{}",
        output.name, output.schema
    )
}
