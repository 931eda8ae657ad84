//! A mock model provider for tests and benchmarks. It serves OpenAI's chat
//! completions and responses and Anthropic's messages over real HTTP, replies by a
//! [`Script`], injects faults, and logs every request.
//!
//! - `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/messages`: the protocols.
//! - `GET /v1/models`: the models of the script.
//! - `POST /oauth/token`: access tokens, if the script requires them.
//! - `GET /requests`: the request log; `DELETE /requests` clears it.
//! - `GET /script`, `POST /script`: the script; posting one resets the counts
//!   of all rules.
//!
//! [`RawTcpServer`] misbehaves below HTTP: it never accepts, never replies, or
//! sends headers without end.

mod auth;
mod exchange;
mod model_request;
mod models;
mod rate_limit;
mod raw_tcp;
mod reply;
mod request_log;
mod response_body;
mod responses;
mod script;
mod server;
mod stream;
#[cfg(test)]
mod tests;

pub use auth::{RequiredAuth, TokenEndpoint};
pub use exchange::{Exchange, exchanges};
pub use model_request::{Protocol, Role};
pub use raw_tcp::{RawTcpServer, TcpBehavior};
pub use reply::judge_reply;
pub use request_log::{LoggedRequest, Outcome};
pub use script::{
    Action, BucketLimit, LimitHeaders, RandomShare, RejectedField, RetryAfter, Rule, Script,
    ToolCall, When, WindowLimit,
};

use server::Shared;
use std::net::SocketAddr;
use std::sync::Arc;

/// A running mock provider. Dropping it stops it and closes its connections.
pub struct MockProvider {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

/// Starts a mock provider on a free port of the loopback interface.
pub async fn start(script: Script) -> std::io::Result<MockProvider> {
    start_on(script, 0).await
}

/// Starts a mock provider on `port` of the loopback interface; 0 picks a free port.
pub async fn start_on(script: Script, port: u16) -> std::io::Result<MockProvider> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared::new(script));
    let router = server::router(Arc::clone(&shared));
    let task = tokio::spawn(async move {
        // Serving only ends when the task is aborted.
        let _ = axum::serve(listener, router).await;
    });
    Ok(MockProvider { addr, shared, task })
}

impl MockProvider {
    /// Base URL of an `anthropic` connection.
    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Base URL of an `openai` connection.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Every request since the start or the last clear, in order of arrival.
    pub fn request_log(&self) -> Vec<LoggedRequest> {
        self.shared.request_log.entries()
    }

    pub fn request_count(&self) -> usize {
        self.shared.request_log.len()
    }

    /// The start of this provider in milliseconds since 1970. The times in the
    /// request log count from it.
    pub fn started_at(&self) -> u64 {
        self.shared.request_log.started_at
    }

    pub fn clear_request_log(&self) {
        self.shared.request_log.clear();
    }

    /// The URL of the token endpoint.
    pub fn token_url(&self) -> String {
        format!("http://{}/oauth/token", self.addr)
    }

    /// The number of requests to the token endpoint.
    pub fn token_requests(&self) -> usize {
        self.shared.tokens.requests()
    }

    /// Revokes all access tokens.
    pub fn revoke_tokens(&self) {
        self.shared.tokens.revoke();
    }

    /// Replaces the script and resets the counts of all rules and rate limits.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Serves until the process ends.
    pub async fn serve_forever(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}
