//! Wakes streams after a commit: the newest seq of each suite that somebody
//! watches.

use app::domain::SuiteId;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::watch;

/// Senders by suite. A suite that nobody watches costs nothing.
#[derive(Debug, Default)]
pub struct Hub {
    suites: Mutex<HashMap<SuiteId, watch::Sender<i64>>>,
}

impl Hub {
    /// A receiver that is woken after each commit of the suite's events.
    pub fn watch(&self, suite: SuiteId) -> watch::Receiver<i64> {
        let mut suites = self.suites.lock();
        suites.entry(suite).or_insert_with(|| watch::channel(0).0).subscribe()
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
            let newer = seq > *newest;
            *newest = seq.max(*newest);
            newer
        });
    }
}
