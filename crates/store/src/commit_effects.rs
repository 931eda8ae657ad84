//! Effects of a change outside the store. The writer publishes them after the
//! commit; a change that fails or is rolled back leaves none.

use super::completion_metrics;
use super::event_notifier::EventNotifier;
use super::rows::{EventRow, StoredEvent};
use domain::{SuiteId, Turn};

#[derive(Debug, Default)]
pub struct CommitEffects {
    /// Suites with new events: the number of the newest one, and the events.
    appended: Vec<(SuiteId, i64, Vec<StoredEvent>)>,
    /// Events of completed runs and suites.
    completed: Vec<(SuiteId, EventRow)>,
}

impl CommitEffects {
    /// Records events that the change appended, the newest with number `seq`, and the turns
    /// that it stored.
    pub fn add_events(
        &mut self,
        suite: SuiteId,
        seq: i64,
        events: Vec<EventRow>,
        mut turns: Vec<Turn>,
    ) {
        self.add_completed(suite, &events);
        let first = seq - i64::try_from(events.len()).unwrap_or(i64::MAX) + 1;
        let with_turn = |(number, event)| {
            let turn = match &event {
                EventRow::Turn { index, .. } => {
                    let place = turns.iter().position(|turn| turn.index == *index);
                    place.map(|place| turns.remove(place))
                }
                EventRow::Run(_) | EventRow::Finished(_) => None,
            };
            (number, event, turn)
        };
        self.appended.push((suite, seq, (first..).zip(events).map(with_turn).collect()));
    }

    /// Records the completions among `events`.
    pub fn add_completed(&mut self, suite: SuiteId, events: &[EventRow]) {
        let completed = events.iter().filter(|event| event.is_completion());
        self.completed.extend(completed.map(|event| (suite, event.clone())));
    }

    pub fn append(&mut self, mut other: Self) {
        self.appended.append(&mut other.appended);
        self.completed.append(&mut other.completed);
    }

    /// Counts and logs completions, then wakes the streams.
    pub fn publish(self, notifier: &EventNotifier) {
        for (suite, event) in &self.completed {
            completion_metrics::record(*suite, event);
        }
        for (suite, seq, events) in self.appended {
            notifier.publish(suite, seq, events);
        }
    }
}
