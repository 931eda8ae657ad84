//! Retries while the store is unavailable, so that replies that were paid for are
//! stored as soon as the store accepts writes again.

use super::Shared;
use super::registry::{StopReason, StopSignal};
use domain::Timestamp;
use std::time::Duration;
use store::{StoreError, StoreResult};
use tokio::time::Instant;

/// The first pause between two attempts; it doubles up to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
/// How long attempts continue after a shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// The retry policy of one run or rejudge.
pub(super) struct StoreRetry<'a> {
    pub(super) shared: &'a Shared,
    pub(super) stop_signal: &'a StopSignal,
    /// The reaper ends the run after this time.
    pub(super) deadline: Option<Timestamp>,
}

impl StoreRetry<'_> {
    /// Retries while the store is unavailable, until the lease may have expired, the
    /// process shuts down, or the deadline has passed. A cancellation does not end
    /// the retries, so that turns before it are kept.
    ///
    /// # Errors
    /// Every other error at once; `LeaseLost` when another worker may hold the
    /// lease; `Unavailable` when the time is over.
    pub(super) async fn retry_while_unavailable<T, F>(&self, ask: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = StoreResult<T>>,
    {
        let mut pause = FIRST;
        let mut stopping: Option<Instant> = None;
        loop {
            let why = match ask().await {
                Err(StoreError::Unavailable(why)) => why,
                other => return other,
            };
            match self.stop_signal.stopped() {
                Some(StopReason::Lost) => return Err(StoreError::LeaseLost),
                Some(StopReason::Shutdown) => {
                    let since = *stopping.get_or_insert_with(Instant::now);
                    if since.elapsed() >= SHUTDOWN_GRACE {
                        return Err(StoreError::Unavailable(why));
                    }
                }
                Some(StopReason::Cancelled) | None => {}
            }
            if self.deadline.is_some_and(|deadline| deadline <= self.shared.clock.now()) {
                return Err(StoreError::Unavailable(why));
            }
            tracing::debug!(why, "store unavailable; retrying");
            tokio::time::sleep(pause).await;
            if self.stop_signal.stopped() == Some(StopReason::Lost) {
                return Err(StoreError::LeaseLost);
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}
