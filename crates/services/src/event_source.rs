//! What the streams read: the seam to store and engine.

use async_trait::async_trait;
use domain::services::{AppResult, Caller};
use domain::{Progress, SuiteEvent, SuiteId, SuiteSnapshot};
use store::hub::Newest;

/// What the streams read: stored events and a wake-up. None of its methods
/// holds a database connection after it has answered.
#[async_trait]
pub trait Live: Send + Sync + 'static {
    /// The suite as it is, with the seq at which it was read (one
    /// transaction); 404 when it is not the caller's.
    async fn snapshot(&self, caller: &Caller, suite: SuiteId) -> AppResult<SuiteSnapshot>;

    /// Stored events after `seq` in order, at most `limit`; gapless. Each with
    /// its seq. 404 when the suite is not the caller's.
    async fn events_after(
        &self,
        caller: &Caller,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> AppResult<Vec<(i64, SuiteEvent)>>;

    /// Computed progress, as it was at event `seq` or later.
    async fn progress(&self, caller: &Caller, suite: SuiteId, seq: i64) -> AppResult<Progress>;

    /// The newest event known, changed after commits of this suite.
    fn watch(&self, suite: SuiteId) -> tokio::sync::watch::Receiver<Newest>;
}
