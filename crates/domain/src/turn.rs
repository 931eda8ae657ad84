//! What is said in a run: turns, calls of tools, their answers.

use super::run::{Finish, Speaker};
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call that the agent's model made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolCall {
    /// The provider's id of it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments; text where they were not JSON.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub arguments: Value,
}

/// What makes a turn a tool's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolAnswer {
    /// The call that it answers.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Whether it is an error.
    pub is_error: bool,
    /// False where the scenario should have had a mock and has none; true also
    /// for answers that need none (refusals, `end_conversation`).
    pub mocked: bool,
}

/// One entry of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Turn {
    /// Position, from 0.
    pub index: u32,
    /// Who.
    pub speaker: Speaker,
    /// What was said; of a tool its result as text.
    pub message: String,
    /// Calls that the agent made in this turn.
    pub tool_calls: Vec<ToolCall>,
    /// For a tool's answer: to what.
    pub tool: Option<ToolAnswer>,
    /// How the model ended it; `None` where no model spoke.
    pub finish: Option<Finish>,
    /// Milliseconds of the successful attempt alone; `None` for script turns.
    pub latency_ms: Option<u32>,
    /// Tokens in.
    pub input_tokens: Option<u64>,
    /// Tokens out.
    pub output_tokens: Option<u64>,
    /// When it was stored.
    pub at: Timestamp,
}

impl Turn {
    /// Plain words: no calls, nothing measured, the first of its transcript.
    #[must_use]
    pub fn said(speaker: Speaker, message: impl Into<String>, at: Timestamp) -> Self {
        Self {
            index: 0,
            speaker,
            message: message.into(),
            tool_calls: Vec::new(),
            tool: None,
            finish: None,
            latency_ms: None,
            input_tokens: None,
            output_tokens: None,
            at,
        }
    }
}
