//! The delay before the next attempt: exponential backoff with full jitter.
//!
//! The crate `backon` is not used: it adds its jitter to the full delay, and its random
//! number generator cannot be passed in.

use rand::RngExt;
use rand::rngs::SmallRng;
use std::time::Duration;

/// The number of failures after which a call fails finally.
pub(super) const MAX_FAILURES: u32 = 4;

/// The delay after failure number `failures`: random up to 0.5 s, 1 s, 2 s … 30 s.
pub(super) fn after_failure(failures: u32, rng: &mut SmallRng) -> Duration {
    let most = doubled(Duration::from_millis(500), failures, Duration::from_secs(30));
    rng.random_range(Duration::ZERO..=most)
}

/// The delay after the `times`th consecutive 429 (or 529 if `overloaded`) without a
/// Retry-After: 50 to 100 % of 0.5 s … 30 s (5 s … 60 s). Never zero, because
/// these delays do not count as failures.
pub(super) fn after_throttle(times: u32, overloaded: bool, rng: &mut SmallRng) -> Duration {
    let (least, most) = if overloaded { (5_000, 60_000) } else { (500, 30_000) };
    let max = doubled(Duration::from_millis(least), times, Duration::from_millis(most));
    rng.random_range(max / 2..=max)
}

/// The shortest wait after the `times`th consecutive 429 or 529 of a call: 250 ms to 5 s.
/// These waits do not count as attempts, so a Retry-After of 0 would cause an endless
/// loop.
pub(super) fn min_wait_after_throttle(times: u32) -> Duration {
    doubled(Duration::from_millis(250), times, Duration::from_secs(5))
}

/// Doubles `first` for each further time, up to `most`.
fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// The minimum and maximum of many draws, in milliseconds.
    fn draws(mut draw: impl FnMut(&mut SmallRng) -> Duration) -> (u128, u128) {
        let mut rng = SmallRng::seed_from_u64(7);
        let all: Vec<u128> = (0..2000).map(|_| draw(&mut rng).as_millis()).collect();
        (*all.iter().min().unwrap_or(&0), *all.iter().max().unwrap_or(&0))
    }

    #[test]
    fn failure_delay_has_full_jitter_and_doubles_to_thirty_seconds() {
        for (failures, most) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (200, 30_000)] {
            let (low, high) = draws(|rng| after_failure(failures, rng));
            assert!(
                low <= most / 50 && high <= most && high >= most * 49 / 50,
                "{low}..{high} of {most}"
            );
        }
    }

    #[test]
    fn throttle_delay_is_at_least_half() {
        for (times, overloaded, max) in [
            (1, false, 500),
            (9, false, 30_000),
            (1, true, 5_000),
            (2, true, 10_000),
            (9, true, 60_000),
        ] {
            let (low, high) = draws(|rng| after_throttle(times, overloaded, rng));
            assert!(low >= max / 2 && high <= max && high > max * 9 / 10, "{low}..{high} of {max}");
        }
    }
}
