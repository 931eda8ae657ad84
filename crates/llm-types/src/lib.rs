//! Requests, replies and errors of model calls, independent of the protocol.

mod http_call;
pub mod reasoning;
pub mod reply;
#[cfg(feature = "testing")]
pub mod testing;

pub use http_call::{HttpCall, HttpCallKind, HttpReply, RenderedRequest};

use async_trait::async_trait;
use domain::{
    AuthScheme, ConnectionAuth, ConnectionId, ConnectionKind, ErrorKind, FinishReason,
    ModelOptions, ReasoningEffort, Timestamp, TokenParts, ToolCall,
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The address and the credentials of a connection.
#[derive(Clone)]
pub struct Endpoint {
    pub connection_id: ConnectionId,
    pub kind: ConnectionKind,
    /// Without a trailing slash, as in the vendors' SDKs.
    pub base_url: String,
    pub headers: BTreeMap<String, String>,
    /// Parameters that are added to the query of every URL.
    pub query: BTreeMap<String, String>,
    /// How the key authenticates.
    pub auth: ConnectionAuth,
    /// The API key, the password or the client secret. Some local servers need none.
    pub key: Option<SecretString>,
    /// The maximum duration of one attempt, if the connection sets its own.
    pub timeout: Option<Duration>,
}

impl Endpoint {
    /// An endpoint without a key, which authenticates like the vendor's own API.
    #[must_use]
    pub fn new(connection_id: ConnectionId, kind: ConnectionKind, base_url: String) -> Self {
        Self {
            connection_id,
            kind,
            base_url,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            auth: AuthScheme::default_of(kind).into(),
            key: None,
            timeout: None,
        }
    }
}

impl fmt::Debug for Endpoint {
    /// Omits headers and query parameters, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("connection_id", &self.connection_id)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

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
        /// ([`ChatReply::provider_state`]).
        provider_state: Option<Value>,
    },
    /// The result of a tool call.
    Tool {
        call_id: String,
        content: String,
        is_error: bool,
    },
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

#[derive(Clone, Debug, PartialEq)]
pub struct ChatReply {
    /// The text; with [`ChatRequest::output`] the unparsed JSON.
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

impl Message {
    /// What a model said, without tool calls and state.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant { text: text.into(), tool_calls: Vec::new(), provider_state: None }
    }
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

/// The retry decision of a failed call. The error carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Retry within the budget. A final failure is `provider_unavailable`.
    Retry,
    /// Retry after a wait (429, 529).
    Wait {
        /// The provider's Retry-After, if there is one.
        until: Option<Timestamp>,
        /// 529: the server is overloaded; the caller did not exceed a limit.
        overloaded: bool,
    },
    /// A retry is useless: fail with this kind.
    GiveUp(ErrorKind),
}

/// A failed attempt or call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    pub decision: Decision,
    /// The message for users. Includes the provider's message, and never a key.
    pub message: String,
    /// The provider's own message, shortened and without keys. Empty if there is none.
    pub provider_message: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    pub cause: Cause,
    /// The rate limits in the response headers.
    pub rate_limits: Option<Box<RateLimits>>,
}

/// The cause of a failed call, for metrics and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// 429.
    RateLimited,
    /// 529.
    Overloaded,
    /// 5xx, 408, or an invalid status.
    ServerError,
    /// The TCP or TLS connection failed.
    Connect,
    /// The response did not start or continue in time.
    Timeout,
    /// The response body ended early.
    Truncated,
    /// The body is not JSON, or not of the expected structure.
    Unreadable,
    /// The body exceeds the size limit.
    TooLarge,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// The quota or the credit is used up.
    Quota,
    /// Another 4xx.
    Rejected,
    /// 3xx.
    Redirect,
    /// No request was sent.
    #[default]
    NotSent,
}

impl Cause {
    /// The label value in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Truncated => "cut",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Quota => "quota",
            Self::Rejected => "rejected",
            Self::Redirect => "redirect",
            Self::NotSent => "unsent",
        }
    }
}

impl CallError {
    /// An error that did not come from the provider.
    #[must_use]
    pub fn new(decision: Decision, message: impl Into<String>) -> Self {
        let message = message.into();
        let (cause, provider_message) = (Cause::default(), String::new());
        Self { decision, message, provider_message, status: None, cause, rate_limits: None }
    }

    /// The error kind of a run that ends with this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.decision {
            Decision::Retry => ErrorKind::ProviderUnavailable,
            Decision::Wait { .. } => ErrorKind::RateLimited,
            Decision::GiveUp(kind) => kind,
        }
    }
}

/// Learns that a streamed answer continues.
pub trait Progress: Send + Sync {
    /// A part of the answer arrived.
    fn received(&self);
}

/// An adapter of a protocol. Makes single attempts, without retries and waits.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Obtains what a call needs before it can be sent, such as an access token, so that
    /// this time is not part of the latency of the reply. Dropping the future cancels it.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn prepare(&self, endpoint: &Endpoint) -> Result<(), CallError> {
        let _ = endpoint;
        Ok(())
    }

    /// Makes one attempt. Dropping the future cancels it.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError>;

    /// The names of the models that the server lists, without a call to a model. Empty if
    /// it has no such list.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn models(&self, endpoint: &Endpoint) -> Result<Vec<String>, CallError> {
        let _ = endpoint;
        Ok(Vec::new())
    }

    /// Like [`complete`](Self::complete), but lets the server stream its answer, if it can,
    /// and reports to `progress` whenever a part of it arrives.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn stream(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        progress: &dyn Progress,
    ) -> Result<ChatReply, CallError> {
        let _ = progress;
        self.complete(endpoint, request).await
    }

    /// A connection was edited: forget what its server rejected.
    fn connection_changed(&self, connection: ConnectionId) {
        let _ = connection;
    }
}
