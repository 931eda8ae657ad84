//! The real router over fakes, and short words for requests.

use super::fake_services::FakeServices;
use super::fake_live::FakeLive;
use clock::Clock;
use crate::http::{HttpSettings, HttpState, Live, Readiness, SharedSessions, SignInLimits, router};
use domain::services::Services;
use domain::Timestamp;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
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

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(super) struct TestClock(AtomicI64);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000_000))
    }
}

impl TestClock {
    pub(super) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Sessions in memory, with a count of how often they were written, and a
/// switch that lets no new ones in.
#[derive(Debug, Default)]
pub(super) struct Memory {
    records: Mutex<HashMap<Id, Record>>,
    pub(super) writes: AtomicI64,
    pub(super) full: AtomicBool,
}

#[async_trait]
impl SessionStore for Memory {
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

struct Ready;

#[async_trait]
impl Readiness for Ready {
    async fn ready(&self) -> Result<(), String> {
        Err("The engine's heartbeat is 30 s old.".to_owned())
    }
}

fn state(
    services: Services,
    live: Arc<dyn Live>,
    sessions: Arc<Memory>,
    clock: Arc<TestClock>,
) -> HttpState {
    HttpState {
        services,
        live,
        readiness: Arc::new(Ready),
        sessions: SharedSessions(sessions),
        clock,
        settings: Arc::default(),
        leptos: LeptosOptions::builder().output_name("rehearsal").build(),
        metrics: None,
        sign_ins: Arc::new(SignInLimits::default()),
        shutdown: CancellationToken::new(),
    }
}

/// The router over a backend that is no fake.
pub(super) fn router_over(
    services: Services,
    live: Arc<dyn Live>,
    sessions: Arc<Memory>,
    clock: Arc<TestClock>,
) -> Router {
    router(state(services, live, sessions, clock))
}

/// A server and the fakes behind it.
pub(super) struct Server {
    pub(super) fake: Arc<FakeServices>,
    pub(super) live: Arc<FakeLive>,
    pub(super) sessions: Arc<Memory>,
    pub(super) clock: Arc<TestClock>,
    pub(super) shutdown: CancellationToken,
    router: Router,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::with(HttpSettings::default())
    }

    pub(super) fn with(settings: HttpSettings) -> Self {
        let fake = Arc::new(FakeServices::default());
        let live = Arc::new(FakeLive::default());
        let sessions = Arc::new(Memory::default());
        let clock = Arc::new(TestClock::default());
        let mut state = state(fake.services(), live.clone(), sessions.clone(), clock.clone());
        state.settings = Arc::new(settings);
        let shutdown = state.shutdown.clone();
        Self { fake, live, sessions, clock, shutdown, router: router(state) }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("the router does not fail")
    }

    /// Sends as a program with a good token.
    pub(super) async fn api(&self, request: Ask) -> Told {
        self.told(request.header("authorization", "Bearer good")).await
    }

    pub(super) async fn told(&self, request: Ask) -> Told {
        let response = self.send(request.0).await;
        Told::of(response).await
    }

    /// Signs in as the one account there is, and keeps the cookie.
    pub(super) async fn cookie(&self) -> String {
        let form = "email=ada%40example.com&password=right";
        let told = self.told(Ask::form("/forms/sign-in", form)).await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.text);
        told.cookie("rehearsal_session").expect("a cookie")
    }
}

/// A request.
pub(super) struct Ask(pub(super) Request<Body>);

impl Ask {
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

/// An answer.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Told {
    /// The whole answer.
    pub(super) async fn of(response: Response<Body>) -> Self {
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

    /// The problem document, which must be one.
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

    /// `name=value`, as a browser sends it back.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        self.set_cookie(name)?.split(';').next().map(str::to_owned)
    }

    /// The place of a 303.
    pub(super) fn place(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.header("location")
    }
}

#[allow(clippy::panic)] // a test that cannot go on
fn panic_with(text: &str, error: &serde_json::Error) -> Value {
    panic!("not JSON ({error}): {text}")
}
