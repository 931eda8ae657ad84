//! Connections to model providers.

use super::connection_headers::{MASKED_VALUE, parse_headers};
use super::ids::ConnectionId;
use super::problem::Problems;
use super::string_enum::string_enum;
use super::timestamp::Timestamp;
use super::{Draft, DraftReader, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

string_enum! {
    /// The API protocol of a connection.
    ConnectionKind {
        /// The Anthropic Messages API.
        Anthropic = "anthropic" / "Anthropic (Messages)",
        /// The Chat Completions API of any OpenAI-compatible server.
        OpenAi = "openai" / "OpenAI-compatible (chat completions)",
        /// The built-in demo model: offline and deterministic.
        Demo = "demo" / "Demo (built in, not a real model)",
    }
}

impl ConnectionKind {
    /// The base URL if none is given, in the form that the vendor's SDK expects.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com",
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Demo => "",
        }
    }
}

/// A connection without its API key.
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
    /// Whether an API key is stored.
    pub has_key: bool,
    /// The last four characters of the API key; `None` without a key or if the key is too
    /// short to reveal them.
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
    #[serde(rename = "latched")]
    Suspended,
}

/// The user-supplied part of a connection, validated by [`ConnectionSpec::parse`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionSpec {
    /// 1–200 characters.
    pub name: String,
    pub kind: ConnectionKind,
    /// Without a trailing slash.
    pub base_url: String,
    /// Extra headers sent with every request. [`MASKED_VALUE`](super::MASKED_VALUE) keeps
    /// the stored value.
    pub headers: BTreeMap<String, String>,
    /// A new API key; `None` keeps the stored key.
    pub api_key: Option<String>,
    /// Whether to delete the stored API key.
    #[serde(default)]
    pub remove_key: bool,
}

impl std::fmt::Debug for ConnectionSpec {
    /// Omits the API key and the headers, which must not appear in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionSpec")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl ConnectionSpec {
    /// Names of the headers whose stored values remain.
    pub fn masked_headers(&self) -> impl Iterator<Item = &str> {
        let masked = self.headers.iter().filter(|(_, value)| *value == MASKED_VALUE);
        masked.map(|(name, _)| name.as_str())
    }

    /// Validates the draft. The server additionally checks whether the URL is allowed
    /// (private networks).
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let name = reader.name("name", limits::NAME, true);
        let kind = reader.choice("kind", ConnectionKind::ALL, None);
        let mut base_url = reader.name("base_url", 2000, false).trim_end_matches('/').to_owned();
        if let Some(kind) = kind
            && base_url.is_empty()
        {
            kind.default_base_url().clone_into(&mut base_url);
        }
        let is_http = ["http://", "https://"].iter().any(|scheme| {
            base_url
                .strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        if kind.is_some_and(|kind| kind != ConnectionKind::Demo) && !is_http {
            reader.problem("base_url", "must start with https:// or http:// and include a host");
        }
        if base_url.contains(char::is_whitespace) {
            reader.problem("base_url", "must not contain spaces");
        }
        if base_url.contains('@') || base_url.contains('?') || base_url.contains('#') {
            reader.problem("base_url", "must not contain user info, a query or a fragment");
        }
        let headers = parse_headers(&mut reader);
        let key = reader.text("api_key", 4096).trim().to_owned();
        if key.chars().any(|c| c.is_control() || !c.is_ascii()) {
            reader.problem("api_key", "must be ASCII text on one line");
        }
        let remove_key = reader.flag("remove_key", false);
        if remove_key && !key.is_empty() {
            reader.problem("remove_key", "must not be combined with a new key");
        }
        // `based_on` and `model` are fields of the form only.
        reader.deny_unknown_fields(&[
            "id",
            "has_key",
            "key_last4",
            "based_on",
            "model",
            "server_wide",
            "breaker",
            "updated_at",
            "revision",
            "idempotency_key",
        ]);
        let api_key = (!key.is_empty()).then_some(key);
        Some(Self { name, kind: kind?, base_url, headers, api_key, remove_key })
    }
}

/// Result of a connection test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}
