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

/// The number of suites from which on those without readers are evicted.
const MIN_EVICTION: usize = 64;

/// One watch channel per suite that has readers.
#[derive(Debug, Default)]
pub struct EventNotifier(Mutex<Channels>);

#[derive(Debug, Default)]
struct Channels {
    suites: HashMap<SuiteId, watch::Sender<LatestEvent>>,
    /// The number of suites after the last eviction.
    kept: usize,
}

impl Channels {
    /// Forgets suites without readers. Nothing is published about a finished suite, so
    /// its channel would stay forever. Runs when the number of suites has doubled, so it
    /// costs a constant time per new suite.
    fn evict(&mut self) {
        if self.suites.len() >= MIN_EVICTION.max(2 * self.kept) {
            self.suites.retain(|_, sender| sender.receiver_count() > 0);
            self.kept = self.suites.len();
        }
    }
}

impl EventNotifier {
    /// A receiver that is woken after each commit of the suite's events.
    pub fn watch(&self, suite: SuiteId) -> watch::Receiver<LatestEvent> {
        let mut channels = self.0.lock();
        if !channels.suites.contains_key(&suite) {
            channels.evict();
        }
        let suites = &mut channels.suites;
        suites.entry(suite).or_insert_with(|| watch::channel(LatestEvent::default()).0).subscribe()
    }

    /// Announces that the events up to `seq` are committed.
    pub fn publish(&self, suite: SuiteId, seq: i64) {
        let suites = &mut self.0.lock().suites;
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

#[cfg(test)]
mod tests {
    use super::{EventNotifier, LatestEvent, MIN_EVICTION};
    use domain::SuiteId;
    use uuid::Uuid;

    fn id(n: u128) -> SuiteId {
        SuiteId(Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn suites_without_readers_are_forgotten() {
        let notifier = EventNotifier::default();
        let mut watched: Vec<_> = (0..5).map(|n| notifier.watch(id(n))).collect();
        for n in 100..10_000 {
            // A visitor of a finished suite: nothing is published about it.
            drop(notifier.watch(id(n)));
        }
        assert!(notifier.0.lock().suites.len() <= 2 * MIN_EVICTION);
        for (n, receiver) in (0..).zip(&mut watched) {
            notifier.publish(id(n), 7);
            assert_eq!(*receiver.borrow_and_update(), LatestEvent::now(7), "still connected");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_of_many_suites_stay_connected() {
        let notifier = EventNotifier::default();
        let mut watched: Vec<_> = (0..1000).map(|n| notifier.watch(id(n))).collect();
        for (n, receiver) in (0..).zip(&mut watched) {
            notifier.publish(id(n), 1);
            assert_eq!(receiver.borrow_and_update().seq, 1);
        }
    }
}
