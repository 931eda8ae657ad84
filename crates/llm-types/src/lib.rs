//! Requests, replies and errors, the same for every protocol.

pub mod reply;

use domain::{ConnectionId, ConnectionKind, ErrorKind, Finish, Timestamp, ToolCall};
use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a call goes and with which key.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The connection that it belongs to.
    pub connection_id: ConnectionId,
    /// The protocol.
    pub kind: ConnectionKind,
    /// Without a trailing slash, as the vendors' SDKs take it.
    pub base_url: String,
    /// Extra headers.
    pub headers: BTreeMap<String, String>,
    /// The key; some local servers need none.
    pub key: Option<SecretString>,
}

/// One question to a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The model's name at the provider.
    pub model: String,
    /// The system prompt; empty = none.
    pub system: String,
    /// What was said so far; starts with a user message.
    pub messages: Vec<Message>,
    /// Tools that it may call.
    pub tools: Vec<ToolSpec>,
    /// It is told of its tools (the conversation so far has calls of them) and
    /// must not call one now.
    pub no_tool_calls: bool,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// When the answer must be JSON of this schema. Never together with tools.
    pub output: Option<OutputSchema>,
    /// Sent as `x-rehearsal-call`, so that a provider's journal can be laid
    /// beside ours: the id of the call's intent row.
    pub call_id: String,
}

/// One entry of the conversation as a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The other side.
    User(String),
    /// The model's own words and calls.
    Assistant {
        /// Words; may be empty beside calls.
        text: String,
        /// Calls.
        tool_calls: Vec<ToolCall>,
    },
    /// The answer to one call.
    Tool {
        /// Which call.
        call_id: String,
        /// The result as text.
        content: String,
        /// Whether it is an error.
        is_error: bool,
    },
}

/// A tool as the model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// The form that an answer must have.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSchema {
    /// A short name, letters and `_`.
    pub name: String,
    /// JSON Schema: an object, `additionalProperties: false`, all required.
    pub schema: Value,
}

/// One limit that a provider reported in its response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The allowance per period. The period is reported or learned.
    pub limit: u64,
    /// What is left of it; never more than `limit`.
    pub remaining: u64,
    /// When part or all of it becomes available again.
    pub reset: Option<Timestamp>,
    /// The time in which an exhausted limit refills steadily, where it is known.
    pub period: Option<Duration>,
}

/// All limits that one response reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests.
    pub requests: Option<RateLimit>,
    /// Input and output tokens together.
    pub tokens: Option<RateLimit>,
    /// Input tokens.
    pub input_tokens: Option<RateLimit>,
    /// Output tokens.
    pub output_tokens: Option<RateLimit>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatReply {
    /// Words; with [`ChatRequest::output`] the JSON text as it came.
    pub text: String,
    /// Calls of tools.
    pub tool_calls: Vec<ToolCall>,
    /// How it ended.
    pub finish: Finish,
    /// Tokens in, as the provider counts.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// Of the successful attempt alone: no queueing, no retries.
    pub latency: Duration,
    /// Attempts that were made, the successful one included.
    pub attempts: u32,
    /// What its headers told of the provider's limits.
    pub told: Option<Box<RateLimits>>,
}

/// What to do about a failed call. The error carries the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again within the budget; used up, it is `provider_unavailable`.
    Retry,
    /// Try again, not before this time where one is known (429, 529).
    Wait {
        /// The provider's Retry-After.
        until: Option<Timestamp>,
        /// 529: the server is overloaded, not we too fast.
        overloaded: bool,
    },
    /// Trying again is useless: end with this kind.
    GiveUp(ErrorKind),
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What to do.
    pub decision: Decision,
    /// In words for a person: the provider's own, shortened, never a key.
    pub message: String,
    /// The provider's own words alone, shortened, never a key; empty where it said
    /// nothing.
    pub words: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// What went wrong, for metrics.
    pub cause: Cause,
    /// What its headers told of the provider's limits.
    pub told: Option<Box<RateLimits>>,
}

/// What went wrong with a call: the class of an answer that is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// 429.
    RateLimited,
    /// 529.
    Overloaded,
    /// 5xx, 408, or a status that makes no sense.
    ServerError,
    /// No connection, or no TLS.
    Connect,
    /// No answer, or no more of it, in time.
    Timeout,
    /// The answer was cut short.
    Cut,
    /// Not JSON, or JSON of another kind.
    Unreadable,
    /// Larger than any answer can be.
    TooLarge,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// Nothing left to spend.
    Quota,
    /// Another 4xx.
    Rejected,
    /// 3xx.
    Redirect,
    /// Nobody was asked: the request was stopped on our side.
    #[default]
    Unsent,
}

impl Cause {
    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Quota => "quota",
            Self::Rejected => "rejected",
            Self::Redirect => "redirect",
            Self::Unsent => "unsent",
        }
    }
}

impl CallError {
    /// An error on our side of the wire.
    #[must_use]
    pub fn new(decision: Decision, message: impl Into<String>) -> Self {
        let message = message.into();
        let (cause, words) = (Cause::default(), String::new());
        Self { decision, message, words, status: None, cause, told: None }
    }

    /// The kind with which a run ends when nothing more is tried.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.decision {
            Decision::Retry => ErrorKind::ProviderUnavailable,
            Decision::Wait { .. } => ErrorKind::RateLimited,
            Decision::GiveUp(kind) => kind,
        }
    }
}

/// A protocol: one attempt, classified, no retry, no waiting.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Asks once. Dropping the future drops the call.
    ///
    /// # Errors
    /// With the decision what to do about it.
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError>;
}
