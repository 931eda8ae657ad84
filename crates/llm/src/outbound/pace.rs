//! Spaces calls out to a rate: a token bucket of our own. Pure.

use super::window::Ready;
use domain::Timestamp;
use std::time::Duration;

/// The calls of this time may be sent at once.
const BURST: Duration = Duration::from_millis(100);
/// The lowest rate, in calls per second.
const MIN_RATE: f64 = 1.0 / 60.0;
/// A token that is complete except for rounding.
const TOKEN: f64 = 0.999;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Calls per second.
    rate: f64,
    /// The calls that may be sent at `at`.
    tokens: f64,
    at: Timestamp,
}

impl Pace {
    /// Begins without a token.
    pub(super) fn new(rate: f64, now: Timestamp) -> Self {
        Self { rate: rate.max(MIN_RATE), tokens: 0.0, at: now }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Continues at another rate.
    pub(super) fn set_rate(&mut self, rate: f64, now: Timestamp) {
        (self.tokens, self.at) = (self.level(now), now);
        self.rate = rate.max(MIN_RATE);
    }

    pub(super) fn ready(&self, now: Timestamp) -> Ready {
        let level = self.level(now);
        if level >= TOKEN {
            return Ready::Now;
        }
        let wait = Duration::try_from_secs_f64((1.0 - level) / self.rate).unwrap_or(Duration::MAX);
        let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
        Ready::At(now.plus(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))))
    }

    pub(super) fn take(&mut self, now: Timestamp) {
        (self.tokens, self.at) = (self.level(now) - 1.0, now);
    }

    /// Returns the token of a call that was not sent.
    pub(super) fn give_back(&mut self) {
        self.tokens += 1.0;
    }

    fn level(&self, now: Timestamp) -> f64 {
        let most = (self.rate * BURST.as_secs_f64()).max(1.0);
        (self.tokens + now.since(self.at).as_secs_f64() * self.rate).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    fn after(millis: u64) -> Timestamp {
        T0.plus(Duration::from_millis(millis))
    }

    /// The number of calls within so many milliseconds, one whenever it is allowed.
    fn calls(pace: &mut Pace, millis: u64) -> usize {
        (0..=millis)
            .filter(|at| {
                let ready = pace.ready(after(*at)) == Ready::Now;
                if ready {
                    pace.take(after(*at));
                }
                ready
            })
            .count()
    }

    #[test]
    fn calls_are_spaced_out() {
        let mut pace = Pace::new(10.0, T0);
        assert_eq!(pace.ready(T0), Ready::At(after(100)));
        assert_eq!(calls(&mut pace, 10_000), 100);
        pace.give_back();
        assert_eq!(pace.ready(after(10_000)), Ready::Now, "the call was not sent");
    }

    #[test]
    fn fast_rate_allows_small_bursts() {
        let mut pace = Pace::new(600.0, T0);
        pace.set_rate(500.0, after(60_000));
        let burst = (0..100).take_while(|_| {
            let ready = pace.ready(after(60_000)) == Ready::Now;
            pace.take(after(60_000));
            ready
        });
        assert_eq!(burst.count(), 50, "100 ms at 500 per second");
    }

    #[test]
    fn rate_has_a_minimum() {
        let pace = Pace::new(0.0, T0);
        assert_eq!(pace.ready(T0), Ready::At(after(60_000)));
    }
}
