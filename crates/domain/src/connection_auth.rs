//! How the requests of a connection authenticate.

use super::connection::ConnectionKind;
use super::string_enum::string_enum;
use super::{DraftReader, limits};
use serde::{Deserialize, Serialize};

string_enum! {
    /// How requests authenticate with the secret of a connection.
    AuthScheme {
        /// `Authorization: Bearer KEY`
        Bearer = "bearer" / "Bearer token",
        /// `x-api-key: KEY`
        XApiKey = "x_api_key" / "Header x-api-key",
        /// `api-key: KEY`
        ApiKey = "api_key" / "Header api-key",
        /// `Authorization: Basic …` with a user name; the secret is the password (RFC 7617).
        Basic = "basic" / "Basic (user name and password)",
        /// A bearer token from a token endpoint; the secret is the client secret (RFC 6749,
        /// section 4.4).
        OauthClientCredentials = "oauth_client_credentials" / "OAuth client credentials",
        /// No credentials.
        None = "none" / "None",
    }
}

impl AuthScheme {
    /// The scheme of the vendor's own API.
    #[must_use]
    pub fn default_of(kind: ConnectionKind) -> Self {
        match kind {
            ConnectionKind::Anthropic => Self::XApiKey,
            ConnectionKind::OpenAi
            | ConnectionKind::OpenAiResponses
            | ConnectionKind::HttpAgent => Self::Bearer,
            ConnectionKind::Demo => Self::None,
        }
    }

    /// Whether no request can be authenticated without a secret. With the other schemes, a
    /// request without a key is sent without credentials, as local servers accept it.
    #[must_use]
    pub fn requires_secret(self) -> bool {
        matches!(self, Self::Basic | Self::OauthClientCredentials)
    }

    /// What the secret is called in this scheme.
    #[must_use]
    pub fn secret_name(self) -> &'static str {
        match self {
            Self::Basic => "password",
            Self::OauthClientCredentials => "client secret",
            _ => "key",
        }
    }
}

/// How a connection authenticates, without its secret. Fields that the scheme does not use
/// are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionAuth {
    pub scheme: AuthScheme,
    /// The user name of `basic`.
    #[serde(default)]
    pub username: String,
    /// The client ID of `oauth_client_credentials`.
    #[serde(default)]
    pub client_id: String,
    /// The token endpoint of `oauth_client_credentials`. The client secret is sent only
    /// there.
    #[serde(default)]
    pub token_url: String,
    /// The requested scopes of `oauth_client_credentials`, separated by spaces; empty for
    /// the server's default.
    #[serde(default)]
    pub scope: String,
}

impl From<AuthScheme> for ConnectionAuth {
    fn from(scheme: AuthScheme) -> Self {
        let (username, client_id, token_url, scope) = Default::default();
        Self { scheme, username, client_id, token_url, scope }
    }
}

/// Parses the object `auth`. Ignores fields of other schemes, because a form posts all of
/// them.
pub(super) fn parse_auth(
    reader: &mut DraftReader<'_>,
    default: Option<AuthScheme>,
) -> Option<ConnectionAuth> {
    let mut r = reader.object("auth");
    if !r.is_object() {
        return None;
    }
    let default = default.unwrap_or(AuthScheme::Bearer);
    let scheme = r.choice("scheme", AuthScheme::ALL, Some(default))?;
    let mut auth = ConnectionAuth::from(scheme);
    match scheme {
        AuthScheme::Basic => {
            auth.username = r.name("username", limits::CREDENTIAL_FIELD, true);
            if auth.username.contains(':') {
                r.problem("username", "must not contain a colon");
            }
        }
        AuthScheme::OauthClientCredentials => {
            auth.token_url = token_url(&mut r);
            auth.client_id = r.name("client_id", limits::CREDENTIAL_FIELD, true);
            auth.scope = r.name("scope", limits::CREDENTIAL_FIELD, false);
        }
        _ => {}
    }
    r.deny_unknown_fields(&["username", "client_id", "token_url", "scope"]);
    Some(auth)
}

fn token_url(r: &mut DraftReader<'_>) -> String {
    let url = r.name("token_url", limits::CREDENTIAL_FIELD, true);
    if url.is_empty() {
        return url;
    }
    if !is_http_url(&url) {
        r.problem("token_url", NOT_HTTP);
    } else if url.contains(char::is_whitespace) {
        r.problem("token_url", "must not contain spaces");
    } else if url.contains('@') || url.contains('#') {
        r.problem("token_url", "must not contain user info or a fragment");
    }
    url
}

/// The problem of a text for which [`is_http_url`] is false.
pub(super) const NOT_HTTP: &str = "must start with https:// or http:// and include a host";

/// Whether a text begins like an HTTP URL with a host.
pub(super) fn is_http_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}
