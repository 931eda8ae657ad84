//! Wakes event streams after a commit.

use domain::SuiteId;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::watch;
use tokio::time::Instant;

/// The newest committed event of a suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatestEvent {
    pub seq: i64,
    /// When it was published; `None` before the first publication.
    pub at: Option<Instant>,
}

impl LatestEvent {
    #[must_use]
    pub fn now(seq: i64) -> Self {
        Self { seq, at: Some(Instant::now()) }
    }
}

/// One watch channel per suite that has readers.
#[derive(Debug, Default)]
pub struct EventNotifier {
    suites: Mutex<HashMap<SuiteId, watch::Sender<LatestEvent>>>,
}

impl EventNotifier {
    /// A receiver that is woken after each commit of the suite's events.
    pub fn watch(&self, suite: SuiteId) -> watch::Receiver<LatestEvent> {
        let mut suites = self.suites.lock();
        suites.entry(suite).or_insert_with(|| watch::channel(LatestEvent::default()).0).subscribe()
    }

    /// Announces that the events up to `seq` are committed.
    pub fn publish(&self, suite: SuiteId, seq: i64) {
        let mut suites = self.suites.lock();
        let Some(sender) = suites.get(&suite) else { return };
        if sender.receiver_count() == 0 {
            suites.remove(&suite);
            return;
        }
        sender.send_if_modified(|latest| {
            let newer = seq > latest.seq;
            if newer {
                *latest = LatestEvent::now(seq);
            }
            newer
        });
    }
}
