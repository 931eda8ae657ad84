//! What streams read. A trait, so that tests of HTTP can replace it.

use async_trait::async_trait;
use domain::services::{AppResult, Caller};
use domain::{ProgressEvent, SuiteEvent, SuiteId, SuiteSnapshot};
use store::event_notifier::LatestEvent;

/// Stored events and a wake-up. No method holds a database connection after it
/// returned.
#[async_trait]
pub trait EventSource: Send + Sync + 'static {
    /// The suite, and the event number at which it was read (in one transaction).
    /// 404 if it does not belong to the caller.
    async fn snapshot(&self, caller: &Caller, suite: SuiteId) -> AppResult<SuiteSnapshot>;

    /// At most `limit` stored events after `seq`, in order and without gaps, each
    /// with its number. 404 if the suite does not belong to the caller.
    async fn events_after(
        &self,
        caller: &Caller,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> AppResult<Vec<(i64, SuiteEvent)>>;

    /// The progress at event `seq` or later.
    async fn progress(&self, caller: &Caller, suite: SuiteId, seq: i64)
    -> AppResult<ProgressEvent>;

    /// The newest event number; changes after commits of this suite.
    fn watch(&self, suite: SuiteId) -> tokio::sync::watch::Receiver<LatestEvent>;
}
