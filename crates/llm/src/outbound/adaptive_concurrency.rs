//! Finds the number of concurrent calls that a model allows (slow start, then additive
//! increase). Pure.
//!
//! The limit starts at 4 and doubles per clean flight: after as many accepted calls as
//! the limit, less what refusals take back. Evidence of a limit sets it to the number of
//! calls that are in flight and not refused; from there it grows by one per flight. It
//! stays between 1 and 64, and grows only while it is reached.

const INITIAL_LIMIT: f64 = 4.0;
pub(super) const MAX_LIMIT: u32 = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct AdaptiveConcurrency {
    limit: f64,
    /// The limit doubles below this, and grows by one per flight from here on.
    threshold: f64,
    /// The accepted calls since the limit was doubled, less a quarter of the limit for
    /// each refused one.
    accepted: f64,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        Self { limit: INITIAL_LIMIT, threshold: MAX_LIMIT.into(), accepted: 0.0 }
    }
}

impl AdaptiveConcurrency {
    /// The current limit.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 64
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// The proven number of concurrent calls, once a limit was reached. Before, it is not
    /// known.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 64
    pub(super) fn learned(&self) -> Option<u32> {
        (self.threshold < MAX_LIMIT.into()).then(|| self.threshold.max(self.limit) as u32)
    }

    /// Records an accepted call; `saturated` if the limit was reached. Above the proven
    /// number the limit grows only if `may_grow`.
    pub(super) fn accepted(&mut self, saturated: bool, may_grow: bool) {
        if !saturated {
            return;
        }
        if self.limit < self.threshold {
            self.accepted += 1.0;
            if self.accepted >= self.limit.floor() {
                self.accepted = 0.0;
                self.limit = (self.limit * 2.0).min(self.threshold);
            }
        } else if may_grow {
            self.limit = (self.limit + 1.0 / self.limit).min(MAX_LIMIT.into());
        }
    }

    /// Records a refused call that is no evidence of a limit.
    pub(super) fn refused(&mut self) {
        self.accepted = (self.accepted - (self.limit / 4.0).floor()).max(0.0);
    }

    /// Records that a limit is reached while this many calls are in flight.
    pub(super) fn limit_reached(&mut self, in_flight: u32) {
        self.limit = f64::from(in_flight).max(1.0);
        self.threshold = self.limit;
    }

    /// Records that a further call was refused while this many were in flight. None in
    /// flight says nothing about concurrency.
    pub(super) fn trial_refused(&mut self, in_flight: u32) {
        if in_flight > 0 {
            self.threshold = in_flight.into();
        }
    }

    /// Starts over after a stop, up to the proven number.
    pub(super) fn resume(&mut self) {
        self.limit = self.threshold.min(INITIAL_LIMIT);
        self.accepted = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One flight of as many accepted calls as the limit.
    fn flight(concurrency: &mut AdaptiveConcurrency) -> u32 {
        (0..concurrency.limit()).for_each(|_| concurrency.accepted(true, true));
        concurrency.limit()
    }

    #[test]
    fn limit_doubles_per_clean_flight_until_a_limit_is_reached() {
        let mut concurrency = AdaptiveConcurrency::default();
        assert_eq!(concurrency.limit(), 4);
        let flights: Vec<u32> = (0..5).map(|_| flight(&mut concurrency)).collect();
        assert_eq!(flights, [8, 16, 32, 64, 64]);
        concurrency.limit_reached(20);
        assert_eq!(concurrency.limit(), 20);
        concurrency.accepted(true, false);
        assert_eq!([flight(&mut concurrency), flight(&mut concurrency)], [20, 21], "20.97, 21.9");
        concurrency.limit_reached(0);
        assert_eq!(concurrency.limit(), 1);
    }

    #[test]
    fn flight_with_many_refusals_does_not_double() {
        let mut concurrency = AdaptiveConcurrency::default();
        flight(&mut concurrency);
        (0..6).for_each(|_| concurrency.accepted(true, true));
        (0..2).for_each(|_| concurrency.refused());
        assert_eq!(concurrency.limit(), 8);
        (0..5).for_each(|_| concurrency.accepted(true, true));
        assert_eq!(concurrency.limit(), 8);
        concurrency.accepted(true, true);
        assert_eq!(concurrency.limit(), 16, "6 - 4 + 6");
    }

    #[test]
    fn unsaturated_limit_does_not_grow() {
        let mut concurrency = AdaptiveConcurrency::default();
        (0..1000).for_each(|_| concurrency.accepted(false, true));
        assert_eq!(concurrency.limit(), 4);
    }

    #[test]
    fn concurrency_doubles_after_stop_up_to_proven_number() {
        let mut concurrency = AdaptiveConcurrency::default();
        concurrency.limit_reached(30);
        concurrency.trial_refused(20);
        concurrency.trial_refused(0);
        concurrency.resume();
        let flights: Vec<u32> = (0..5).map(|_| flight(&mut concurrency)).collect();
        assert_eq!(flights, [8, 16, 20, 20, 21]);
    }
}
