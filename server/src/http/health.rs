//! Whether the process lives, and whether it can work.

use super::HttpState;
use super::problem::Failure;
use domain::error::{AppError, ErrorCode};
use async_trait::async_trait;
use axum::extract::State;

/// Whether the server can do its work now.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// `Ok` when the store takes writes and the engine's heartbeat is fresh,
    /// else a sentence about what is not. Answers within a few seconds,
    /// whatever the store does, and writes little however often it is asked.
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
    let ready = tokio::select! {
        biased;
        // At once, also for whoever waits already.
        () = state.shutdown.cancelled() => Err("Shutting down.".to_owned()),
        ready = state.readiness.ready() => ready,
    };
    match ready {
        Ok(()) => Ok("ready\n"),
        Err(sentence) => Err(AppError::new(ErrorCode::Unavailable, sentence).into()),
    }
}
