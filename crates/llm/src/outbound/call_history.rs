//! The outcomes of the last calls on a connection, and whether they open its circuit.
//! Pure.

use domain::Timestamp;
use std::collections::VecDeque;

/// The number of consecutive failures that open the circuit.
const MAX_CONSECUTIVE_FAILURES: u32 = 5;
/// The length of the failure rate's window, in seconds.
const WINDOW: i64 = 60;
/// The minimum number of calls in the window for which a failure rate of 50 % opens the
/// circuit.
const MIN_CALLS: u32 = 8;

/// The calls of one second.
#[derive(Clone, Copy, Debug)]
struct Second {
    at: i64,
    calls: u32,
    failures: u32,
}

/// The calls of the last minute, aggregated per second.
#[derive(Clone, Debug, Default)]
pub(super) struct CallHistory {
    consecutive_failures: u32,
    seconds: VecDeque<Second>,
}

impl CallHistory {
    pub(super) fn succeeded(&mut self, now: Timestamp) {
        self.consecutive_failures = 0;
        self.count(now, 0);
    }

    /// Records a failure. Returns the reason if the circuit has to open.
    pub(super) fn failed(&mut self, now: Timestamp) -> Option<String> {
        self.consecutive_failures += 1;
        self.count(now, 1);
        if self.consecutive_failures >= MAX_CONSECUTIVE_FAILURES {
            return Some(format!("{} calls in a row failed", self.consecutive_failures));
        }
        let (calls, failures) = self.seconds.iter().fold((0, 0), |(calls, failures), second| {
            (calls + second.calls, failures + second.failures)
        });
        (calls >= MIN_CALLS && failures * 2 >= calls)
            .then(|| format!("{failures} of {calls} calls within a minute failed"))
    }

    pub(super) fn has_no_failures(&self) -> bool {
        self.consecutive_failures == 0 && self.seconds.iter().all(|second| second.failures == 0)
    }

    fn count(&mut self, now: Timestamp, failures: u32) {
        let at = now.0.div_euclid(1000);
        self.seconds.retain(|second| second.at > at - WINDOW);
        match self.seconds.back_mut() {
            Some(second) if second.at == at => {
                second.calls += 1;
                second.failures += failures;
            }
            _ => self.seconds.push_back(Second { at, calls: 1, failures }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000).plus(Duration::from_secs(seconds))
    }

    /// The number of the call that opens the circuit, and the reason: `f` is a failure,
    /// `s` a success.
    fn opens(calls: &str, every: u64) -> Option<(usize, String)> {
        let mut history = CallHistory::default();
        for (n, call) in calls.chars().enumerate() {
            let now = at(n as u64 * every);
            if call == 's' {
                history.succeeded(now);
            } else if let Some(why) = history.failed(now) {
                return Some((n + 1, why));
            }
        }
        None
    }

    #[test]
    fn failures_in_a_row_or_failure_rate_opens() {
        let some = |n, why: &str| Some((n, why.to_owned()));
        assert_eq!(opens("fffff", 1), some(5, "5 calls in a row failed"));
        assert_eq!(
            opens("fffff", 1000),
            some(5, "5 calls in a row failed"),
            "at any rate of calls"
        );
        assert_eq!(opens("ffffsffff", 100), None);
        assert_eq!(opens("ffffssss", 1), None, "the fourth success is no failure");
        assert_eq!(opens("fsfsfsff", 1), some(8, "5 of 8 calls within a minute failed"));
        assert_eq!(opens("sfsfsfsf", 1), some(8, "4 of 8 calls within a minute failed"));
        assert_eq!(opens("sfsfsfsf", 9), None, "7 calls within the window");
        assert_eq!(opens("sssssssssfff", 1), None, "3 of 12");
    }

    #[test]
    fn memory_is_bounded_by_the_window() {
        let mut history = CallHistory::default();
        for n in 0..100_000_u64 {
            history.succeeded(Timestamp(i64::try_from(n * 10).unwrap()));
        }
        assert!(history.seconds.len() <= 60);
        assert!(history.has_no_failures());
    }
}
