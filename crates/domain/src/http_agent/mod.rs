//! Agents that are deployed behind an HTTP endpoint: how to talk to them and how to
//! read their replies. Address and credentials belong to the connection.

mod form;
mod parse;
mod parse_parts;
mod pointer;
mod preset;
mod template;

pub use form::without_hidden_fields;
pub use pointer::Pointer;
pub use preset::AgentPreset;
pub use template::{VARIABLES, split as split_template};

use super::string_enum::string_enum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a deployed agent is called, and where its replies contain what.
///
/// Pointers are JSON Pointers (RFC 6901) with two additions: in a list, a negative index
/// counts from the end, and `*` means every entry, or every entry that matches as in
/// `*[role=agent]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HttpAgent {
    /// What this agent is for. The judge reads it in place of a system prompt.
    pub purpose: String,
    /// Who speaks first.
    pub begins: Begins,
    /// The request that sends one message of the user.
    pub request: RequestTemplate,
    pub session: AgentSession,
    pub response: ResponseMapping,
    /// For an endpoint that replies later: where to ask for the reply.
    pub poll: Option<PollMapping>,
    /// Which tool calls of the agent are visible.
    pub tools: ToolVisibility,
    pub timeouts: AgentTimeouts,
    /// Whether the endpoint executes requests with the same `Idempotency-Key` once. Only
    /// then a request is repeated after an unknown outcome.
    pub idempotent: bool,
}

string_enum! {
    /// Who speaks first in a conversation with a deployed agent.
    Begins {
        User = "user" / "The user",
        Agent = "agent" / "The agent",
    }
}

string_enum! {
    /// The method of a request to a deployed agent.
    #[derive(Default)]
    HttpMethod {
        #[default]
        Post = "POST" / "POST",
        Put = "PUT" / "PUT",
        Patch = "PATCH" / "PATCH",
        Get = "GET" / "GET",
        Delete = "DELETE" / "DELETE",
    }
}

/// A request with variables such as `{{message}}` in its path, headers and body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RequestTemplate {
    pub method: HttpMethod,
    /// Appended to the base URL of the connection; may contain a query.
    pub path: String,
    /// Additional headers. Secrets belong to the connection.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; no body if absent.
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub body: Option<Value>,
}

string_enum! {
    /// Where the endpoint keeps the conversation.
    SessionMode {
        /// Nowhere: every request contains the whole conversation.
        None = "none" / "No session: each request has the whole conversation",
        /// The endpoint keeps it under an id that Rehearsal makes.
        Client = "client" / "Session with an id that Rehearsal makes",
        /// The endpoint keeps it under an id that it returns.
        Server = "server" / "Session with an id that the agent returns",
    }
}

/// The session of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentSession {
    pub mode: SessionMode,
    /// Where a response contains the session id; only in the mode `server`.
    pub id: Option<SessionIdSource>,
    /// The request that starts a session. Without it, the reply to each message contains
    /// the id for the next one.
    pub start: Option<RequestTemplate>,
    /// Pointer to the first words of the agent in the response to `start`.
    pub greeting: Option<String>,
    /// The request that ends a session. Its failure does not matter.
    pub end: Option<RequestTemplate>,
}

string_enum! {
    /// The part of a response that contains the session id.
    SessionIdPart {
        Body = "body" / "Response body",
        Header = "header" / "Response header",
        Cookie = "cookie" / "Cookie",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionIdSource {
    pub from: SessionIdPart,
    /// A pointer into the body, or the name of the header or cookie. A cookie is sent back
    /// by itself.
    pub at: String,
}

string_enum! {
    /// The format of the response to a message.
    ResponseFormat {
        Json = "json" / "JSON",
        /// Server-sent events with JSON data.
        Sse = "sse" / "Stream of server-sent events",
        /// One JSON value per line.
        Ndjson = "ndjson" / "Stream of JSON lines",
    }
}

/// Where a response contains what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ResponseMapping {
    pub format: ResponseFormat,
    /// Pointer to the words of the agent: text, or a list of texts. In a stream, to the
    /// next piece of text in an event.
    pub text: String,
    /// In a stream: only events of these types are read for text, separated by commas.
    /// Without it, all are.
    pub events: Option<String>,
    /// In a stream: the data that ends it, such as `[DONE]`. Without it, the stream ends
    /// with the response.
    pub stop: Option<String>,
    pub tool_calls: Option<ToolCallMapping>,
    /// Pointer to a value that says that the agent ended the conversation.
    pub end: Option<String>,
    /// The value that says so; `true` if absent.
    pub end_value: Option<String>,
    /// Pointer to the number of input tokens.
    pub input_tokens: Option<String>,
    /// Pointer to the number of output tokens.
    pub output_tokens: Option<String>,
    /// Pointer to an error in a successful response.
    pub error: Option<String>,
}

/// Where a response contains tool calls. The pointers of the parts begin at one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolCallMapping {
    /// Pointer to the list of calls.
    pub list: String,
    pub name: String,
    /// Pointer to the arguments: an object, or JSON text.
    pub arguments: Option<String>,
    /// Pointer to the result.
    pub result: Option<String>,
}

/// How to ask for a reply that is not ready yet (202).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PollMapping {
    /// Pointer to the URL to ask; without it the `Location` header.
    pub url: Option<String>,
    /// Pointer to the status in the response.
    pub status: String,
    /// The statuses that contain the reply, separated by commas.
    pub done: String,
    /// The statuses that mean a failure, separated by commas.
    pub failed: Option<String>,
    /// Time between two requests.
    pub interval_ms: u32,
}

string_enum! {
    /// Which tool calls of a deployed agent are visible.
    ToolVisibility {
        None = "none" / "Not visible",
        /// The response lists them.
        InResponse = "in_response" / "Listed in the response",
    }
}

/// Time limits of one request to a deployed agent, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentTimeouts {
    /// Until the response begins.
    pub first_byte_seconds: u32,
    /// Between two pieces of the response.
    pub idle_seconds: u32,
    /// Until the reply is complete, with all polls.
    pub total_seconds: u32,
}

impl AgentTimeouts {
    #[must_use]
    pub fn total(self) -> Duration {
        Duration::from_secs(self.total_seconds.into())
    }
}

impl HttpAgent {
    /// Whether a session has to be started before the first message.
    #[must_use]
    pub fn starts_session(&self) -> bool {
        self.session.mode == SessionMode::Server && self.session.start.is_some()
    }
}
