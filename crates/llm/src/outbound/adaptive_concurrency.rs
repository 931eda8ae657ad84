//! Finds the number of concurrent calls that a model allows (additive increase,
//! multiplicative decrease). Pure.
//!
//! The limit starts at 8 and doubles per round trip until the first 429 or 529. From
//! then on it grows by one per round trip, and a 429 or 529 reduces it to 70 %, once per
//! round trip. It stays between 1 and 64, and grows only while it is reached.

const INITIAL_LIMIT: f64 = 8.0;
pub(super) const MAX_LIMIT: u32 = 64;
const DECREASE: f64 = 0.7;

#[derive(Clone, Copy, Debug)]
pub(super) struct AdaptiveConcurrency {
    limit: f64,
    /// No call was throttled so far.
    doubling: bool,
    /// Calls up to this number were sent before the last decrease.
    decreased_at: u64,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        Self { limit: INITIAL_LIMIT, doubling: true, decreased_at: 0 }
    }
}

impl AdaptiveConcurrency {
    /// The current limit.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 64
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Records a success; `saturated` if the limit was reached.
    pub(super) fn succeeded(&mut self, saturated: bool) {
        if saturated {
            // One more for each of `limit` calls doubles the limit per round trip.
            let more = if self.doubling { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + more).min(MAX_LIMIT.into());
        }
    }

    /// Records a 429 or 529 of call `number`; `last` is the last call that was sent.
    pub(super) fn throttled(&mut self, number: u64, last: u64) {
        if number > self.decreased_at {
            self.doubling = false;
            self.limit = (self.limit * DECREASE).max(1.0);
            self.decreased_at = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One round trip with as many successes as the limit.
    fn round(concurrency: &mut AdaptiveConcurrency) -> u32 {
        (0..concurrency.limit()).for_each(|_| concurrency.succeeded(true));
        concurrency.limit()
    }

    #[test]
    fn limit_doubles_until_first_throttle_then_grows_by_one() {
        let mut concurrency = AdaptiveConcurrency::default();
        let rounds: Vec<u32> = (0..5).map(|_| round(&mut concurrency)).collect();
        assert_eq!(rounds, [16, 32, 64, 64, 64]);
        concurrency.throttled(10, 20);
        assert_eq!(concurrency.limit(), 44);
        assert_eq!(round(&mut concurrency), 45);
        assert_eq!(round(&mut concurrency), 46);
    }

    #[test]
    fn throttles_of_one_round_trip_decrease_once() {
        let mut concurrency = AdaptiveConcurrency::default();
        for number in 1..=8 {
            concurrency.throttled(number, 8);
        }
        assert_eq!(concurrency.limit(), 5, "8 × 0.7");
        concurrency.throttled(9, 12);
        assert_eq!(concurrency.limit(), 3);
        for number in 13..100 {
            concurrency.throttled(number, number);
        }
        assert_eq!(concurrency.limit(), 1);
    }

    #[test]
    fn unsaturated_limit_does_not_grow() {
        let mut concurrency = AdaptiveConcurrency::default();
        (0..1000).for_each(|_| concurrency.succeeded(false));
        assert_eq!(concurrency.limit(), 8);
    }
}
