//! The HTTP side.

use crate::answer::{Said, own, tokens_asked, wrap};
use crate::broken;
use crate::journal::{Entry, Journal, Request};
use crate::question::{Protocol, Question};
use crate::rate_limit::{Limits, spelled};
use crate::script::{Action, Script};
use crate::sending::sending;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) journal: Journal,
    playing: Mutex<Playing>,
    limits: Limits,
    requests: AtomicU64,
}

/// The script and how often each of its rules has applied.
struct Playing {
    script: Script,
    used: Vec<u32>,
}

impl Shared {
    pub(crate) fn new(script: Script) -> Self {
        let playing = Playing { used: vec![0; script.rules.len()], script };
        Self {
            journal: Journal::new(),
            playing: Mutex::new(playing),
            limits: Limits::default(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn play(&self, script: Script) {
        *self.playing.lock() = Playing { used: vec![0; script.rules.len()], script };
        self.limits.clear();
        self.requests.store(0, Ordering::SeqCst);
    }

    /// The exception for this request, if there is one, and how long it takes.
    fn cue(&self, number: u64, question: &Question) -> (Option<Action>, Duration) {
        let mut playing = self.playing.lock();
        let Playing { script, used } = &mut *playing;
        let cue = script.rules.iter().zip(used.iter_mut()).find(|(rule, used)| {
            rule.times.is_none_or(|times| **used < times) && rule.when.matches(number, question)
        });
        let latency =
            cue.as_ref().and_then(|(rule, _)| rule.latency_ms).unwrap_or(script.latency_ms);
        let action = cue.map(|(rule, used)| {
            *used += 1;
            rule.action.clone()
        });
        (action, Duration::from_millis(latency))
    }

    /// A refusal that the script makes for all.
    fn refusal(&self, body: &Value) -> Option<&'static str> {
        let playing = self.playing.lock();
        if playing.script.refuse_response_format && body.get("response_format").is_some() {
            return Some("This server does not support response_format of type json_schema");
        }
        if playing.script.refuse_max_tokens && body.get("max_tokens").is_some() {
            return Some(
                "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            );
        }
        None
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(openai))
        .route("/v1/messages", post(anthropic))
        .route("/journal", get(journal).delete(forget))
        .route("/script", get(script).post(play))
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(shared)
}

async fn openai(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let key = header(&headers, "authorization");
    let key = key.strip_prefix("Bearer ").unwrap_or(&key).to_owned();
    serve(&shared, Protocol::OpenAi, "/v1/chat/completions", &key, &headers, body).await
}

async fn anthropic(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let key = header(&headers, "x-api-key");
    serve(&shared, Protocol::Anthropic, "/v1/messages", &key, &headers, body).await
}

async fn journal(State(shared): State<Arc<Shared>>) -> Json<Vec<Entry>> {
    Json(shared.journal.entries())
}

async fn forget(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.journal.clear();
    StatusCode::NO_CONTENT
}

async fn script(State(shared): State<Arc<Shared>>) -> Json<Script> {
    Json(shared.playing.lock().script.clone())
}

async fn play(State(shared): State<Arc<Shared>>, Json(script): Json<Script>) -> StatusCode {
    shared.play(script);
    StatusCode::NO_CONTENT
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Answers one request of either protocol.
async fn serve(
    shared: &Shared,
    protocol: Protocol,
    path: &str,
    key: &str,
    headers: &HeaderMap,
    body: Value,
) -> Response {
    let question = Question::read(protocol, &body);
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let refusal = shared.refusal(&body);
    let (limits, forget) = {
        let playing = shared.playing.lock();
        let script = &playing.script;
        let limits = (script.rate_limit.clone(), script.token_limit.clone(), script.limit_headers);
        (limits, script.forget_bodies)
    };
    let tokens = tokens_asked(&question);
    let kept = headers
        .iter()
        .filter(|_| !forget)
        .filter(|(name, _)| !["authorization", "x-api-key"].contains(&name.as_str()));
    let request = Request {
        number,
        path,
        key,
        headers: kept
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect(),
        call_id: header(headers, "x-rehearsal-call"),
        body: if forget { Value::Null } else { body },
    };
    let mut open = shared.journal.open(request, &question);
    let seen = shared.limits.see(key, &limits.0, &limits.1, limits.2, tokens);
    let (action, latency) = shared.cue(number, &question);
    let mut response = if let Some(words) = seen.refused {
        error(429, words)
    } else if let Some(words) = refusal {
        error(400, words)
    } else {
        tokio::time::sleep(latency).await;
        act(action, &question, number).await
    };
    for (name, value) in seen.headers {
        insert(&mut response, &name, &value);
    }
    open.answered(response.status().as_u16());
    response.map(|body| sending(body, open))
}

/// The stand's own answer, or what the script has in its place.
async fn act(action: Option<Action>, question: &Question, number: u64) -> Response {
    let ordinary = |said: &Said| wrap(said, question, number);
    let usual = || ordinary(&own(question)).to_string().into_bytes();
    match action {
        None => Json(ordinary(&own(question))).into_response(),
        Some(Action::Answer(text)) => {
            Json(ordinary(&Said { text, ..Said::default() })).into_response()
        }
        Some(Action::Ending { text, reason }) => {
            Json(ordinary(&Said { text, reason: Some(reason), calls: vec![] })).into_response()
        }
        Some(Action::ToolCalls(calls)) => {
            Json(ordinary(&Said { calls, ..Said::default() })).into_response()
        }
        Some(Action::Raw(body)) => Json(body).into_response(),
        Some(Action::Status { status, body, headers }) => {
            let mut response = match body {
                Value::Null => error(status, "The stand was told to answer this"),
                Value::String(text) => with_status(status, text),
                body => with_status(status, body.to_string()),
            };
            headers.iter().for_each(|(name, value)| insert(&mut response, name, value));
            response
        }
        Some(Action::Later { status, after_ms, spelled: how }) => {
            let mut response = error(status, "Come back later");
            if let Some((name, value)) = spelled(how, Duration::from_millis(after_ms)) {
                insert(&mut response, &name, &value);
            }
            response
        }
        Some(Action::Hang) => std::future::pending().await,
        Some(Action::Drip { every_ms }) => {
            json_body(broken::drip(usual(), Duration::from_millis(every_ms)))
        }
        Some(Action::Cut) => json_body(broken::cut(usual())),
        Some(Action::Gone) => json_body(broken::gone()),
        Some(Action::Stall) => json_body(broken::stall()),
        Some(Action::Garbage) => with_status(200, "<html><body>It works!</body></html>".into()),
        Some(Action::Huge(bytes)) => json_body(broken::huge(bytes)),
        Some(Action::Redirect(to)) => {
            let mut response = with_status(307, String::new());
            insert(&mut response, "location", &to);
            response
        }
    }
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn error(status: u16, words: &str) -> Response {
    let body = json!({ "error": { "message": words, "type": "stand_error" } });
    with_status(status, body.to_string())
}

fn with_status(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, body).into_response()
}

/// A header that cannot be sent is left out.
fn insert(response: &mut Response, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}
