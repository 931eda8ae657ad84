//! The services over a temporary SQLite database, with two users.

mod accounts;
mod agent_chat;
mod agent_examples;
mod catalog;
mod connections;
mod costs;
mod deployed_agents;
mod deployed_chat;
mod imports;
mod owners;
mod profiles;
mod reruns;
mod starts;

use super::{Accounts, Catalog, ProviderAccess, SavedForms, SignUp};
use crate::builtin;
use crate::endpoints::{Endpoints, ServerConnection};
use crate::secrets::Secrets;
use async_trait::async_trait;
use clock::{Clock, SharedClock, SystemClock};
use domain::error::AppError;
use domain::services::{Caller, ConnectionService, ScenarioService};
use domain::{
    Breaker, BreakerState, ConnectionId, ConnectionKind, ConnectionTest, Draft, Scenario,
    ScenarioFilter,
};
use llm::{CallError, ChatReply, ChatRequest, Endpoint, LoggedResponse};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// Records its calls.
#[derive(Default)]
struct RecordingAccess {
    edited: Mutex<Vec<ConnectionId>>,
    saved: Mutex<Vec<ConnectionId>>,
    /// Releases the check of a slow address.
    seen: tokio::sync::Notify,
    /// Notified when the check of a slow address has begun.
    checking: tokio::sync::Notify,
    /// Whether checks of addresses with "slow" wait.
    is_slow: AtomicBool,
    /// The replies of the next calls. Without one, a call waits until it is dropped.
    replies: Mutex<VecDeque<Reply>>,
    /// Notified when a call waits.
    call_began: tokio::sync::Notify,
    /// The requests of all calls.
    requests: Mutex<Vec<ChatRequest>>,
    /// The bodies of the next responses, for calls that keep them.
    bodies: Mutex<VecDeque<String>>,
}

type Reply = Result<ChatReply, CallError>;

impl RecordingAccess {
    /// Adds replies to the next calls.
    fn reply_with(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().extend(replies);
    }
}

#[async_trait]
impl ProviderAccess for RecordingAccess {
    async fn test(
        &self,
        _caller: &Caller,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> ConnectionTest {
        let key = endpoint.key.map(|key| key.expose_secret().to_owned());
        ConnectionTest {
            ok: true,
            message: format!("{key:?} {model:?}"),
            request: endpoint.base_url,
            answer: String::new(),
            latency_ms: 1,
            ..ConnectionTest::default()
        }
    }

    async fn models(&self, endpoint: &Endpoint) -> Vec<String> {
        if endpoint.base_url.contains("listed") { vec!["m-1".to_owned()] } else { Vec::new() }
    }

    async fn complete(
        &self,
        _caller: &Caller,
        _endpoint: Endpoint,
        request: &ChatRequest,
        _time: Duration,
    ) -> (Reply, Duration) {
        self.requests.lock().push(request.clone());
        if let Some(log) = request.http.as_ref().and_then(|call| call.log.as_ref())
            && let Some(body) = self.bodies.lock().pop_front()
        {
            let latency = Duration::from_millis(7);
            log.add(LoggedResponse { status: 200, headers: Vec::new(), body, latency });
        }
        let reply = self.replies.lock().pop_front();
        match reply {
            Some(reply) => (reply, Duration::ZERO),
            None => {
                self.call_began.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn check_base_url(&self, base_url: &str) -> Option<String> {
        if base_url.contains("slow") && self.is_slow.load(Ordering::SeqCst) {
            self.checking.notify_one();
            self.seen.notified().await;
        }
        base_url.contains("127.0.0.1").then(|| "is an address of a private network".to_owned())
    }

    async fn check_reachable(&self, _base_url: &str) -> Result<(), String> {
        Ok(())
    }

    fn breaker(&self, caller: &Caller, _id: ConnectionId) -> Breaker {
        let open = caller.email.starts_with("ben");
        let state = if open { BreakerState::Open } else { BreakerState::Closed };
        Breaker { state, ..Breaker::default() }
    }

    fn reset_connection(&self, id: ConnectionId) {
        self.edited.lock().push(id);
    }

    fn clear_suspensions(&self, id: ConnectionId) {
        self.saved.lock().push(id);
    }
}

struct Fixture {
    accounts: Accounts,
    catalog: Catalog,
    saved_forms: SavedForms,
    provider_access: Arc<RecordingAccess>,
    anna: Caller,
    ben: Caller,
    server_wide: ConnectionId,
    _folder: TempDir,
}

async fn accounts(sign_up: SignUp) -> (Accounts, TempDir) {
    let (folder, store) = store_sqlite::testing::open().await;
    (Accounts::new(Arc::new(store), Arc::new(SystemClock), sign_up), folder)
}

async fn fixture() -> Fixture {
    let (folder, store) = store_sqlite::testing::open().await;
    let store = Arc::new(store);
    let clock: SharedClock = Arc::new(SystemClock);
    let connection =
        ServerConnection::new(ConnectionKind::Anthropic, None, Some("sk-of-the-server".into()));
    let server_wide = connection.id;
    let secrets = Arc::new(Secrets::new(&[7; 32]));
    let endpoints = Endpoints::new(store.clone(), secrets, vec![connection]);
    let provider_access = Arc::new(RecordingAccess::default());
    let catalog = Catalog::new(store.clone(), clock.clone(), endpoints, provider_access.clone());
    builtin::install(store.as_ref(), &SystemClock).await.unwrap();
    let accounts = Accounts::new(store.clone(), clock.clone(), SignUp::Closed);
    let anna = accounts.create_user("anna@example.org", "anna's password").await.unwrap();
    let ben = accounts.create_user("ben@example.org", "ben's password").await.unwrap();
    let saved_forms = SavedForms::new(store, clock);
    Fixture {
        accounts,
        catalog,
        saved_forms,
        provider_access,
        anna,
        ben,
        server_wide,
        _folder: folder,
    }
}

impl Fixture {
    async fn connect(&self, caller: &Caller, key: &str) -> ConnectionId {
        let draft = connection("Mine", "https://models.example.org/v1", key);
        self.catalog.create_connection(caller, &draft).await.unwrap().id
    }

    async fn built_in(&self) -> Scenario {
        let filter = ScenarioFilter { built_in: Some(true), ..ScenarioFilter::default() };
        let page = self.catalog.scenarios(&self.anna, &filter, &Default::default()).await.unwrap();
        page.items.into_iter().next().unwrap()
    }
}

fn connection(name: &str, base_url: &str, key: &str) -> Draft {
    Draft(json!({"name": name, "kind": "openai", "base_url": base_url, "api_key": key}))
}

fn agent(name: &str, connection: ConnectionId) -> Draft {
    Draft(json!({"name": name, "system_prompt": "Help.", "model": "m",
        "connection_id": connection.to_string()}))
}

fn scenario(name: &str) -> Draft {
    Draft(json!({"name": name, "category": "booking",
        "conversation_flow": [{"speaker": "user", "message": "Hello"}]}))
}

fn status<T>(answer: Result<T, AppError>) -> u16 {
    answer.err().expect("refused").code.status()
}

/// The paths of the problems of an error.
fn paths<T>(answer: Result<T, AppError>) -> Vec<String> {
    let error = answer.err().expect("refused");
    assert_eq!(error.code.status(), 422, "{error:?}");
    error.problems.into_iter().map(|problem| problem.path).collect()
}

/// An id that does not exist.
fn unknown_id() -> Uuid {
    SystemClock.uuid()
}

fn text(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}
