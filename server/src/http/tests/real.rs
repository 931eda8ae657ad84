//! The router over the real use cases, and stores in memory: what a form
//! posts, what is kept of it, and what its page shows then.

use super::support::{Ask, Memory, TestClock, Told, router_over};
use services::suites::{Executor, SuiteLimits, Suites};
use services::{Accounts, Catalog, CatalogStores, ConnectionTester, Drafts, SignUp};
use services::endpoints::Endpoints;
use llm::Endpoint;
use services::secrets::Secrets;
use domain::services::Caller;
use domain::{ConnectionTest, RunId};
use async_trait::async_trait;
use axum::Router;
use secrecy::ExposeSecret;
use std::sync::Arc;
use tower::ServiceExt;

/// Says where it was asked to call, and with which key.
struct Says;

#[async_trait]
impl ConnectionTester for Says {
    async fn test(&self, _: &Caller, at: Endpoint, model: Option<String>) -> ConnectionTest {
        let key = at.key.map(|key| key.expose_secret().to_owned());
        ConnectionTest {
            ok: true,
            message: format!("{} with {key:?} for {model:?}", at.base_url),
            request: String::new(),
            answer: String::new(),
            latency_ms: 1,
        }
    }
    async fn refuses(&self, base_url: &str) -> Option<String> {
        base_url.contains("127.0.0.1").then(|| "is an address of a private network".to_owned())
    }
    async fn answers(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// Nothing runs here.
struct Idle;

impl Executor for Idle {
    fn wake(&self) {}
    fn cancel(&self, _: &[RunId]) {}
}

/// A server whose forms do what they say.
pub(super) struct Real {
    router: Router,
    pub(super) clock: Arc<TestClock>,
    _folder: tempfile::TempDir,
}

impl Real {
    pub(super) async fn new() -> Self {
        let (folder, store) = store_sqlite::testing::open().await;
        let store = Arc::new(store);
        let clock = Arc::new(TestClock::default());
        let endpoints = Endpoints::new(store.clone(), Arc::new(Secrets::new(&[7; 32])), Vec::new());
        let stores = CatalogStores::of(&store);
        let catalog = Catalog::new(stores, clock.clone(), endpoints, Arc::new(Says));
        let catalog = Arc::new(catalog);
        let accounts = Accounts::new(store.clone(), clock.clone(), SignUp::Open);
        let drafts = Drafts::new(store.clone(), clock.clone());
        let suites = Suites {
            suites: store.clone(),
            agents: store.clone(),
            scenarios: store.clone(),
            settings: store,
            catalog: catalog.clone(),
            reach: catalog.clone(),
            executor: Arc::new(Idle),
            clock: clock.clone(),
            limits: SuiteLimits::default(),
            event_cache: Arc::default(),
        };
        let live = Arc::new(suites.clone());
        let services = services::all(accounts, drafts, &catalog, &suites);
        let sessions = Arc::new(Memory::default());
        Self { router: router_over(services, live, sessions, clock.clone()), clock, _folder: folder }
    }

    pub(super) async fn told(&self, ask: Ask) -> Told {
        let response = self.router.clone().oneshot(ask.0).await.expect("the router does not fail");
        Told::of(response).await
    }

    /// Signs somebody new up, and keeps the cookie.
    pub(super) async fn sign_up(&self, name: &str) -> String {
        let form = format!("email={name}%40example.com&password=correct+horse+battery");
        let told = self.told(Ask::form("/forms/sign-up", &form)).await;
        assert_eq!(told.place(), "/");
        told.cookie("rehearsal_session").expect("a cookie")
    }

    /// Posts a form that stands on `page`.
    pub(super) async fn post(&self, cookie: &str, page: &str, path: &str, body: &str) -> Told {
        let referer = format!("http://here:3000{page}");
        let ask = Ask::form(path, body).header("cookie", cookie).header("referer", &referer);
        self.told(ask).await
    }

    /// A page as somebody sees it.
    pub(super) async fn page(&self, cookie: &str, place: &str) -> String {
        let told = self.told(Ask::get(place).header("cookie", cookie)).await;
        assert_eq!(told.status, 200, "{place}: {}", told.text);
        told.text
    }
}

/// What stands between two marks of a page.
pub(super) fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let found = page.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    found.unwrap_or_else(|| panic_at(page, from)).0
}

#[allow(clippy::panic)] // a test that cannot go on
fn panic_at<'a>(page: &str, from: &str) -> (&'a str, &'a str) {
    panic!("no {from:?} in {page}")
}

#[tokio::test]
async fn a_new_token_is_shown_once_and_works() {
    let real = Real::new().await;
    let (ada, ben) = (real.sign_up("ada").await, real.sign_up("ben").await);
    let made = real.post(&ada, "/settings/tokens", "/forms/tokens", "name=ci").await;
    let place = made.place().to_owned();
    assert!(!real.page(&ben, &place).await.contains("class=\"secret\""), "it is somebody else's");
    let page = real.page(&ada, &place).await;
    let token = between(&page, "class=\"secret\">", "<").to_owned();
    let asks = Ask::get("/api/v1/agents").header("authorization", &format!("Bearer {token}"));
    assert_eq!(real.told(asks).await.status, 200, "{token}");
    assert!(!page.contains("value=\"ci\""), "the old name is no new name");
    let again = real.page(&ada, &place).await;
    assert!(!again.contains(&token));
    assert!(again.contains("A new token is shown once"), "{again}");
    let late = real.post(&ada, "/settings/tokens", "/forms/tokens", "name=ci").await;
    real.clock.forward(11 * 60);
    assert!(
        !real.page(&ada, late.place()).await.contains("class=\"secret\""),
        "it waited too long"
    );
}
