//! The user-supplied part of a connection and its validation.

use super::connection::ConnectionKind;
use super::connection_auth::{AuthScheme, ConnectionAuth, NOT_HTTP, is_http_url, parse_auth};
use super::connection_headers::{MASKED_VALUE, parse_headers};
use super::connection_preset::{API_VERSION, ConnectionPreset, KeyUse, azure_base_url};
use super::connection_query::parse_query;
use super::problem::Problems;
use super::{Draft, DraftReader, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    pub auth: ConnectionAuth,
    /// Query parameters of every request. [`MASKED_VALUE`](super::MASKED_VALUE) keeps the
    /// stored value.
    pub query: BTreeMap<String, String>,
    /// Timeout of one attempt of a call in seconds; `None` for the server's default.
    pub timeout_seconds: Option<u32>,
    pub preset: Option<ConnectionPreset>,
    /// A new secret: the key, password or client secret. `None` keeps the stored one.
    pub api_key: Option<String>,
    /// Whether to delete the stored secret.
    #[serde(default)]
    pub remove_key: bool,
}

impl std::fmt::Debug for ConnectionSpec {
    /// Omits the API key, the headers and the query, which must not appear in logs.
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
        masked(&self.headers)
    }

    /// Names of the query parameters whose stored values remain.
    pub fn masked_parameters(&self) -> impl Iterator<Item = &str> {
        masked(&self.query)
    }

    /// Whether a connection without a secret can call nothing. `None` if it can, otherwise
    /// a message that follows the name of the field.
    #[must_use]
    pub fn missing_secret(&self) -> Option<String> {
        let preset = self.preset.map(|preset| preset.facts().key);
        let scheme = self.auth.scheme;
        let is_required = scheme.requires_secret()
            || preset == Some(KeyUse::Required) && scheme != AuthScheme::None;
        let name = scheme.secret_name();
        is_required.then(|| format!("must not be empty: calls need a {name}"))
    }

    /// Validates the draft. The server additionally checks whether the URLs are allowed
    /// (private networks).
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let name = reader.name("name", limits::NAME, true);
        let preset = read_preset(&mut reader);
        let facts = preset.map(ConnectionPreset::facts);
        let kind = reader.choice("kind", ConnectionKind::ALL, facts.map(|facts| facts.kind));
        let base_url = read_base_url(&mut reader, kind, preset);
        let default_scheme =
            facts.map(|facts| facts.auth_scheme).or_else(|| kind.map(AuthScheme::default_of));
        let mut auth = parse_auth(&mut reader, default_scheme);
        if kind == Some(ConnectionKind::Demo) {
            auth = Some(AuthScheme::None.into());
        }
        let headers = parse_headers(&mut reader);
        let query = read_query(&mut reader, preset, &base_url);
        let timeout_seconds = reader.optional_integer("timeout_seconds", 1, limits::CALL_SECONDS);
        let scheme = auth.as_ref().map(|auth| auth.scheme);
        let (api_key, remove_key) = read_key(&mut reader, scheme, kind);
        // `based_on` and `model` are fields of the form only.
        reader.deny_unknown_fields(&[
            "id",
            "has_key",
            "key_last4",
            "based_on",
            "model",
            "models",
            "server_wide",
            "breaker",
            "updated_at",
            "revision",
            "idempotency_key",
        ]);
        Some(Self {
            name,
            kind: kind?,
            base_url,
            headers,
            auth: auth?,
            query,
            timeout_seconds,
            preset,
            api_key,
            remove_key,
        })
    }
}

fn masked(values: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let masked = values.iter().filter(|(_, value)| *value == MASKED_VALUE);
    masked.map(|(name, _)| name.as_str())
}

fn read_preset(reader: &mut DraftReader<'_>) -> Option<ConnectionPreset> {
    let word = reader.name("preset", limits::NAME, false);
    if word.is_empty() {
        return None;
    }
    reader.choice("preset", ConnectionPreset::ALL, None)
}

/// The base URL, by default that of the preset or the kind. Azure's depends on a resource.
fn read_base_url(
    reader: &mut DraftReader<'_>,
    kind: Option<ConnectionKind>,
    preset: Option<ConnectionPreset>,
) -> String {
    let mut base_url = reader.name("base_url", 2000, false).trim_end_matches('/').to_owned();
    let resource = reader.name("resource", limits::NAME, false);
    if preset == Some(ConnectionPreset::AzureOpenAi) {
        match (base_url.is_empty(), resource.is_empty()) {
            (true, true) => {
                reader.problem("resource", "must not be empty");
                return base_url;
            }
            (false, false) => reader.problem("base_url", "must be empty if a resource is given"),
            (false, true) => {}
            (true, false) => match azure_base_url(&resource) {
                Ok(url) => return url,
                Err(problem) => {
                    reader.problem("resource", problem);
                    return base_url;
                }
            },
        }
    } else if !resource.is_empty() {
        reader.problem("resource", "is only known for Azure OpenAI");
    }
    if base_url.is_empty() {
        let default = preset.map(|preset| preset.facts().base_url);
        let default = default.or_else(|| kind.map(ConnectionKind::default_base_url));
        base_url.push_str(default.unwrap_or_default());
    }
    if kind.is_some_and(|kind| kind != ConnectionKind::Demo) && !is_http_url(&base_url) {
        reader.problem("base_url", NOT_HTTP);
    }
    if base_url.contains(char::is_whitespace) {
        reader.problem("base_url", "must not contain spaces");
    }
    if base_url.contains('@') || base_url.contains('?') || base_url.contains('#') {
        reader.problem("base_url", "must not contain user info, a query or a fragment");
    }
    base_url
}

/// The query parameters. The form of Azure has a field of its own for `api-version`.
fn read_query(
    reader: &mut DraftReader<'_>,
    preset: Option<ConnectionPreset>,
    base_url: &str,
) -> BTreeMap<String, String> {
    let mut query = parse_query(reader);
    let version = reader.name("api_version", limits::NAME, false);
    if !version.is_empty() && query.insert(API_VERSION.to_owned(), version).is_some() {
        reader.problem("query", format!("{API_VERSION} is specified twice"));
    }
    let version = query.get(API_VERSION);
    let is_dated = version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));
    if preset == Some(ConnectionPreset::AzureOpenAi) && is_dated && base_url.ends_with("/v1") {
        reader.problem(
            "api_version",
            "must be empty, v1 or preview for the v1 API; a dated version needs the base URL of \
             a deployment, such as https://my-resource.openai.azure.com/openai/deployments/gpt",
        );
    }
    query
}

/// The new secret, and whether the stored one is removed.
fn read_key(
    reader: &mut DraftReader<'_>,
    scheme: Option<AuthScheme>,
    kind: Option<ConnectionKind>,
) -> (Option<String>, bool) {
    let key = reader.text("api_key", 4096).trim().to_owned();
    if key.chars().any(|c| c.is_control() || !c.is_ascii()) {
        reader.problem("api_key", "must be ASCII text on one line");
    }
    let remove_key = reader.flag("remove_key", false);
    if remove_key && !key.is_empty() {
        reader.problem("remove_key", "must not be combined with a new key");
    }
    let is_unused = scheme == Some(AuthScheme::None) && kind != Some(ConnectionKind::Demo);
    if is_unused && !key.is_empty() {
        reader.problem("api_key", "must be empty if the connection uses no authentication");
    }
    ((!key.is_empty()).then_some(key), remove_key)
}
