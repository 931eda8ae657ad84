//! Effects of a change outside the store. The writer publishes them after the
//! commit; a change that fails or is rolled back leaves none.

use super::completion_metrics;
use super::event_notifier::EventNotifier;
use super::rows::EventRow;
use domain::SuiteId;

#[derive(Debug, Default)]
pub struct CommitEffects {
    /// Suites with new events, and the number of the newest one.
    wake_ups: Vec<(SuiteId, i64)>,
    /// Events of completed runs and suites.
    completed: Vec<(SuiteId, EventRow)>,
}

impl CommitEffects {
    /// Records events that the change appended, the newest with number `seq`.
    pub fn add_events(&mut self, suite: SuiteId, seq: i64, events: &[EventRow]) {
        self.wake_ups.push((suite, seq));
        self.add_completed(suite, events);
    }

    /// Records the completions among `events`.
    pub fn add_completed(&mut self, suite: SuiteId, events: &[EventRow]) {
        let completed = events.iter().filter(|event| event.is_completion());
        self.completed.extend(completed.map(|event| (suite, event.clone())));
    }

    pub fn append(&mut self, mut other: Self) {
        self.wake_ups.append(&mut other.wake_ups);
        self.completed.append(&mut other.completed);
    }

    /// Counts and logs completions, then wakes the streams.
    pub fn publish(self, notifier: &EventNotifier) {
        for (suite, event) in &self.completed {
            completion_metrics::record(*suite, event);
        }
        for (suite, seq) in self.wake_ups {
            notifier.publish(suite, seq);
        }
    }
}
