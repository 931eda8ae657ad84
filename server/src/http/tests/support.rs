//! Helpers: the router with fake services, requests and responses.

use super::fake_event_source::FakeEventSource;
use super::fake_services::FakeServices;
use crate::http::{
    EventSource, HttpSettings, HttpState, Readiness, SharedSessions, SignInLimits, router,
};
use app::pages::lazy_routes::ChunkFiles;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use clock::Clock;
use domain::Timestamp;
use domain::services::Services;
use leptos::config::LeptosOptions;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result as StoreResult};

/// A clock that tests move forward.
#[derive(Debug)]
pub(super) struct TestClock(AtomicI64);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000_000))
    }
}

impl TestClock {
    pub(super) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// An in-memory session store that counts writes and can reject new sessions.
#[derive(Debug, Default)]
pub(super) struct MemorySessions {
    records: Mutex<HashMap<Id, Record>>,
    pub(super) writes: AtomicI64,
    pub(super) full: AtomicBool,
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::Backend("the disk is full".to_owned()));
        }
        self.save(record).await
    }
    async fn save(&self, record: &Record) -> StoreResult<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.records.lock().insert(record.id, record.clone());
        Ok(())
    }
    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        Ok(self.records.lock().get(id).cloned())
    }
    async fn delete(&self, id: &Id) -> StoreResult<()> {
        self.records.lock().remove(id);
        Ok(())
    }
}

struct NotReady;

#[async_trait]
impl Readiness for NotReady {
    async fn ready(&self) -> Result<(), String> {
        Err("The engine's heartbeat is 30 s old.".to_owned())
    }
}

fn state(
    services: Services,
    event_source: Arc<dyn EventSource>,
    sessions: Arc<dyn SessionStore>,
    clock: Arc<TestClock>,
) -> HttpState {
    HttpState {
        services,
        event_source,
        readiness: Arc::new(NotReady),
        sessions: SharedSessions(sessions),
        clock,
        settings: Arc::default(),
        leptos: LeptosOptions::builder().output_name("rehearsal").build(),
        chunks: ChunkFiles::default(),
        metrics: None,
        sign_ins: Arc::new(SignInLimits::default()),
        shutdown: CancellationToken::new(),
    }
}

/// State with fake services.
pub(super) fn fake_state() -> HttpState {
    let services = Arc::new(FakeServices::default()).services();
    let sessions = Arc::new(MemorySessions::default());
    state(services, Arc::new(FakeEventSource::default()), sessions, Arc::default())
}

/// The router with the given services.
pub(super) fn router_with(
    services: Services,
    event_source: Arc<dyn EventSource>,
    sessions: Arc<dyn SessionStore>,
    clock: Arc<TestClock>,
) -> Router {
    router(state(services, event_source, sessions, clock))
}

/// The router with fake services.
pub(super) struct TestServer {
    pub(super) fake: Arc<FakeServices>,
    pub(super) events: Arc<FakeEventSource>,
    pub(super) sessions: Arc<MemorySessions>,
    pub(super) clock: Arc<TestClock>,
    pub(super) shutdown: CancellationToken,
    router: Router,
}

impl TestServer {
    pub(super) fn new() -> Self {
        Self::with(HttpSettings::default())
    }

    pub(super) fn with(settings: HttpSettings) -> Self {
        let fake = Arc::new(FakeServices::default());
        let events = Arc::new(FakeEventSource::default());
        let sessions = Arc::new(MemorySessions::default());
        let clock = Arc::new(TestClock::default());
        let mut state = state(fake.services(), events.clone(), sessions.clone(), clock.clone());
        state.settings = Arc::new(settings);
        let shutdown = state.shutdown.clone();
        Self { fake, events, sessions, clock, shutdown, router: router(state) }
    }

    pub(super) async fn send_raw(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("the router does not fail")
    }

    /// Sends a request with a valid token.
    pub(super) async fn api(&self, request: TestRequest) -> TestResponse {
        self.send(request.header("authorization", "Bearer good")).await
    }

    pub(super) async fn send(&self, request: TestRequest) -> TestResponse {
        let response = self.send_raw(request.0).await;
        TestResponse::read(response).await
    }

    /// Signs in and returns the session cookie.
    pub(super) async fn cookie(&self) -> String {
        let form = "email=ada%40example.com&password=right";
        let response = self.send(TestRequest::form("/forms/sign-in", form)).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", response.text);
        response.cookie("rehearsal_session").expect("a cookie")
    }
}

pub(super) struct TestRequest(pub(super) Request<Body>);

impl TestRequest {
    pub(super) fn new(method: &str, path: &str, body: impl Into<Body>) -> Self {
        let request = Request::builder().method(method).uri(path).header("host", "here:3000");
        Self(request.body(body.into()).expect("a request"))
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new("GET", path, Body::empty())
    }

    pub(super) fn json(method: &str, path: &str, body: &Value) -> Self {
        Self::new(method, path, body.to_string()).header("content-type", "application/json")
    }

    pub(super) fn form(path: &str, body: &str) -> Self {
        Self::new("POST", path, body.to_owned())
            .header("content-type", "application/x-www-form-urlencoded")
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().insert(name, value.parse().expect("a header"));
        self
    }
}

pub(super) struct TestResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl TestResponse {
    pub(super) async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: parts.status, headers: parts.headers, text }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic_with(&self.text, &error))
    }

    /// Parses and checks the problem document.
    pub(super) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        for member in ["type", "title", "detail", "instance"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
        }
        problem
    }

    pub(super) fn set_cookie(&self, name: &str) -> Option<&str> {
        let start = format!("{name}=");
        let cookies = self.headers.get_all(header::SET_COOKIE).iter();
        cookies.filter_map(|cookie| cookie.to_str().ok()).find(|c| c.starts_with(&start))
    }

    /// `name=value`, as a browser returns it.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        self.set_cookie(name)?.split(';').next().map(str::to_owned)
    }

    /// The location of a 303.
    pub(super) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.header("location")
    }
}

#[allow(clippy::panic)] // test helper
fn panic_with(text: &str, error: &serde_json::Error) -> Value {
    panic!("not JSON ({error}): {text}")
}
