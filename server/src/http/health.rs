//! Liveness and readiness probes.

use super::HttpState;
use super::problem::ErrorResponse;
use async_trait::async_trait;
use axum::extract::State;
use domain::error::{AppError, ErrorCode};

#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// Checks that the store accepts writes and that the engine's heartbeat is
    /// recent. Returns within a few seconds and limits how often it writes.
    ///
    /// # Errors
    /// The reason, as a sentence.
    async fn ready(&self) -> Result<(), String>;
}

pub(super) async fn live() -> &'static str {
    "alive\n"
}

pub(super) async fn ready(State(state): State<HttpState>) -> Result<&'static str, ErrorResponse> {
    let ready = tokio::select! {
        biased;
        // Also interrupts checks that are already running.
        () = state.shutdown.cancelled() => Err("Shutting down.".to_owned()),
        ready = state.readiness.ready() => ready,
    };
    match ready {
        Ok(()) => Ok("ready\n"),
        Err(reason) => Err(AppError::new(ErrorCode::Unavailable, reason).into()),
    }
}
