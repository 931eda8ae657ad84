//! Requests to deployed agents and what only they return.

use domain::http_agent::{HttpAgent, HttpMethod};
use serde_json::Value;
use std::sync::Arc;

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpCallKind {
    /// Starts a session.
    Start,
    /// Sends a message of the user.
    Message,
    /// Ends a session.
    End,
}

/// One request to a deployed agent.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCall {
    /// How to read the response, and the time limits.
    pub agent: Arc<HttpAgent>,
    pub kind: HttpCallKind,
    pub request: RenderedRequest,
    /// Stays the same when the request is repeated. Sent if the agent is idempotent.
    pub idempotency_key: String,
    /// Whether the request belongs to a session.
    pub has_session: bool,
    /// Whether the endpoint has answered in this session before.
    pub session_is_known: bool,
    /// The `traceparent` header; empty for none.
    pub traceparent: String,
}

/// A request whose variables are substituted.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedRequest {
    pub method: HttpMethod,
    /// Appended to the base URL.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

/// What only a deployed agent returns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpReply {
    /// The session id that the response contains.
    pub session_id: Option<String>,
    /// The results of the tool calls of the reply, in their order.
    pub tool_results: Vec<Option<String>>,
    /// Whether the agent ended the conversation.
    pub ended: bool,
}

impl HttpCall {
    /// Whether the request may be sent again although it may have been executed: nothing
    /// is booked by starting or ending a session.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.agent.idempotent || self.kind != HttpCallKind::Message
    }
}
