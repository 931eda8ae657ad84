//! Wakes event streams after a commit, and keeps the newest events for them in memory, so
//! that they are not read from the database.

use super::rows::StoredEvent;
use domain::SuiteId;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
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

/// How many events of a suite are kept. One transaction can append more than that.
const MAX_EVENTS: usize = 128;
/// The turns of a suite are kept up to this size.
const MAX_BYTES: usize = 256 * 1024;

/// One channel per suite that has readers.
#[derive(Debug, Default)]
pub struct EventNotifier(Mutex<Channels>);

/// The readers of a suite, and its newest events without gaps.
#[derive(Debug, Default)]
struct Channel {
    latest: watch::Sender<LatestEvent>,
    events: VecDeque<StoredEvent>,
    /// The size of the turns.
    bytes: usize,
}

impl Channel {
    fn add(&mut self, seq: i64, events: Vec<StoredEvent>) {
        let last = self.events.back().map(|(last, ..)| *last);
        let follows = events.first().is_some_and(|(first, ..)| last == Some(first - 1));
        let ends = events.last().is_some_and(|(last, ..)| *last == seq);
        if !follows || !ends {
            self.events.clear();
            self.bytes = 0;
        }
        if !ends {
            return;
        }
        for mut event in events {
            if let Some(turn) = &mut event.2 {
                // Never shown, and large.
                turn.provider_state = None;
            }
            self.bytes += size(&event);
            self.events.push_back(event);
        }
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    fn after(&self, seq: i64, limit: usize) -> Option<Vec<StoredEvent>> {
        let (first, last) = (self.events.front()?.0, self.events.back()?.0);
        if seq < first - 1 || seq >= last {
            return None;
        }
        let new = self.events.iter().skip_while(|(number, ..)| *number <= seq);
        Some(new.take(limit).cloned().collect())
    }
}

/// About how many bytes the turn of an event has.
fn size((.., turn): &StoredEvent) -> usize {
    turn.as_ref().map_or(0, |turn| {
        let arguments = turn.tool_calls.iter().map(|call| call.arguments.to_string().len());
        turn.message.len() + arguments.sum::<usize>()
    })
}

#[derive(Debug, Default)]
struct Channels {
    suites: HashMap<SuiteId, Channel>,
    /// The number of suites after the last eviction.
    kept: usize,
}

impl Channels {
    /// Forgets suites without readers. Nothing is published about a finished suite, so
    /// its channel would stay forever. Runs when the number of suites has doubled, so it
    /// costs a constant time per new suite.
    fn evict(&mut self) {
        if self.suites.len() >= MIN_EVICTION.max(2 * self.kept) {
            self.suites.retain(|_, channel| channel.latest.receiver_count() > 0);
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
        suites.entry(suite).or_default().latest.subscribe()
    }

    /// Announces that the events up to `seq` are committed, of which `events` are the newest.
    pub fn publish(&self, suite: SuiteId, seq: i64, events: Vec<StoredEvent>) {
        let suites = &mut self.0.lock().suites;
        let Some(channel) = suites.get_mut(&suite) else { return };
        if channel.latest.receiver_count() == 0 {
            suites.remove(&suite);
            return;
        }
        channel.add(seq, events);
        channel.latest.send_if_modified(|latest| {
            let newer = seq > latest.seq;
            if newer {
                *latest = LatestEvent::now(seq);
            }
            newer
        });
    }

    /// At most `limit` events after `seq`, without the provider state of their turns; `None`
    /// if they are not kept, or there are none.
    pub fn events_after(&self, suite: SuiteId, seq: i64, limit: u32) -> Option<Vec<StoredEvent>> {
        self.0.lock().suites.get(&suite)?.after(seq, limit as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventNotifier, LatestEvent, MAX_BYTES, MAX_EVENTS, MIN_EVICTION};
    use crate::rows::{EventRow, StoredEvent};
    use domain::{RunId, Speaker, SuiteId, Timestamp, Turn};
    use std::ops::RangeInclusive;
    use uuid::Uuid;

    fn events(numbers: RangeInclusive<i64>, message: &str) -> Vec<StoredEvent> {
        let turn = Turn::text(Speaker::Agent, message, Timestamp(0));
        let event = EventRow::Turn { run_id: RunId(Uuid::nil()), index: 0 };
        numbers.map(|number| (number, event.clone(), Some(turn.clone()))).collect()
    }

    fn after(notifier: &EventNotifier, seq: i64, limit: u32) -> Option<Vec<i64>> {
        let events = notifier.events_after(id(1), seq, limit)?;
        Some(events.into_iter().map(|(number, ..)| number).collect())
    }

    #[tokio::test]
    async fn newest_events_are_kept_without_gaps() {
        let notifier = EventNotifier::default();
        let publish = |numbers: RangeInclusive<i64>| {
            notifier.publish(id(1), *numbers.end(), events(numbers, "Hi"));
        };
        publish(1..=2);
        assert_eq!(after(&notifier, 0, 9), None, "nobody reads the suite");
        let _reader = notifier.watch(id(1));
        publish(3..=4);
        publish(5..=5);
        assert_eq!(after(&notifier, 2, 9), Some(vec![3, 4, 5]));
        assert_eq!(after(&notifier, 3, 1), Some(vec![4]));
        assert_eq!(after(&notifier, 1, 9), None, "2 is in the database only");
        assert_eq!(after(&notifier, 5, 9), None, "there may be newer ones");
        publish(7..=8);
        assert_eq!(after(&notifier, 4, 9), None, "6 is in the database only");
        assert_eq!(after(&notifier, 6, 9), Some(vec![7, 8]));
        notifier.publish(id(1), 9, Vec::new());
        assert_eq!(after(&notifier, 7, 9), None, "9 is in the database only");
    }

    #[tokio::test]
    async fn number_and_size_of_kept_events_are_limited() {
        let notifier = EventNotifier::default();
        let _reader = notifier.watch(id(1));
        let most = i64::try_from(MAX_EVENTS).unwrap();
        notifier.publish(id(1), most + 1, events(1..=most + 1, "Hi"));
        assert_eq!(after(&notifier, 0, 1), None);
        assert_eq!(after(&notifier, 1, u32::MAX).map(|kept| kept.len()), Some(MAX_EVENTS));
        let large = "x".repeat(MAX_BYTES / 2);
        notifier.publish(id(1), most + 4, events(most + 2..=most + 4, &large));
        assert_eq!(after(&notifier, most + 1, 9), None);
        assert_eq!(after(&notifier, most + 2, 9), Some(vec![most + 3, most + 4]));
        notifier.publish(id(1), most + 5, events(most + 5..=most + 5, &large.repeat(3)));
        assert_eq!(after(&notifier, most + 4, 9), None, "it is too large");
    }

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
            notifier.publish(id(n), 7, Vec::new());
            assert_eq!(*receiver.borrow_and_update(), LatestEvent::now(7), "still connected");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_of_many_suites_stay_connected() {
        let notifier = EventNotifier::default();
        let mut watched: Vec<_> = (0..1000).map(|n| notifier.watch(id(n))).collect();
        for (n, receiver) in (0..).zip(&mut watched) {
            notifier.publish(id(n), 1, Vec::new());
            assert_eq!(receiver.borrow_and_update().seq, 1);
        }
    }
}
