//! What the readers of one suite share, so that a thousand of them ask the
//! database about as much as one.

use domain::{Progress, SpaceId, SuiteEvent, SuiteId};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::{SharedSuites, Stored};
use tokio::time::Instant;

/// The newest events of a suite that are kept for readers that follow closely;
/// who is further behind reads for itself.
const KEPT: usize = 32;
/// How long a progress is told again while no event is newer.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Suites that are known before all are forgotten.
const MOST: usize = 512;

/// What is known of the suites that are read.
#[derive(Debug, Default)]
pub struct EventCache {
    suites: Mutex<HashMap<SuiteId, Arc<Shared>>>,
}

/// What the readers of one suite share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whose it is; that never changes.
    space: SpaceId,
    pub(super) window: Mutex<Window>,
    /// One reads what is new; the others wait and find it in the window.
    pub(super) reading: tokio::sync::Mutex<()>,
    /// The progress that was computed last.
    pub(super) progress: tokio::sync::Mutex<Option<Known>>,
}

/// A progress that was computed.
#[derive(Debug)]
pub(super) struct Known {
    /// The event up to which it is right.
    seq: i64,
    at: Instant,
    progress: Progress,
}

impl Known {
    /// Computed this moment.
    pub(super) fn now(seq: i64, progress: Progress) -> Self {
        Self { seq, at: Instant::now(), progress }
    }

    /// The progress, if it is as new as event `seq`. What runs wait for and
    /// how long it will take change without events, so it is not kept long.
    pub(super) fn at(&self, seq: i64) -> Option<&Progress> {
        (self.seq >= seq && self.at.elapsed() < GOOD_FOR).then_some(&self.progress)
    }
}

impl EventCache {
    /// What the readers of this suite share; `None` when it is not the space's.
    pub(super) async fn of(
        &self,
        store: &SharedSuites,
        space: SpaceId,
        suite: SuiteId,
    ) -> Stored<Option<Arc<Shared>>> {
        let known = self.suites.lock().get(&suite).cloned();
        if let Some(shared) = known {
            return Ok((shared.space == space).then_some(shared));
        }
        if !store.owns(space, suite).await? {
            return Ok(None);
        }
        let mut suites = self.suites.lock();
        if suites.len() >= MOST {
            suites.clear();
        }
        let fresh = || {
            let (reading, progress) = Default::default();
            Arc::new(Shared { space, window: Mutex::default(), reading, progress })
        };
        Ok(Some(suites.entry(suite).or_insert_with(fresh).clone()))
    }
}

/// The newest events, without a gap between them.
#[derive(Debug, Default)]
pub(super) struct Window {
    events: VecDeque<(i64, SuiteEvent)>,
}

impl Window {
    /// What follows `seq`, at most `limit`; `None` when that is not known here.
    pub(super) fn after(&self, seq: i64, limit: u32) -> Option<Vec<(i64, SuiteEvent)>> {
        let (first, last) = (self.events.front()?.0, self.events.back()?.0);
        if seq < first - 1 || seq >= last {
            return None;
        }
        let new = self.events.iter().skip_while(|(n, _)| *n <= seq);
        Some(new.take(limit as usize).cloned().collect())
    }

    /// Takes in events as they were read: in order and without a gap.
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
        let too_many = self.events.len().saturating_sub(KEPT);
        self.events.drain(..too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::{GOOD_FOR, KEPT, Known, Window};
    use domain::{Counts, Finished, Progress, SuiteEvent, SuiteStatus};

    fn read(seqs: impl IntoIterator<Item = i64>) -> Vec<(i64, SuiteEvent)> {
        let told = Finished { status: SuiteStatus::Finished, counts: Counts::default() };
        seqs.into_iter().map(|seq| (seq, SuiteEvent::Finished(told))).collect()
    }

    fn after(window: &Window, seq: i64, limit: u32) -> Option<Vec<i64>> {
        Some(window.after(seq, limit)?.into_iter().map(|(seq, _)| seq).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_progress_is_told_again_while_it_is_right() {
        let (current, waiting, held) = Default::default();
        let by_status = Counts::default();
        let progress =
            Progress { done: 1, total: 2, by_status, eta_seconds: None, current, waiting, held };
        let known = Known::now(7, progress.clone());
        assert_eq!(known.at(7), Some(&progress));
        assert_eq!(known.at(8), None, "something has happened since");
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(known.at(7), None, "what runs wait for may have changed");
    }

    #[test]
    fn it_tells_what_follows_and_nothing_that_it_does_not_know() {
        let mut window = Window::default();
        assert_eq!(after(&window, 0, 9), None);
        window.add(&read(5..=7));
        assert_eq!(after(&window, 4, 9), Some(vec![5, 6, 7]));
        assert_eq!(after(&window, 5, 1), Some(vec![6]));
        assert_eq!(after(&window, 3, 9), None, "4 is not known");
        assert_eq!(after(&window, 7, 9), None, "the newest may be elsewhere");
    }

    #[test]
    fn it_has_no_gap_and_no_double_whatever_is_read() {
        let mut window = Window::default();
        window.add(&read(5..=7));
        window.add(&read(6..=9));
        assert_eq!(after(&window, 4, 9), Some(vec![5, 6, 7, 8, 9]));
        window.add(&read(1..=3));
        assert_eq!(after(&window, 4, 9), Some(vec![5, 6, 7, 8, 9]), "old ones change nothing");
        window.add(&read(20..=21));
        assert_eq!(after(&window, 8, 9), None);
        assert_eq!(after(&window, 19, 9), Some(vec![20, 21]));
        window.add(&read(22..=200));
        assert_eq!(window.events.len(), KEPT);
        assert_eq!(after(&window, 198, 9), Some(vec![199, 200]));
    }
}
