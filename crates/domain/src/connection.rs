//! Connections to model providers.

use super::connection_auth::ConnectionAuth;
use super::connection_preset::ConnectionPreset;
use super::ids::ConnectionId;
use super::string_enum::string_enum;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

string_enum! {
    /// The API protocol of a connection.
    ConnectionKind {
        /// The Anthropic Messages API.
        Anthropic = "anthropic" / "Anthropic (Messages)",
        /// The Chat Completions API of any OpenAI-compatible server.
        OpenAi = "openai" / "OpenAI-compatible (chat completions)",
        /// The Responses API of OpenAI or a compatible server. Connections of kind `openai`
        /// use it by themselves for models that are offered there only.
        OpenAiResponses = "openai_responses" / "OpenAI (Responses)",
        /// The built-in demo model: offline and deterministic.
        Demo = "demo" / "Demo (built in, not a real model)",
        /// The HTTP endpoint of a deployed agent. It is under test and never judges or
        /// simulates a user.
        HttpAgent = "http_agent" / "HTTP endpoint of a deployed agent",
    }
}

impl ConnectionKind {
    /// The base URL if none is given, in the form that the vendor's SDK expects.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com",
            Self::OpenAi | Self::OpenAiResponses => "https://api.openai.com/v1",
            Self::Demo | Self::HttpAgent => "",
        }
    }
}

/// A connection without its secret: an API key, a password or a client secret, whatever its
/// scheme needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Connection {
    pub id: ConnectionId,
    /// 1–200 characters.
    pub name: String,
    pub kind: ConnectionKind,
    /// Base URL in the form that the vendors' SDKs expect.
    pub base_url: String,
    /// Extra headers sent with every request. Values of secret headers are
    /// [`MASKED_VALUE`](super::MASKED_VALUE).
    pub headers: BTreeMap<String, String>,
    /// How requests authenticate with the stored key.
    pub auth: ConnectionAuth,
    /// Query parameters of every request. Values of secret parameters are
    /// [`MASKED_VALUE`](super::MASKED_VALUE).
    pub query: BTreeMap<String, String>,
    /// Timeout of one attempt of a call in seconds; `None` for the server's default.
    pub timeout_seconds: Option<u32>,
    /// The preset that it was made from.
    pub preset: Option<ConnectionPreset>,
    /// The models that the server listed at the last test; empty if it lists none.
    pub models: Vec<String>,
    /// Whether a secret is stored.
    pub has_key: bool,
    /// The last four characters of the secret; `None` without one or if it is too short to
    /// reveal them.
    pub key_last4: Option<String>,
    /// Configured by the server's environment; read-only.
    pub server_wide: bool,
    /// State of the circuit breaker for the current user.
    pub breaker: Breaker,
    pub updated_at: Timestamp,
}

/// State of the circuit breaker of one user and connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Breaker {
    pub state: BreakerState,
    /// Why the circuit breaker is not closed.
    pub reason: Option<String>,
    /// When the next call is allowed.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum BreakerState {
    /// Calls are allowed.
    #[default]
    Closed,
    /// No calls until `until`.
    Open,
    /// One call probes whether the provider has recovered.
    HalfOpen,
    /// Suspended until a user fixes the cause (API key, quota) or a probe succeeds.
    // The name in the API is older and kept.
    #[serde(rename = "latched")]
    Suspended,
}

string_enum! {
    /// What a connection test tries.
    Capability {
        Reply = "reply" / "Plain reply",
        Tools = "tools" / "Tools",
        StructuredOutput = "structured_output" / "Structured output",
    }
}

string_enum! {
    /// Whether a capability works.
    CapabilityStatus {
        Passed = "passed" / "Works",
        Failed = "failed" / "Does not work",
        /// It was not tried, or the test was inconclusive.
        NotTested = "not_tested" / "Not tested",
    }
}

/// The test of one capability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CapabilityTest {
    pub capability: Capability,
    pub status: CapabilityStatus,
    /// A sentence that describes the outcome and what it means.
    pub message: String,
    /// Request line and redacted headers; empty if no request was sent.
    pub request: String,
    /// The beginning of the answer, or the status and message of an error response. Empty
    /// without a response.
    pub answer: String,
    /// Latency in milliseconds.
    pub latency_ms: u32,
}

/// Result of a connection test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionTest {
    /// Whether the provider answered successfully.
    pub ok: bool,
    /// A sentence that describes the answer, or what to do.
    pub message: String,
    /// Request line and redacted headers; empty if no request was sent.
    pub request: String,
    /// The beginning of the answer, or the status and message of an error response. Empty
    /// without a response.
    pub answer: String,
    /// Latency in milliseconds.
    pub latency_ms: u32,
    /// What works: the plain reply of the fields above, and what else models are asked for.
    /// Empty if no call was made.
    #[serde(default)]
    pub capabilities: Vec<CapabilityTest>,
    /// The models that the server lists; empty if it has no list.
    #[serde(default)]
    pub models: Vec<String>,
}
