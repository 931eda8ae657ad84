//! Writing use cases run in a task of their own: hyper drops a handler when
//! its client leaves, and half a write must not depend on that.

use clock::SharedClock;
use telemetry::request;
use domain::services::AppResult;
use domain::error::{AppError, ErrorCode};
use std::future::Future;
use tracing::Instrument;

/// Runs `work` to its end whether or not somebody still waits for it. A panic
/// becomes a 500 with an id to find it in the log.
///
/// # Errors
/// Those of `work`, and [`ErrorCode::Internal`] after a panic.
pub async fn spawned<T: Send + 'static>(
    clock: &SharedClock,
    work: impl Future<Output = AppResult<T>> + Send + 'static,
) -> AppResult<T> {
    let work = request::carried(request::current(), work).in_current_span();
    match tokio::spawn(work).await {
        Ok(answer) => answer,
        Err(error) => {
            let id = request::current().unwrap_or_else(|| clock.uuid()).to_string();
            tracing::error!(log_id = %id, panicked = error.is_panic(), "a use case did not end");
            let sentence = "Something went wrong on our side. Please try again.";
            Err(AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, sentence) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::spawned;
    use clock::{SharedClock, SystemClock};
    use domain::error::AppError;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it_any_more() {
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
            spawned(&clock, work).await
        });
        has_begun.await.expect("begun");
        client.abort();
        assert!(client.await.is_err_and(|error| error.is_cancelled()));
        go.send(()).expect("the work is still there");
        assert_eq!(is_done.await, Ok(7));
    }
}
