//! Requests to deployed agents and what only they return.

use domain::http_agent::{HttpAgent, HttpMethod};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The number of responses that a [`ResponseLog`] keeps.
const MAX_LOGGED: usize = 10;

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
    /// Where the responses are kept for a person who tries the agent.
    pub log: Option<ResponseLog>,
}

/// A response as it came, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedResponse {
    pub status: u16,
    /// Only headers that help to configure an agent.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The time until the response was complete.
    pub latency: Duration,
}

/// The responses to one request: of a reply that comes later, also those of its polls.
#[derive(Clone, Debug, Default)]
pub struct ResponseLog(Arc<Mutex<Vec<LoggedResponse>>>);

impl ResponseLog {
    /// Adds a response. If there are too many, it replaces the last one.
    pub fn add(&self, response: LoggedResponse) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(MAX_LOGGED - 1);
        all.push(response);
    }

    /// The responses so far.
    #[must_use]
    pub fn responses(&self) -> Vec<LoggedResponse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for ResponseLog {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
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
