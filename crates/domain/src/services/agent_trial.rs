//! The result of trying a deployed agent with unsaved input.

use serde::{Deserialize, Serialize};

/// What a deployed agent answered to one message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentTrial {
    /// The requests and their responses, in order.
    pub exchanges: Vec<TrialExchange>,
    /// What the pointers of the agent took from the response to the message.
    pub findings: Vec<TrialFinding>,
    /// Why the reply cannot be used.
    pub error: Option<String>,
}

/// One request with its last response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialExchange {
    /// The purpose of the request.
    pub title: String,
    /// Method, path and body as they were sent, without credentials.
    pub request: String,
    /// The status; `None` without a response.
    pub status: Option<u16>,
    /// Headers that help to configure an agent, one per line.
    pub headers: String,
    pub latency_ms: u32,
    /// The JSON documents of the response: one, or the events of a stream.
    pub documents: Vec<TrialDocument>,
    /// The beginning of a response that is not JSON.
    pub text: String,
}

/// One JSON document of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialDocument {
    /// The type of an event; empty for a response that is one document.
    pub event: String,
    /// All values from top to bottom, up to a limit.
    pub values: Vec<TrialValue>,
    /// The number of values over the limit.
    pub left_out: u32,
}

/// One value of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialValue {
    /// The pointer that finds it.
    pub pointer: String,
    /// The number of values that contain it.
    pub depth: u32,
    /// The name of the field, or the index.
    pub name: String,
    /// The beginning of its text; for a list or an object their size.
    pub text: String,
}

/// What one pointer found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialFinding {
    /// The path of the field with the pointer, such as `http.response.text`.
    pub field: String,
    pub pointer: String,
    /// The beginning of what it found; `None` for nothing.
    pub found: Option<String>,
}
