//! Writing use cases run in a task of their own: hyper drops a handler when
//! its client leaves, and half a write must not depend on that.

use crate::clock::SharedClock;
use app::backend::Answer;
use app::error::{AppError, ErrorCode};
use std::future::Future;
use tracing::Instrument;

/// Runs `work` to its end whether or not somebody still waits for it. A panic
/// becomes a 500 with an id to find it in the log.
///
/// # Errors
/// Those of `work`, and [`ErrorCode::Internal`] after a panic.
pub async fn spawned<T: Send + 'static>(
    clock: &SharedClock,
    work: impl Future<Output = Answer<T>> + Send + 'static,
) -> Answer<T> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(answer) => answer,
        Err(error) => {
            let id = clock.uuid().to_string();
            tracing::error!(log_id = %id, panicked = error.is_panic(), "a use case did not end");
            let sentence = "Something went wrong on our side. Please try again.";
            Err(AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, sentence) })
        }
    }
}
