//! Whether the process lives, whether it can work, and its numbers.

use super::HttpState;
use super::problem::Failure;
use app::error::{AppError, ErrorCode};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Whether the server can do its work now.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// `Ok` when the store takes writes and the engine's heartbeat is fresh,
    /// else a sentence about what is not.
    ///
    /// # Errors
    /// The sentence.
    async fn ready(&self) -> Result<(), String>;
}

/// The process answers.
pub(super) async fn live() -> &'static str {
    "alive\n"
}

/// Store and engine answer.
pub(super) async fn ready(State(state): State<HttpState>) -> Result<&'static str, Failure> {
    if state.shutdown.is_cancelled() {
        return Err(AppError::new(ErrorCode::Unavailable, "Shutting down.").into());
    }
    match state.readiness.ready().await {
        Ok(()) => Ok("ready\n"),
        Err(sentence) => Err(AppError::new(ErrorCode::Unavailable, sentence).into()),
    }
}

/// The metrics in Prometheus' text form; empty where none are recorded.
pub(super) async fn metrics(State(state): State<HttpState>) -> Response {
    let text = state.metrics.as_ref().map(|handle| handle.render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
