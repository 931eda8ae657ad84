//! Holding on while the store does not answer: what was paid for is in our
//! hands, and is stored as soon as the store takes it.

use super::Shared;
use super::registry::{Stop, Stopper};
use store::{StoreError, Stored};
use domain::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause between two tries; doubles up to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
/// How long it is still tried when this process has to stop.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How long one run or re-evaluation holds on.
pub(super) struct Patience<'a> {
    pub(super) shared: &'a Shared,
    pub(super) stopper: &'a Stopper,
    /// After it somebody else ends it anyway.
    pub(super) deadline: Option<Timestamp>,
}

impl Patience<'_> {
    /// Asks the store again while it is unavailable: until this process may
    /// hold the lease no longer, has to stop, or the deadline is past. A
    /// cancel does not end it: what was said before it is kept.
    ///
    /// # Errors
    /// Every other error at once; `LeaseLost` when the lease may be somebody
    /// else's; `Unavailable` when there is no time left.
    pub(super) async fn hold_on<T, F>(&self, ask: impl Fn() -> F) -> Stored<T>
    where
        F: Future<Output = Stored<T>>,
    {
        let mut pause = FIRST;
        let mut stopping: Option<Instant> = None;
        loop {
            let why = match ask().await {
                Err(StoreError::Unavailable(why)) => why,
                other => return other,
            };
            match self.stopper.stopped() {
                Some(Stop::Lost) => return Err(StoreError::LeaseLost),
                Some(Stop::Shutdown) => {
                    let since = *stopping.get_or_insert_with(Instant::now);
                    if since.elapsed() >= LAST_WORDS {
                        return Err(StoreError::Unavailable(why));
                    }
                }
                Some(Stop::Cancelled) | None => {}
            }
            if self.deadline.is_some_and(|deadline| deadline <= self.shared.clock.now()) {
                return Err(StoreError::Unavailable(why));
            }
            tracing::debug!(why, "the store is away; holding on");
            tokio::time::sleep(pause).await;
            if self.stopper.stopped() == Some(Stop::Lost) {
                return Err(StoreError::LeaseLost);
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}
