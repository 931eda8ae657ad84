//! Shares what the readers of one suite read, so that a thousand readers cause
//! about as many queries as one.

use domain::{ProgressEvent, SpaceId, SuiteEvent, SuiteId};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::{SharedSuites, StoreResult};
use tokio::time::Instant;

/// How many of the newest events of a suite are cached. A reader that is further
/// behind reads from the database.
const MAX_EVENTS: usize = 32;
/// How long a computed progress is reused while no newer event exists.
const PROGRESS_TTL: Duration = Duration::from_secs(1);
/// How long the cache of a suite is kept after its last use. A stream uses it every few
/// seconds.
const UNUSED_TTL: Duration = Duration::from_secs(60);
/// The number of cached suites at which unused ones are evicted.
const MIN_EVICTION: usize = 32;

/// The cache of all suites that are being read.
#[derive(Debug, Default)]
pub struct EventCache {
    suites: Mutex<HashMap<SuiteId, Arc<CachedSuite>>>,
}

/// The cache of one suite.
#[derive(Debug)]
pub(super) struct CachedSuite {
    /// The owner, which never changes.
    space: SpaceId,
    last_used: Mutex<Instant>,
    pub(super) window: Mutex<EventWindow>,
    /// Held by the reader that reads new events; the others wait and find them in
    /// the window.
    pub(super) reading: tokio::sync::Mutex<()>,
    pub(super) progress: tokio::sync::Mutex<Option<CachedProgress>>,
}

#[derive(Debug)]
pub(super) struct CachedProgress {
    /// The number of the event up to which the progress is valid.
    seq: i64,
    at: Instant,
    progress: ProgressEvent,
}

impl CachedProgress {
    pub(super) fn now(seq: i64, progress: ProgressEvent) -> Self {
        Self { seq, at: Instant::now(), progress }
    }

    /// The progress, if it covers event `seq`. Waiting reasons and remaining time
    /// change without events, so a progress expires soon.
    pub(super) fn at(&self, seq: i64) -> Option<&ProgressEvent> {
        (self.seq >= seq && self.at.elapsed() < PROGRESS_TTL).then_some(&self.progress)
    }
}

impl EventCache {
    /// The cache of a suite; `None` if the suite does not belong to the space.
    pub(super) async fn of(
        &self,
        store: &SharedSuites,
        space: SpaceId,
        suite: SuiteId,
    ) -> StoreResult<Option<Arc<CachedSuite>>> {
        if let Some(known) = self.known(suite) {
            return Ok((known.space == space).then_some(known));
        }
        if !store.owns(space, suite).await? {
            return Ok(None);
        }
        Ok(Some(self.add(space, suite)))
    }

    fn known(&self, suite: SuiteId) -> Option<Arc<CachedSuite>> {
        let known = self.suites.lock().get(&suite).cloned()?;
        *known.last_used.lock() = Instant::now();
        Some(known)
    }

    /// Adds a suite, and forgets those that nobody has read for a while.
    fn add(&self, space: SpaceId, suite: SuiteId) -> Arc<CachedSuite> {
        let mut suites = self.suites.lock();
        if suites.len() >= MIN_EVICTION {
            suites.retain(|_, cached| cached.last_used.lock().elapsed() < UNUSED_TTL);
        }
        let fresh = || {
            let (reading, progress, window) = Default::default();
            let last_used = Mutex::new(Instant::now());
            Arc::new(CachedSuite { space, last_used, window, reading, progress })
        };
        suites.entry(suite).or_insert_with(fresh).clone()
    }
}

/// The newest events, without gaps.
#[derive(Debug, Default)]
pub(super) struct EventWindow {
    events: VecDeque<(i64, SuiteEvent)>,
}

impl EventWindow {
    /// At most `limit` events after `seq`; `None` if they are not cached.
    pub(super) fn after(&self, seq: i64, limit: u32) -> Option<Vec<(i64, SuiteEvent)>> {
        let (first, last) = (self.events.front()?.0, self.events.back()?.0);
        if seq < first - 1 || seq >= last {
            return None;
        }
        let new = self.events.iter().skip_while(|(n, _)| *n <= seq);
        Some(new.take(limit as usize).cloned().collect())
    }

    /// Adds events in order and without gaps.
    pub(super) fn add(&mut self, read: &[(i64, SuiteEvent)]) {
        for (seq, event) in read {
            let next = self.events.back().map_or(*seq, |(last, _)| last + 1);
            if *seq > next {
                self.events.clear();
            }
            if *seq >= next {
                self.events.push_back((*seq, event.clone()));
            }
        }
        let excess = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::{CachedProgress, EventCache, EventWindow, MAX_EVENTS, PROGRESS_TTL, UNUSED_TTL};
    use domain::{Counts, FinishedEvent, ProgressEvent, SpaceId, SuiteEvent, SuiteId, SuiteStatus};
    use std::sync::Arc;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn suites_that_nobody_reads_are_forgotten() {
        let cache = EventCache::default();
        let id = |n| SuiteId(Uuid::from_u128(n));
        let read = cache.add(SpaceId(Uuid::nil()), id(0));
        for n in 1..1000 {
            cache.add(SpaceId(Uuid::nil()), id(n));
        }
        tokio::time::advance(UNUSED_TTL / 2).await;
        cache.known(id(0));
        tokio::time::advance(UNUSED_TTL / 2).await;
        cache.add(SpaceId(Uuid::nil()), id(1000));
        assert_eq!(cache.suites.lock().len(), 2, "the one that is read, and the new one");
        assert!(cache.known(id(0)).is_some_and(|kept| Arc::ptr_eq(&kept, &read)));
    }

    fn read(seqs: impl IntoIterator<Item = i64>) -> Vec<(i64, SuiteEvent)> {
        let finished = FinishedEvent { status: SuiteStatus::Finished, counts: Counts::default() };
        seqs.into_iter().map(|seq| (seq, SuiteEvent::Finished(finished))).collect()
    }

    fn after(window: &EventWindow, seq: i64, limit: u32) -> Option<Vec<i64>> {
        Some(window.after(seq, limit)?.into_iter().map(|(seq, _)| seq).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_reused_while_valid() {
        let (current, waiting, held) = Default::default();
        let by_status = Counts::default();
        let progress = ProgressEvent {
            done: 1,
            total: 2,
            by_status,
            eta_seconds: None,
            current,
            waiting,
            pending_waiting_on: held,
        };
        let known = CachedProgress::now(7, progress.clone());
        assert_eq!(known.at(7), Some(&progress));
        assert_eq!(known.at(8), None, "something has happened since");
        tokio::time::advance(PROGRESS_TTL).await;
        assert_eq!(known.at(7), None, "what runs wait for may have changed");
    }

    #[test]
    fn window_returns_only_complete_ranges() {
        let mut window = EventWindow::default();
        assert_eq!(after(&window, 0, 9), None);
        window.add(&read(5..=7));
        assert_eq!(after(&window, 4, 9), Some(vec![5, 6, 7]));
        assert_eq!(after(&window, 5, 1), Some(vec![6]));
        assert_eq!(after(&window, 3, 9), None, "4 is not known");
        assert_eq!(after(&window, 7, 9), None, "the newest may be elsewhere");
    }

    #[test]
    fn window_has_no_gap_and_no_duplicate() {
        let mut window = EventWindow::default();
        window.add(&read(5..=7));
        window.add(&read(6..=9));
        assert_eq!(after(&window, 4, 9), Some(vec![5, 6, 7, 8, 9]));
        window.add(&read(1..=3));
        assert_eq!(after(&window, 4, 9), Some(vec![5, 6, 7, 8, 9]), "old ones change nothing");
        window.add(&read(20..=21));
        assert_eq!(after(&window, 8, 9), None);
        assert_eq!(after(&window, 19, 9), Some(vec![20, 21]));
        window.add(&read(22..=200));
        assert_eq!(window.events.len(), MAX_EVENTS);
        assert_eq!(after(&window, 198, 9), Some(vec![199, 200]));
    }
}
