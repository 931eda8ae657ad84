//! What became of the last calls on a connection: when it is enough to open
//! its circuit. Pure.

use domain::Timestamp;
use std::collections::VecDeque;

/// Failures in a row that open.
const IN_A_ROW: u32 = 5;
/// How far back calls count, in seconds.
const WINDOW: i64 = 60;
/// Calls of which half must fail.
const LEAST_CALLS: u32 = 8;

/// One second's calls.
#[derive(Clone, Copy, Debug)]
struct Second {
    at: i64,
    calls: u32,
    failures: u32,
}

/// The calls of the last minute, counted by the second.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    in_a_row: u32,
    seconds: VecDeque<Second>,
}

impl Recent {
    /// A call succeeded.
    pub(super) fn succeeded(&mut self, now: Timestamp) {
        self.in_a_row = 0;
        self.count(now, 0);
    }

    /// A call failed; the beginning of a sentence when that is enough.
    pub(super) fn failed(&mut self, now: Timestamp) -> Option<String> {
        self.in_a_row += 1;
        self.count(now, 1);
        if self.in_a_row >= IN_A_ROW {
            return Some(format!("{} calls in a row failed", self.in_a_row));
        }
        let (calls, failures) = self.seconds.iter().fold((0, 0), |(calls, failures), second| {
            (calls + second.calls, failures + second.failures)
        });
        (calls >= LEAST_CALLS && failures * 2 >= calls)
            .then(|| format!("{failures} of {calls} calls within a minute failed"))
    }

    /// Whether nothing failed of late.
    pub(super) fn is_empty(&self) -> bool {
        self.in_a_row == 0 && self.seconds.iter().all(|second| second.failures == 0)
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

    /// When (as the number of the call) it is enough: `f` fails, `s` does not.
    fn enough(calls: &str, every: u64) -> Option<(usize, String)> {
        let mut recent = Recent::default();
        for (n, call) in calls.chars().enumerate() {
            let now = at(n as u64 * every);
            if call == 's' {
                recent.succeeded(now);
            } else if let Some(why) = recent.failed(now) {
                return Some((n + 1, why));
            }
        }
        None
    }

    #[test]
    fn when_it_is_enough() {
        let some = |n, why: &str| Some((n, why.to_owned()));
        assert_eq!(enough("fffff", 1), some(5, "5 calls in a row failed"));
        assert_eq!(enough("fffff", 1000), some(5, "5 calls in a row failed"), "however slowly");
        assert_eq!(enough("ffffsffff", 100), None);
        assert_eq!(enough("ffffssss", 1), None, "the fourth success is no failure");
        assert_eq!(enough("fsfsfsff", 1), some(8, "5 of 8 calls within a minute failed"));
        assert_eq!(enough("sfsfsfsf", 1), some(8, "4 of 8 calls within a minute failed"));
        assert_eq!(enough("sfsfsfsf", 9), None, "of which seven within a minute");
        assert_eq!(enough("sssssssssfff", 1), None, "3 of 12");
    }

    #[test]
    fn a_busy_minute_takes_no_room() {
        let mut recent = Recent::default();
        for n in 0..100_000_u64 {
            recent.succeeded(Timestamp(i64::try_from(n * 10).unwrap()));
        }
        assert!(recent.seconds.len() <= 60);
        assert!(recent.is_empty());
    }
}
