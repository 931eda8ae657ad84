//! Wakes streams after a commit: the newest seq of each suite that somebody
//! watches.

use domain::SuiteId;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::watch;
use tokio::time::Instant;

/// The newest event of a suite that is committed, and since when readers know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// Its number.
    pub seq: i64,
    /// When it was published; `None` before the first.
    pub at: Option<Instant>,
}

impl Newest {
    /// Published this moment.
    #[must_use]
    pub fn now(seq: i64) -> Self {
        Self { seq, at: Some(Instant::now()) }
    }
}

/// Senders by suite. A suite that nobody watches costs nothing.
#[derive(Debug, Default)]
pub struct Hub {
    suites: Mutex<HashMap<SuiteId, watch::Sender<Newest>>>,
}

impl Hub {
    /// A receiver that is woken after each commit of the suite's events.
    pub fn watch(&self, suite: SuiteId) -> watch::Receiver<Newest> {
        let mut suites = self.suites.lock();
        suites.entry(suite).or_insert_with(|| watch::channel(Newest::default()).0).subscribe()
    }

    /// Tells that events up to `seq` are committed.
    pub fn publish(&self, suite: SuiteId, seq: i64) {
        let mut suites = self.suites.lock();
        let Some(sender) = suites.get(&suite) else { return };
        if sender.receiver_count() == 0 {
            suites.remove(&suite);
            return;
        }
        sender.send_if_modified(|newest| {
            let newer = seq > newest.seq;
            if newer {
                *newest = Newest::now(seq);
            }
            newer
        });
    }
}
