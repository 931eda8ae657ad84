//! Connections: how a model is reached.

use super::ids::ConnectionId;
use super::problem::Problems;
use super::timestamp::Timestamp;
use super::{Draft, Reader, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ConnectionKind {
    /// Anthropic's Messages API.
    Anthropic,
    /// Chat completions of any OpenAI-compatible server.
    #[serde(rename = "openai")]
    OpenAi,
    /// Offline, deterministic, a stand-in.
    Demo,
}

impl ConnectionKind {
    /// All kinds with their words.
    pub const ALL: [(&'static str, Self); 3] =
        [("anthropic", Self::Anthropic), ("openai", Self::OpenAi), ("demo", Self::Demo)];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Demo => "demo",
        }
    }

    /// The base URL when none is given, as the vendor's SDK takes it.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com",
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Demo => "",
        }
    }
}

/// A connection as it is shown: never its key, only the last four characters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// 1–200 characters.
    pub name: String,
    /// The protocol.
    pub kind: ConnectionKind,
    /// Where; as the vendors' SDKs take it.
    pub base_url: String,
    /// Extra headers sent with each call.
    pub headers: BTreeMap<String, String>,
    /// Whether a key is stored.
    pub has_key: bool,
    /// The last four characters of the key, if there is one that is long
    /// enough to show them.
    pub key_last4: Option<String>,
    /// Offered by the server from its environment: used, not edited.
    pub server_wide: bool,
    /// State of its circuit for the user who asks.
    pub breaker: Breaker,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The circuit of one user on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Breaker {
    /// The state.
    pub state: BreakerState,
    /// Why, in words; empty while closed.
    pub reason: Option<String>,
    /// When the next call may try.
    pub until: Option<Timestamp>,
}

/// State of a circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum BreakerState {
    /// Calls go through.
    #[default]
    Closed,
    /// No call goes through until `until`.
    Open,
    /// One real call probes.
    HalfOpen,
    /// Stopped until somebody changes something (key, quota).
    Latched,
}

/// What a person writes about a connection.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionSpec {
    /// 1–200 characters.
    pub name: String,
    /// The protocol.
    pub kind: ConnectionKind,
    /// Where; without a trailing slash.
    pub base_url: String,
    /// Extra headers.
    pub headers: BTreeMap<String, String>,
    /// A new key; `None` keeps the stored one.
    pub api_key: Option<String>,
    /// The stored key goes.
    #[serde(default)]
    pub remove_key: bool,
}

impl std::fmt::Debug for ConnectionSpec {
    /// Without the key and without header values: neither belongs in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionSpec")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl ConnectionSpec {
    /// The valid connection, or all problems of the draft. Whether an address
    /// may be reached (private networks) is the server's to say.
    ///
    /// # Errors
    /// Every problem, with its path.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
        if !reader.is_object() {
            return Err(problems);
        }
        let name = reader.name("name", limits::NAME, true);
        let kind = reader.choice("kind", &ConnectionKind::ALL, None);
        let mut base_url = reader.name("base_url", 2000, false).trim_end_matches('/').to_owned();
        if let Some(kind) = kind
            && base_url.is_empty()
        {
            kind.default_base_url().clone_into(&mut base_url);
        }
        let web = ["http://", "https://"].iter().any(|scheme| {
            base_url
                .strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        if kind.is_some_and(|kind| kind != ConnectionKind::Demo) && !web {
            reader.problem("base_url", "must start with https:// or http:// and name a server");
        }
        if base_url.contains(char::is_whitespace) {
            reader.problem("base_url", "must not contain spaces");
        }
        if base_url.contains('@') || base_url.contains('?') || base_url.contains('#') {
            reader.problem("base_url", "must not contain a user, a query or a fragment");
        }
        let headers = parse_headers(&mut reader);
        let key = reader.text("api_key", 4096).trim().to_owned();
        if key.chars().any(|c| c.is_control() || !c.is_ascii()) {
            reader.problem("api_key", "must be plain ASCII on one line");
        }
        let remove_key = reader.flag("remove_key", false);
        if remove_key && !key.is_empty() {
            reader.problem("remove_key", "leave this open, or leave the key empty");
        }
        // `based_on` and `model` are the form's: what it shows, what to test.
        reader.finish(&[
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
        match kind {
            Some(kind) if problems.is_empty() => Ok(Self {
                name,
                kind,
                base_url,
                headers,
                api_key: (!key.is_empty()).then_some(key),
                remove_key,
            }),
            _ => Err(problems),
        }
    }
}

/// Headers that carry the key.
const OF_THE_KEY: [&str; 2] = ["authorization", "x-api-key"];
/// Headers that say how a message is sent: setting one breaks every call.
const OF_THE_MESSAGE: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Headers as an object, or as lines `Name: value` (forms).
fn parse_headers(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    match reader.value("headers") {
        None => {}
        Some(serde_json::Value::String(text)) => {
            for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                match line.split_once(':') {
                    Some((name, value)) => pairs.push((name.trim().into(), value.trim().into())),
                    None => {
                        reader.problem("headers", format!("line {}: must be Name: value", i + 1))
                    }
                }
            }
        }
        Some(serde_json::Value::Object(map)) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(value) => pairs.push((name.clone(), value.trim().to_owned())),
                    None => reader.problem("headers", format!("{name} must be text")),
                }
            }
        }
        Some(_) => reader.problem("headers", "must be an object of names and values"),
    }
    if pairs.len() > limits::ITEMS {
        reader.problem("headers", format!("must have at most {} entries", limits::ITEMS));
    }
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    for (i, (name, value)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            reader.problem("headers", format!("{name} is given twice"));
        }
        if name.is_empty() || !name.chars().all(token) {
            reader.problem("headers", format!("{name:?} is not the name of a header"));
        }
        let is_among = |own: &[&str]| own.iter().any(|own| own.eq_ignore_ascii_case(name));
        if is_among(&OF_THE_KEY) {
            reader.problem("headers", format!("{name} is set by Rehearsal; use the key field"));
        } else if is_among(&OF_THE_MESSAGE) {
            reader.problem("headers", format!("{name} is set by Rehearsal"));
        }
        if value.chars().any(|c| c.is_control() || !c.is_ascii()) || value.len() > 4096 {
            reader.problem("headers", format!("{name} must be short plain ASCII on one line"));
        }
    }
    pairs.into_iter().collect()
}

/// What a test of a connection found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionTest {
    /// Whether a real answer came.
    pub ok: bool,
    /// A sentence: what was answered, or what to do.
    pub message: String,
    /// The request line, headers redacted; empty where nothing was sent.
    pub request: String,
    /// The beginning of the answer; of a refusal its status and the provider's own
    /// words. Empty where nothing came back.
    pub answer: String,
    /// Milliseconds it took.
    pub latency_ms: u32,
}
