//! The router with real services on a temporary database.

use super::support::{TestClock, TestRequest, TestResponse, router_with};
use async_trait::async_trait;
use axum::Router;
use domain::services::Caller;
use domain::{ConnectionTest, RunId};
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint};
use secrecy::ExposeSecret;
use services::endpoints::Endpoints;
use services::secrets::Secrets;
use services::suites::{Executor, SuiteLimits, Suites};
use services::{Accounts, Catalog, ProviderAccess, SavedForms, SignUp};
use std::sync::Arc;
use std::time::Duration;
use store_sqlite::sessions::SqliteSessions;
use tower::ServiceExt;

/// Returns the URL, the key and the model of the test call.
struct EchoAccess;

#[async_trait]
impl ProviderAccess for EchoAccess {
    async fn test(&self, _: &Caller, at: Endpoint, model: Option<String>) -> ConnectionTest {
        let key = at.key.map(|key| key.expose_secret().to_owned());
        ConnectionTest {
            ok: true,
            message: format!("{} with {key:?} for {model:?}", at.base_url),
            request: String::new(),
            answer: String::new(),
            latency_ms: 1,
            ..ConnectionTest::default()
        }
    }
    async fn complete(
        &self,
        _: &Caller,
        _: Endpoint,
        _: &ChatRequest,
        _: Duration,
    ) -> (Result<ChatReply, CallError>, Duration) {
        let error = CallError::new(Decision::Retry, "No model is called here.");
        (Err(error), Duration::ZERO)
    }
    async fn check_base_url(&self, base_url: &str) -> Option<String> {
        base_url.contains("127.0.0.1").then(|| "is an address of a private network".to_owned())
    }
    async fn check_reachable(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

struct NoExecutor;

impl Executor for NoExecutor {
    fn wake(&self) {}
    fn cancel(&self, _: &[RunId]) {}
}

pub(super) struct RealServer {
    router: Router,
    pub(super) clock: Arc<TestClock>,
    _folder: tempfile::TempDir,
}

impl RealServer {
    pub(super) async fn new() -> Self {
        let (folder, store) = store_sqlite::testing::open().await;
        let store = Arc::new(store);
        let clock = Arc::new(TestClock::default());
        let endpoints = Endpoints::new(store.clone(), Arc::new(Secrets::new(&[7; 32])), Vec::new());
        let provider_access = Arc::new(EchoAccess);
        let catalog =
            Arc::new(Catalog::new(store.clone(), clock.clone(), endpoints, provider_access));
        let accounts = Accounts::new(store.clone(), clock.clone(), SignUp::Open);
        let saved_forms = SavedForms::new(store.clone(), clock.clone());
        let sessions = Arc::new(SqliteSessions::new((*store).clone(), clock.clone()));
        let suites = Suites {
            store,
            catalog: catalog.clone(),
            executor: Arc::new(NoExecutor),
            clock: clock.clone(),
            limits: SuiteLimits::default(),
            event_cache: Arc::default(),
        };
        let events = Arc::new(suites.clone());
        let services = services::all(accounts, saved_forms, &catalog, &suites);
        Self {
            router: router_with(services, events, sessions, clock.clone()),
            clock,
            _folder: folder,
        }
    }

    pub(super) async fn send(&self, request: TestRequest) -> TestResponse {
        let response =
            self.router.clone().oneshot(request.0).await.expect("the router does not fail");
        TestResponse::read(response).await
    }

    /// Creates an account and returns its session cookie.
    pub(super) async fn sign_up(&self, name: &str) -> String {
        let form = format!("email={name}%40example.com&password=correct+horse+battery");
        let response = self.send(TestRequest::form("/forms/sign-up", &form)).await;
        assert_eq!(response.location(), "/");
        response.cookie("rehearsal_session").expect("a cookie")
    }

    /// Posts a form of `page`.
    pub(super) async fn post(
        &self,
        cookie: &str,
        page: &str,
        path: &str,
        body: &str,
    ) -> TestResponse {
        let referer = format!("http://here:3000{page}");
        let request =
            TestRequest::form(path, body).header("cookie", cookie).header("referer", &referer);
        self.send(request).await
    }

    pub(super) async fn page(&self, cookie: &str, location: &str) -> String {
        let response = self.send(TestRequest::get(location).header("cookie", cookie)).await;
        assert_eq!(response.status, 200, "{location}: {}", response.text);
        response.text
    }
}

/// The text between two markers of a page.
pub(super) fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let found = page.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    found.unwrap_or_else(|| panic_at(page, from)).0
}

#[allow(clippy::panic)] // test helper
fn panic_at<'a>(page: &str, from: &str) -> (&'a str, &'a str) {
    panic!("no {from:?} in {page}")
}

#[tokio::test]
async fn new_token_is_shown_once_and_works() {
    let server = RealServer::new().await;
    let (ada, ben) = (server.sign_up("ada").await, server.sign_up("ben").await);
    let created = server.post(&ada, "/settings/tokens", "/forms/tokens", "name=ci").await;
    let location = created.location().to_owned();
    assert!(
        !server.page(&ben, &location).await.contains("class=\"secret\""),
        "the token belongs to ada"
    );
    let page = server.page(&ada, &location).await;
    let token = between(&page, "class=\"secret\">", "<").to_owned();
    let request =
        TestRequest::get("/api/v1/agents").header("authorization", &format!("Bearer {token}"));
    assert_eq!(server.send(request).await.status, 200, "{token}");
    assert!(!page.contains("value=\"ci\""), "the name field is empty");
    let reloaded = server.page(&ada, &location).await;
    assert!(!reloaded.contains(&token));
    assert!(reloaded.contains("A new token is shown once"), "{reloaded}");
    let expired = server.post(&ada, "/settings/tokens", "/forms/tokens", "name=ci").await;
    server.clock.advance(11 * 60);
    assert!(!server.page(&ada, expired.location()).await.contains("class=\"secret\""), "expired");
}
