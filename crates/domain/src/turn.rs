//! Transcript entries: turns, tool calls and tool results.

use super::run::{FinishReason, Speaker, TokenParts};
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool call made by the agent's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolCall {
    /// Id assigned by the provider.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// Arguments as JSON; a string if the model sent invalid JSON.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub arguments: Value,
}

/// Metadata of a turn that carries the result of a tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolResult {
    /// Id of the tool call.
    pub call_id: String,
    /// Name of the tool.
    pub name: String,
    /// Whether the result is an error.
    pub is_error: bool,
    /// Whether the result needed no simulation and no error for a missing mock: false only
    /// if the call needed a mock and the scenario has none, so true also for the results of
    /// rejected calls and of `end_conversation`, and for those that the agent reported.
    pub mocked: bool,
    /// Whether a deployed agent executed the tool itself and reported the result.
    #[serde(default)]
    pub reported: bool,
}

/// One entry of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Turn {
    /// Position in the transcript, from 0.
    pub index: u32,
    pub speaker: Speaker,
    /// Text of the turn; for a tool, its result.
    pub message: String,
    /// Tool calls of an agent turn.
    pub tool_calls: Vec<ToolCall>,
    /// Set on tool turns only.
    pub tool: Option<ToolResult>,
    /// Finish reason of the model; `None` for turns that no model generated.
    pub finish: Option<FinishReason>,
    /// Latency of the successful attempt, without waits and retries; `None` for scripted turns.
    pub latency_ms: Option<u32>,
    /// The time to the first data of a streamed answer; part of the latency.
    #[serde(default)]
    pub first_token_ms: Option<u32>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// What was left out of the request for this turn or changed in it, because the model's
    /// server rejects it.
    #[serde(default)]
    pub adjustments: Vec<String>,
    /// Parts of the tokens, as far as the provider reports them.
    #[serde(default)]
    pub token_parts: TokenParts,
    /// What the provider needs to continue its reasoning. It is sent back unchanged, and
    /// never shown.
    #[serde(skip)]
    pub provider_state: Option<Value>,
    /// When the turn was stored.
    pub at: Timestamp,
}

impl Turn {
    /// Creates a text-only turn at index 0.
    #[must_use]
    pub fn text(speaker: Speaker, message: impl Into<String>, at: Timestamp) -> Self {
        Self {
            index: 0,
            speaker,
            message: message.into(),
            tool_calls: Vec::new(),
            tool: None,
            finish: None,
            latency_ms: None,
            first_token_ms: None,
            input_tokens: None,
            output_tokens: None,
            adjustments: Vec::new(),
            token_parts: TokenParts::default(),
            provider_state: None,
            at,
        }
    }
}
