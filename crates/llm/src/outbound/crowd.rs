//! How many calls may be out at once to one model: found out by trying. Pure.
//!
//! It starts at 8 and doubles per round trip until the first 429 or 529; from
//! then on it is one more per round trip, and seven tenths after each refusal
//! (once per round trip). 1 to 64, and it grows only while it is used.

/// At the start.
const AT_START: f64 = 8.0;
/// Most calls at once.
pub(super) const MOST: u32 = 64;
/// What a refusal leaves.
const CUT: f64 = 0.7;

/// The number of calls at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    limit: f64,
    /// No refusal so far.
    doubling: bool,
    /// Calls up to this number went out before the last cut.
    cut_at: u64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { limit: AT_START, doubling: true, cut_at: 0 }
    }
}

impl Crowd {
    /// Most calls at once, now.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 64
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A call succeeded; `used` when no other could have gone beside it.
    pub(super) fn succeeded(&mut self, used: bool) {
        if used {
            // One more for each of `limit` calls doubles it in a round trip.
            let more = if self.doubling { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + more).min(MOST.into());
        }
    }

    /// Call `number` was refused, when `last` was the last that went out.
    pub(super) fn refused(&mut self, number: u64, last: u64) {
        if number > self.cut_at {
            self.doubling = false;
            self.limit = (self.limit * CUT).max(1.0);
            self.cut_at = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round trip: as many successes as may be out at once.
    fn round(crowd: &mut Crowd) -> u32 {
        (0..crowd.limit()).for_each(|_| crowd.succeeded(true));
        crowd.limit()
    }

    #[test]
    fn it_doubles_until_the_first_refusal_then_adds_one() {
        let mut crowd = Crowd::default();
        let rounds: Vec<u32> = (0..5).map(|_| round(&mut crowd)).collect();
        assert_eq!(rounds, [16, 32, 64, 64, 64]);
        crowd.refused(10, 20);
        assert_eq!(crowd.limit(), 44);
        assert_eq!(round(&mut crowd), 45);
        assert_eq!(round(&mut crowd), 46);
    }

    #[test]
    fn refusals_of_one_round_trip_cut_once() {
        let mut crowd = Crowd::default();
        for number in 1..=8 {
            crowd.refused(number, 8);
        }
        assert_eq!(crowd.limit(), 5, "8 × 0.7");
        crowd.refused(9, 12);
        assert_eq!(crowd.limit(), 3);
        for number in 13..100 {
            crowd.refused(number, number);
        }
        assert_eq!(crowd.limit(), 1);
    }

    #[test]
    fn what_is_not_used_does_not_grow() {
        let mut crowd = Crowd::default();
        (0..1000).for_each(|_| crowd.succeeded(false));
        assert_eq!(crowd.limit(), 8);
    }
}
