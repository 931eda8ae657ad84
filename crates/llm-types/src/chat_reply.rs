//! The reply of a model, and the rate limits that come with it.

use super::http_call::HttpReply;
use domain::{FinishReason, Timestamp, TokenParts, ToolCall};
use serde_json::Value;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub struct ChatReply {
    /// The text; with [`ChatRequest::output`](super::ChatRequest::output) the unparsed JSON.
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish: FinishReason,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// The latency of the successful attempt, without queueing and retries.
    pub latency: Duration,
    /// The time to the first data of a streamed answer; `None` if it came at once.
    pub first_token: Option<Duration>,
    /// The number of attempts, including the successful one.
    pub attempts: u32,
    /// The rate limits in the response headers.
    pub rate_limits: Option<Box<RateLimits>>,
    /// What was left out of the request or changed, because the server rejects it.
    pub adjustments: Vec<String>,
    /// Parts of the tokens, as far as the provider reports them.
    pub token_parts: TokenParts,
    /// What the model needs to continue its reasoning, under the name of the protocol. It
    /// is sent back unchanged.
    pub provider_state: Option<Value>,
    /// What only a deployed agent returns.
    pub http: Option<Box<HttpReply>>,
}

impl ChatReply {
    /// Whether the token limit was used up before the model said or called anything, as
    /// happens to a model that reasons.
    #[must_use]
    pub fn is_cut_off_blank(&self) -> bool {
        self.finish == FinishReason::Length
            && self.tool_calls.is_empty()
            && domain::is_blank(&self.text)
    }
}

/// One limit that a provider reported in its response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The allowance per period. The period is reported or learned.
    pub limit: u64,
    /// The remainder; never more than `limit`.
    pub remaining: u64,
    /// When part or all of it becomes available again.
    pub reset: Option<Timestamp>,
    /// The time in which an exhausted limit refills steadily, where it is known.
    pub period: Option<Duration>,
}

/// All limits that one response reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub requests: Option<RateLimit>,
    /// Input and output tokens together.
    pub tokens: Option<RateLimit>,
    pub input_tokens: Option<RateLimit>,
    pub output_tokens: Option<RateLimit>,
}
