//! One request to a token endpoint: the client credentials grant of RFC 6749, section 4.4.

use super::super::error_text::sanitize;
use super::super::http::{HttpClient, HttpResponse, TransportError};
use super::{basic, secret_header};
use domain::url::percent_encode;
use llm_types::Endpoint;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;

/// The assumed lifetime of a token whose response names none. A server that revokes it
/// earlier answers 401, after which a new one is requested.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// The longest lifetime that is believed.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How the client ID and the client secret are sent (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// In the header `Authorization: Basic`, which every server must support.
    Header,
    /// In the body, which some servers support only.
    Body,
}

/// A new token.
pub(super) struct NewToken {
    pub(super) value: SecretString,
    pub(super) lifetime: Duration,
    pub(super) client_auth: ClientAuth,
}

/// Requests a token. If it is not known how the server takes the secret, tries the header
/// first and then the body.
pub(super) async fn request_token(
    endpoint: &Endpoint,
    secret: &SecretString,
    client_auth: Option<ClientAuth>,
    http: &HttpClient,
) -> Result<NewToken, TransportError> {
    let exchange = async {
        let first = client_auth.unwrap_or(ClientAuth::Header);
        let mut response = send(endpoint, secret, first, http).await?;
        let mut used = first;
        if client_auth.is_none() && refuses_client(&response) {
            used = ClientAuth::Body;
            response = send(endpoint, secret, used, http).await?;
        }
        read(&response, endpoint, used)
    };
    let timeout = http.options().token_timeout;
    let slow = || {
        let seconds = timeout.as_secs_f32();
        TransportError::TokenUnavailable(format!("it did not answer within {seconds} s"))
    };
    tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(slow()))
}

/// Whether a response may mean that the server did not see the secret, and not that the
/// request is wrong for another reason.
fn refuses_client(response: &HttpResponse) -> bool {
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    let code = json.as_ref().and_then(|json| json.get("error")?.as_str()).unwrap_or_default();
    matches!(response.status, 400 | 401)
        && !["invalid_scope", "invalid_grant", "unauthorized_client", "unsupported_grant_type"]
            .contains(&code)
}

async fn send(
    endpoint: &Endpoint,
    secret: &SecretString,
    client_auth: ClientAuth,
    http: &HttpClient,
) -> Result<HttpResponse, TransportError> {
    let (auth, secret) = (&endpoint.auth, secret.expose_secret());
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let mut fields = vec![("grant_type", "client_credentials")];
    if !auth.scope.is_empty() {
        fields.push(("scope", &auth.scope));
    }
    match client_auth {
        // Both parts are encoded before they are joined, unlike in RFC 7617.
        ClientAuth::Header => {
            let encoded = basic(&form_encode(&auth.client_id), &form_encode(secret));
            headers.insert(AUTHORIZATION, secret_header(&format!("Basic {encoded}"))?);
        }
        ClientAuth::Body => {
            fields.push(("client_id", &auth.client_id));
            fields.push(("client_secret", secret));
        }
    }
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect();
    let sent = http.post_form(&auth.token_url, headers, fields.join("&")).await;
    sent.map_err(|error| match error {
        TransportError::Forbidden(_) | TransportError::Unusable(_) => {
            TransportError::TokenRefused(error.reason())
        }
        _ => TransportError::TokenUnavailable(error.reason()),
    })
}

/// The encoding of `application/x-www-form-urlencoded`.
fn form_encode(text: &str) -> String {
    percent_encode(text).replace('/', "%2F")
}

fn read(
    response: &HttpResponse,
    endpoint: &Endpoint,
    client_auth: ClientAuth,
) -> Result<NewToken, TransportError> {
    let status = response.status;
    let unavailable = |what: String| Err(TransportError::TokenUnavailable(what));
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    if !(200..300).contains(&status) {
        let what = format!("it answered {status}{}", reason(json.as_ref(), endpoint));
        return match status {
            408 | 429 | 500.. => unavailable(what),
            _ => Err(TransportError::TokenRefused(what)),
        };
    }
    let Some(json) = json else { return unavailable("its response is not JSON".to_owned()) };
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    if !matches!(text("token_type").to_ascii_lowercase().as_str(), "" | "bearer") {
        let what = sanitize(&format!("its tokens are of type {}", text("token_type")), endpoint);
        return Err(TransportError::TokenRefused(what));
    }
    let value = text("access_token");
    let is_sendable = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_sendable {
        return unavailable("its response has no usable access_token".to_owned());
    }
    // Some servers write the number as text.
    let seconds = json.get("expires_in").and_then(|seconds| {
        seconds.as_u64().or_else(|| seconds.as_str().and_then(|text| text.parse().ok()))
    });
    let lifetime = seconds.map_or(DEFAULT_LIFETIME, Duration::from_secs).min(MAX_LIFETIME);
    Ok(NewToken { value: value.into(), lifetime, client_auth })
}

/// The error code and description of a token endpoint (RFC 6749, section 5.2).
fn reason(json: Option<&Value>, endpoint: &Endpoint) -> String {
    let text = |name: &str| json.and_then(|json| json.get(name)?.as_str()).unwrap_or_default();
    let parts = [text("error"), text("error_description")];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(" ({})", sanitize(&parts.join(": "), endpoint))
}
