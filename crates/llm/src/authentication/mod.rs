//! The credentials of requests: the one place that knows how each scheme is sent.

mod token_cache;
mod token_request;

use super::http::{HttpClient, TransportError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::AuthScheme;
use llm_types::Endpoint;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
pub(super) use token_cache::TokenCache;

/// Credentials as one request carries them.
pub(super) struct Credentials {
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    /// A secret that is not stored with the connection, but sent: the access token, or the
    /// encoded password. It must not appear in messages.
    pub(super) derived: Option<SecretString>,
    /// Whether they contain a token that was requested for an earlier request, so that the
    /// server may have revoked it since.
    pub(super) is_reused_token: bool,
}

impl Credentials {
    fn none() -> Self {
        Self { header: None, derived: None, is_reused_token: false }
    }

    fn header(name: HeaderName, value: &str) -> Result<Self, TransportError> {
        Ok(Self { header: Some((name, secret_header(value)?)), ..Self::none() })
    }

    /// The credentials of an endpoint. Requests a token if the scheme needs one and none is
    /// cached.
    ///
    /// # Errors
    /// If the key cannot be sent in a header, or there is no token.
    pub(super) async fn of(
        endpoint: &Endpoint,
        http: &HttpClient,
        tokens: &TokenCache,
    ) -> Result<Self, TransportError> {
        let scheme = endpoint.auth.scheme;
        let Some(key) = &endpoint.key else {
            return if scheme.requires_secret() {
                let secret = scheme.secret_name();
                Err(TransportError::Unusable(format!("it has no {secret}; enter one")))
            } else {
                Ok(Self::none())
            };
        };
        let key = key.expose_secret();
        match scheme {
            AuthScheme::None => Ok(Self::none()),
            AuthScheme::Bearer => Self::header(AUTHORIZATION, &format!("Bearer {key}")),
            AuthScheme::XApiKey => Self::header(HeaderName::from_static("x-api-key"), key),
            AuthScheme::ApiKey => Self::header(HeaderName::from_static("api-key"), key),
            AuthScheme::Basic => {
                let encoded = basic(&endpoint.auth.username, key);
                let credentials = Self::header(AUTHORIZATION, &format!("Basic {encoded}"))?;
                Ok(Self { derived: Some(encoded.into()), ..credentials })
            }
            AuthScheme::OauthClientCredentials => {
                let (token, is_reused_token) = tokens.token(endpoint, http).await?;
                let bearer = format!("Bearer {}", token.expose_secret());
                let credentials = Self::header(AUTHORIZATION, &bearer)?;
                Ok(Self { derived: Some(token), is_reused_token, ..credentials })
            }
        }
    }
}

/// The user name and the password of the Basic scheme (RFC 7617), encoded.
fn basic(username: &str, password: &str) -> String {
    STANDARD.encode(format!("{username}:{password}"))
}

/// Creates a header value that is hidden in debug output.
fn secret_header(text: &str) -> Result<HeaderValue, TransportError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| TransportError::Unusable("its key contains invalid characters".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The extra headers of the endpoint, which were validated when they were stored.
pub(super) fn extra_headers(endpoint: &Endpoint) -> Result<HeaderMap, TransportError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        let unusable = || TransportError::Unusable(format!("the header {name:?} is not valid"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Adds the query parameters of the endpoint to a URL.
pub(super) fn add_query(url: &mut Url, endpoint: &Endpoint) {
    if !endpoint.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&endpoint.query);
    }
}

/// Replaces a secret in a response body, so that no message of the server reveals it.
pub(super) fn mask(body: &mut Vec<u8>, secret: &SecretString) {
    let secret = secret.expose_secret();
    let is_repeated =
        !secret.is_empty() && body.windows(secret.len()).any(|part| part == secret.as_bytes());
    if is_repeated {
        *body = String::from_utf8_lossy(body).replace(secret, "[key]").into_bytes();
    }
}
