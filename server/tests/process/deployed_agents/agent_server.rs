//! Small deployed agents of three styles, which can be killed and restarted at their port.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// A message that the agent received.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) text: String,
    pub(super) key: Option<String>,
}

#[derive(Default)]
pub(super) struct AgentState {
    received: Mutex<Vec<Received>>,
    /// What the agent did, once per idempotency key.
    bookings: Mutex<Vec<String>>,
    executed_keys: Mutex<HashSet<String>>,
    /// The agent answers messages with this text only after `release`.
    held_text: Mutex<String>,
    is_held: Notify,
    release: Notify,
    /// Lost when the agent is killed.
    sessions: Mutex<HashSet<String>>,
    jobs: Mutex<HashMap<u32, (u32, String)>>,
}

impl AgentState {
    /// Executes a message and returns the reply.
    async fn reply(&self, text: &str, headers: &HeaderMap) -> String {
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        let key = key.map(str::to_owned);
        self.received.lock().push(Received { text: text.to_owned(), key: key.clone() });
        if key.is_none_or(|key| self.executed_keys.lock().insert(key)) {
            self.bookings.lock().push(text.to_owned());
        }
        if *self.held_text.lock() == text {
            let released = self.release.notified();
            tokio::pin!(released);
            // Waits from here on, so that no release is missed.
            released.as_mut().enable();
            self.is_held.notify_one();
            released.await;
        }
        format!("I can help with that: {text}")
    }
}

/// An agent with its own runtime, so that killing it cuts its connections.
pub(super) struct AgentServer {
    pub(super) state: Arc<AgentState>,
    port: u16,
    runtime: Option<Runtime>,
}

impl AgentServer {
    pub(super) fn start() -> Self {
        let mut server = Self { state: Arc::default(), port: 0, runtime: None };
        server.restart();
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Listens at the same port as before.
    pub(super) fn restart(&mut self) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let (port, state) = (self.port, self.state.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let listener = loop {
                match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
                    Ok(listener) => break listener,
                    // The sockets of the killed agent are still closing.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            };
            sender.send(listener.local_addr().unwrap().port()).unwrap();
            axum::serve(listener, router(state)).await.unwrap();
        });
        self.port = receiver.recv().unwrap();
        self.runtime = Some(runtime);
    }

    /// Cuts all connections. The agent forgets its sessions and jobs.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for the worker, so that no held message is answered after this. A
            // runtime cannot be stopped in this way on a thread of another one.
            let stop = move || runtime.shutdown_timeout(Duration::from_secs(10));
            std::thread::spawn(stop).join().unwrap();
        }
        self.state.sessions.lock().clear();
        self.state.jobs.lock().clear();
    }

    pub(super) fn forget_sessions(&self) {
        self.state.sessions.lock().clear();
    }

    /// Does not answer messages with this text until `release`.
    pub(super) fn hold(&self, text: &str) {
        text.clone_into(&mut self.state.held_text.lock());
    }

    /// Waits until the agent holds a message.
    pub(super) async fn wait_until_held(&self) {
        let held = self.state.is_held.notified();
        tokio::time::timeout(Duration::from_secs(60), held).await.expect("a held message");
    }

    /// Answers held messages, and holds no more.
    pub(super) fn release(&self) {
        self.state.held_text.lock().clear();
        self.state.release.notify_waiters();
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }

    /// How often the agent acted on each text.
    pub(super) fn bookings(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for text in self.state.bookings.lock().iter() {
            *counts.entry(text.clone()).or_default() += 1;
        }
        counts
    }
}

impl Drop for AgentServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn router(state: Arc<AgentState>) -> Router {
    Router::new()
        .route("/chat", post(chat))
        .route("/sessions", post(start_session))
        .route("/sessions/{id}/messages", post(send_in_session))
        .route("/jobs", post(start_job))
        .route("/jobs/{id}", get(job))
        .with_state(state)
}

type Agent = State<Arc<AgentState>>;

/// The last text of `messages`.
async fn chat(State(agent): Agent, headers: HeaderMap, body: axum::Json<Value>) -> Response {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let text = last.and_then(|message| message["content"].as_str()).unwrap_or_default();
    axum::Json(json!({"reply": agent.reply(text, &headers).await})).into_response()
}

async fn start_session(State(agent): Agent) -> Response {
    let id = format!("s-{}", agent.sessions.lock().len() + agent.received.lock().len() + 1);
    agent.sessions.lock().insert(id.clone());
    (StatusCode::CREATED, axum::Json(json!({"session": {"id": id}}))).into_response()
}

/// Streams the reply in two events.
async fn send_in_session(
    State(agent): Agent,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: axum::Json<Value>,
) -> Response {
    if !agent.sessions.lock().contains(&id) {
        return (StatusCode::NOT_FOUND, "no such session").into_response();
    }
    let reply = agent.reply(body["text"].as_str().unwrap_or_default(), &headers).await;
    let (first, second) = reply.split_at(6);
    let stream = format!(
        "event: delta\ndata: {}\n\nevent: delta\ndata: {}\n\nevent: done\ndata: {{}}\n\n",
        json!({"text": first}),
        json!({"text": second})
    );
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from(stream)).into_response()
}

async fn start_job(State(agent): Agent, headers: HeaderMap, body: axum::Json<Value>) -> Response {
    let reply = agent.reply(body["text"].as_str().unwrap_or_default(), &headers).await;
    let mut jobs = agent.jobs.lock();
    let id = u32::try_from(jobs.len()).unwrap();
    jobs.insert(id, (0, reply));
    let url = format!("/jobs/{id}");
    (StatusCode::ACCEPTED, axum::Json(json!({"state": "queued", "url": url}))).into_response()
}

/// The reply is ready at the second poll.
async fn job(State(agent): Agent, Path(id): Path<u32>) -> Response {
    let mut jobs = agent.jobs.lock();
    let Some((polls, reply)) = jobs.get_mut(&id) else {
        return (StatusCode::NOT_FOUND, "no such job").into_response();
    };
    *polls += 1;
    let state = if *polls > 1 { "ready" } else { "running" };
    axum::Json(json!({"state": state, "reply": reply})).into_response()
}
