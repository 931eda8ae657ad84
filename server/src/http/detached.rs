//! Runs handlers that write in detached tasks. hyper drops a handler when its client
//! disconnects, which must not interrupt a write.

use super::HttpState;
use super::problem::ErrorResponse;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use clock::SharedClock;
use domain::error::{AppError, ErrorCode};
use domain::services::AppResult;
use std::future::Future;
use telemetry::request;
use tracing::Instrument;

/// Runs the handler of a request that may write in a detached task.
pub(super) async fn detach_writes(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let response = run_detached(&state.clock, async { Ok(next.run(request).await) }).await;
    response.unwrap_or_else(|error| ErrorResponse::from(error).into_response())
}

/// Runs `work` to completion even if the caller is dropped. Turns a panic into a
/// 500 with a log ID.
///
/// # Errors
/// The error of `work`, or [`ErrorCode::Internal`] after a panic.
async fn run_detached<T: Send + 'static>(
    clock: &SharedClock,
    work: impl Future<Output = AppResult<T>> + Send + 'static,
) -> AppResult<T> {
    let work = request::carried(request::context(), work).in_current_span();
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => {
            let id = request::current().unwrap_or_else(|| clock.uuid()).to_string();
            let panicked = error.is_panic();
            tracing::error!(log_id = %id, panicked, "detached task did not complete");
            let detail = "Something went wrong on our side. Try again.";
            Err(AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, detail) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run_detached;
    use clock::{SharedClock, SystemClock};
    use domain::error::AppError;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_completes_after_the_caller_was_dropped() {
        let clock: SharedClock = Arc::new(SystemClock);
        let (begun, has_begun) = oneshot::channel();
        let (go, may_go) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let client = tokio::spawn(async move {
            let work = async move {
                let _ = begun.send(());
                let _ = may_go.await;
                let _ = done.send(7);
                Ok::<_, AppError>(())
            };
            run_detached(&clock, work).await
        });
        has_begun.await.expect("begun");
        client.abort();
        assert!(client.await.is_err_and(|error| error.is_cancelled()));
        go.send(()).expect("the work is still there");
        assert_eq!(is_done.await, Ok(7));
    }
}
