//! Credentials that the provider requires, and its token endpoint.

use crate::server::Shared;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The headers that can carry credentials.
const HEADERS: [&str; 3] = ["authorization", "x-api-key", "api-key"];

/// The credentials of a request. A request with others, or with more than these, is
/// rejected with 401.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RequiredAuth {
    /// `Authorization: Bearer …`
    Bearer(String),
    /// `x-api-key: …`
    XApiKey(String),
    /// `api-key: …`
    ApiKey(String),
    /// `Authorization: Basic …`
    Basic { username: String, password: String },
    /// `Authorization: Bearer …` with a token of [`TokenEndpoint`].
    Token(TokenEndpoint),
    /// No credentials at all.
    None,
}

/// `POST /oauth/token`, the client credentials grant of RFC 6749.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenEndpoint {
    pub client_id: String,
    pub client_secret: String,
    /// Rejects requests for other scopes.
    pub scope: String,
    /// The `expires_in` of responses, in seconds.
    pub expires_in: Option<u64>,
    /// Takes the secret from the body only, and not from `Authorization: Basic`.
    pub secret_in_body: bool,
    /// Replies with this status instead.
    pub status: Option<u16>,
    pub latency_ms: u64,
    /// Never replies.
    pub hangs: bool,
}

/// The tokens of this provider.
#[derive(Default)]
pub(crate) struct Tokens {
    state: Mutex<TokenState>,
}

#[derive(Default)]
struct TokenState {
    requests: usize,
    issued: u64,
    /// Tokens up to this number are revoked.
    revoked: u64,
}

impl Tokens {
    /// The number of requests to the token endpoint.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().requests
    }

    /// Revokes all tokens.
    pub(crate) fn revoke(&self) {
        let mut state = self.state.lock();
        state.revoked = state.issued;
    }

    fn issue(&self) -> String {
        let mut state = self.state.lock();
        state.issued += 1;
        format!("access-token-{}", state.issued)
    }

    fn is_valid(&self, token: &str) -> bool {
        let state = self.state.lock();
        let number = token.strip_prefix("access-token-").and_then(|number| number.parse().ok());
        number.is_some_and(|number: u64| number > state.revoked && number <= state.issued)
    }
}

/// Rejects requests without the credentials and query parameters of the script.
pub(crate) async fn check(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let script = shared.script();
    let query = request.uri().query().unwrap_or_default();
    if let Some(missing) = missing_parameter(&script.required_query, query) {
        return error(StatusCode::NOT_FOUND, &format!("Resource not found: no {missing}"));
    }
    if let Some(required) = &script.auth
        && !is_accepted(required, request.headers(), &shared.tokens)
    {
        let given: Vec<String> = HEADERS
            .iter()
            .filter_map(|name| Some(value(request.headers(), name)?.to_owned()))
            .collect();
        // Some providers repeat a wrong key.
        let message = format!("Incorrect API key provided: {}", given.join(", "));
        return error(StatusCode::UNAUTHORIZED, &message);
    }
    next.run(request).await
}

fn missing_parameter<'a>(required: &'a BTreeMap<String, String>, query: &str) -> Option<&'a str> {
    let given = form_fields(query);
    let is_missing = |(name, value): &(&String, &String)| given.get(*name) != Some(*value);
    required.iter().find(is_missing).map(|(name, _)| name.as_str())
}

fn is_accepted(required: &RequiredAuth, headers: &HeaderMap, tokens: &Tokens) -> bool {
    let given: Vec<(&str, &str)> =
        HEADERS.iter().filter_map(|name| Some((*name, value(headers, name)?))).collect();
    match (required, given.as_slice()) {
        (RequiredAuth::None, []) => true,
        (RequiredAuth::Bearer(key), [("authorization", given)]) => {
            given.strip_prefix("Bearer ") == Some(key.as_str())
        }
        (RequiredAuth::XApiKey(key), [("x-api-key", given)])
        | (RequiredAuth::ApiKey(key), [("api-key", given)]) => given == key,
        (RequiredAuth::Basic { username, password }, [("authorization", given)]) => {
            basic(given) == Some(format!("{username}:{password}"))
        }
        (RequiredAuth::Token(_), [("authorization", given)]) => {
            given.strip_prefix("Bearer ").is_some_and(|token| tokens.is_valid(token))
        }
        _ => false,
    }
}

/// The decoded credentials of the Basic scheme.
fn basic(header: &str) -> Option<String> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    String::from_utf8(decoded).ok()
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `POST /oauth/token`
pub(crate) async fn issue_token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.tokens.state.lock().requests += 1;
    let script = shared.script();
    let Some(RequiredAuth::Token(endpoint)) = &script.auth else {
        return StatusCode::NOT_FOUND.into_response();
    };
    tokio::time::sleep(Duration::from_millis(endpoint.latency_ms)).await;
    if endpoint.hangs {
        return std::future::pending().await;
    }
    if let Some(status) = endpoint.status.and_then(|status| StatusCode::from_u16(status).ok()) {
        return (status, "the script sets this status").into_response();
    }
    let fields = form_fields(&String::from_utf8_lossy(&body));
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let client = if endpoint.secret_in_body {
        (field("client_id"), field("client_secret"))
    } else {
        let credentials = value(&headers, header::AUTHORIZATION.as_str()).and_then(basic);
        let credentials = credentials.unwrap_or_default();
        let (id, secret) = credentials.split_once(':').unwrap_or_default();
        (decode(id), decode(secret))
    };
    let refuse = |code: &str, description: String| {
        let body = json!({ "error": code, "error_description": description });
        (StatusCode::UNAUTHORIZED, Json(body)).into_response()
    };
    if client != (endpoint.client_id.clone(), endpoint.client_secret.clone()) {
        // Repeats the wrong secret, as a careless server may.
        return refuse("invalid_client", format!("unknown client secret {}", client.1));
    }
    if field("grant_type") != "client_credentials" || field("scope") != endpoint.scope {
        return refuse("invalid_scope", format!("no scope {}", field("scope")));
    }
    let mut reply = json!({ "access_token": shared.tokens.issue(), "token_type": "Bearer" });
    if let Some(seconds) = endpoint.expires_in {
        reply["expires_in"] = seconds.into();
    }
    Json(reply).into_response()
}

/// The fields of a query or a form.
fn form_fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Decodes `application/x-www-form-urlencoded`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = std::str::from_utf8(&digits).ok();
                digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "mock_error" } });
    (status, Json(body)).into_response()
}
