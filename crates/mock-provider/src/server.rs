//! The HTTP server.

use crate::auth::{self, Tokens};
use crate::model_request::{ModelRequest, Protocol};
use crate::models;
use crate::rate_limit::{RateLimiter, retry_after_header};
use crate::reply::{Reply, default_reply, encode};
use crate::request_log::{LoggedRequest, Outcome, RequestLog, hash};
use crate::response_body::{drip, oversized, stall, track, truncate};
use crate::responses;
use crate::script::{Action, Script};
use crate::stream::encode_stream;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The path of Anthropic's protocol.
const MESSAGES: &str = "/v1/messages";
/// The path of OpenAI's newer API.
const RESPONSES: &str = "/v1/responses";

/// State that all requests share.
pub(crate) struct Shared {
    pub(crate) request_log: RequestLog,
    active: Mutex<ActiveScript>,
    limiter: RateLimiter,
    requests: AtomicU64,
    pub(crate) tokens: Tokens,
}

/// The script and how often each of its rules has applied.
struct ActiveScript {
    script: Arc<Script>,
    used: Vec<u32>,
}

impl ActiveScript {
    fn new(script: Script) -> Self {
        Self { used: vec![0; script.rules.len()], script: Arc::new(script) }
    }
}

impl Shared {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            request_log: RequestLog::new(),
            active: Mutex::new(ActiveScript::new(script)),
            limiter: RateLimiter::default(),
            requests: AtomicU64::new(0),
            tokens: Tokens::default(),
        }
    }

    pub(crate) fn set_script(&self, script: Script) {
        *self.active.lock() = ActiveScript::new(script);
        self.limiter.clear();
        self.requests.store(0, Ordering::SeqCst);
    }

    pub(crate) fn script(&self) -> Arc<Script> {
        Arc::clone(&self.active.lock().script)
    }

    /// The action of the first rule that matches, and the latency.
    fn next_action(&self, number: u64, request: &ModelRequest) -> (Option<Action>, Duration) {
        let mut active = self.active.lock();
        let ActiveScript { script, used } = &mut *active;
        let matched = script.rules.iter().zip(used.iter_mut()).find(|(rule, used)| {
            rule.times.is_none_or(|times| **used < times) && rule.when.matches(number, request)
        });
        let latency =
            matched.as_ref().and_then(|(rule, _)| rule.latency_ms).unwrap_or(script.latency_ms);
        let action = matched.map(|(rule, used)| {
            *used += 1;
            rule.action.clone()
        });
        (action, Duration::from_millis(latency))
    }
}

/// Whether the request has the field; `/large` means a token limit above 10,000.
fn has_field(body: &Value, field: &str) -> bool {
    let limit = || {
        ["max_tokens", "max_completion_tokens", "max_output_tokens"]
            .iter()
            .find_map(|name| body[*name].as_u64())
    };
    match field {
        "/large" => limit().is_some_and(|limit| limit > 10_000),
        _ => body.pointer(field).is_some(),
    }
}

/// The error response to a request with a field that the script rejects.
fn rejection(script: &Script, protocol: Protocol, body: &Value) -> Option<Response> {
    if let Some(rejected) = script.rejects.iter().find(|one| has_field(body, &one.field)) {
        return Some(with_status(rejected.status, rejected.body.to_string()));
    }
    if protocol == Protocol::Responses {
        let (status, body) = responses::rejection(body)?;
        return Some(with_status(status, body.to_string()));
    }
    if script.reject_response_format && body.get("response_format").is_some() {
        return Some(error(
            400,
            "This server does not support response_format of type json_schema",
        ));
    }
    if script.reject_max_tokens && body.get("max_tokens").is_some() {
        let message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
        return Some(error(400, message));
    }
    None
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(call_model))
        .route(MESSAGES, post(call_model))
        .route(RESPONSES, post(call_model))
        .route("/v1/models", get(models::list))
        .route_layer(from_fn_with_state(Arc::clone(&shared), auth::check))
        .route("/oauth/token", post(auth::issue_token))
        .route("/requests", get(list_requests).delete(clear_requests))
        .route("/script", get(get_script).post(post_script))
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(shared)
}

async fn list_requests(State(shared): State<Arc<Shared>>) -> Json<Vec<LoggedRequest>> {
    Json(shared.request_log.entries())
}

async fn clear_requests(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.request_log.clear();
    StatusCode::NO_CONTENT
}

async fn get_script(State(shared): State<Arc<Shared>>) -> Json<Script> {
    Json(shared.script().as_ref().clone())
}

async fn post_script(State(shared): State<Arc<Shared>>, Json(script): Json<Script>) -> StatusCode {
    shared.set_script(script);
    StatusCode::NO_CONTENT
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn call_model(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let (protocol, key) = match uri.path() {
        MESSAGES => (Protocol::Anthropic, header(&headers, "x-api-key")),
        RESPONSES => (Protocol::Responses, header(&headers, "authorization")),
        _ => (Protocol::OpenAi, header(&headers, "authorization")),
    };
    let key = key.strip_prefix("Bearer ").unwrap_or(&key);
    let request = ModelRequest::parse(protocol, &body);
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let script = shared.script();
    let rejected = rejection(&script, protocol, &body);
    let logged_headers = headers
        .iter()
        .filter(|_| !script.discard_bodies)
        .filter(|(name, _)| !["authorization", "x-api-key"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let mut pending = shared.request_log.push(LoggedRequest {
        number,
        at_ms: shared.request_log.now_ms(),
        ended_ms: None,
        path: uri.path().to_owned(),
        protocol,
        key_hash: hash(key),
        headers: logged_headers.collect(),
        call_id: header(&headers, "x-rehearsal-call"),
        model: request.model.clone(),
        role: request.role,
        messages: request.messages,
        body: if script.discard_bodies { Value::Null } else { body },
        outcome: Outcome::InFlight,
    });
    let limits = shared.limiter.check(key, &script, request.prompt_tokens());
    let (action, latency) = shared.next_action(number, &request);
    let mut response = if let Some(message) = limits.rejected {
        error(429, &message)
    } else if let Some(response) = rejected {
        response
    } else {
        tokio::time::sleep(latency).await;
        respond(action, &request, number).await
    };
    limits.headers.iter().for_each(|(name, value)| insert(&mut response, name, value));
    pending.set_status(response.status().as_u16());
    response.map(|body| track(body, pending))
}

/// Performs the action, or sends the default reply.
async fn respond(action: Option<Action>, request: &ModelRequest, number: u64) -> Response {
    let send = |reply: Reply| {
        let whole = encode(&reply, request, number);
        if request.stream {
            return event_stream(&encode_stream(request.protocol, &whole));
        }
        Json(whole).into_response()
    };
    let default_body = || encode(&default_reply(request), request, number).to_string().into_bytes();
    let Some(action) = action else { return send(default_reply(request)) };
    match action {
        Action::Reply(text) => send(Reply { text, ..Reply::default() }),
        Action::Finish { text, reason } => {
            send(Reply { text, reason: Some(reason), calls: vec![] })
        }
        Action::ToolCalls(calls) => send(Reply { calls, ..Reply::default() }),
        Action::Json(body) => Json(body).into_response(),
        Action::Status { status, body, headers } => {
            let mut response = match body {
                Value::Null => error(status, "The script sets this status"),
                Value::String(text) => with_status(status, text),
                body => with_status(status, body.to_string()),
            };
            headers.iter().for_each(|(name, value)| insert(&mut response, name, value));
            response
        }
        Action::RetryLater { status, after_ms, format } => {
            let mut response = error(status, "Try again later");
            let header = retry_after_header(format, Duration::from_millis(after_ms));
            if let Some((name, value)) = header {
                insert(&mut response, &name, &value);
            }
            response
        }
        Action::Hang => std::future::pending().await,
        Action::Drip { every_ms } => {
            json_body(drip(default_body(), Duration::from_millis(every_ms)))
        }
        Action::TruncateBody => json_body(truncate(default_body())),
        Action::ResetBeforeBody => json_body(truncate(Vec::new())),
        Action::StallBody => json_body(stall()),
        Action::Html => with_status(200, "<html><body>It works!</body></html>".into()),
        Action::OversizedBody(bytes) => json_body(oversized(bytes)),
        Action::Redirect(location) => {
            let mut response = with_status(307, String::new());
            insert(&mut response, "location", &location);
            response
        }
    }
}

fn event_stream(body: &str) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body.to_owned()).into_response()
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn error(status: u16, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "mock_error" } });
    with_status(status, body.to_string())
}

fn with_status(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, body).into_response()
}

/// Skips headers that are invalid.
fn insert(response: &mut Response, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}
