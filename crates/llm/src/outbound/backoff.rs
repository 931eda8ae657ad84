//! How long to wait before the next attempt.
//!
//! A few lines of our own: backon adds its jitter on top of the delay (never
//! less than the whole) and draws it from a generator of its own; ours is
//! full jitter from a generator that is passed in.

use rand::RngExt;
use rand::rngs::SmallRng;
use std::time::Duration;

/// Attempts that may fail before a call is given up.
pub(super) const MOST_FAILURES: u32 = 4;

/// Before the retry that follows the `failures`th failure: anything up to
/// 0.5 s, 1 s, 2 s … 30 s (full jitter, so that callers spread out).
pub(super) fn after_failure(failures: u32, rng: &mut SmallRng) -> Duration {
    let most = doubled(Duration::from_millis(500), failures, Duration::from_secs(30));
    rng.random_range(Duration::ZERO..=most)
}

/// After the `times`th 429 (or 529, where `overloaded`) in a row that names no
/// time: half to the whole of 0.5 → 30 s (5 → 60 s). Never nothing, for these
/// waits are not counted as attempts.
pub(super) fn after_throttle(times: u32, overloaded: bool, rng: &mut SmallRng) -> Duration {
    let (least, most) = if overloaded { (5_000, 60_000) } else { (500, 30_000) };
    let whole = doubled(Duration::from_millis(least), times, Duration::from_millis(most));
    rng.random_range(whole / 2..=whole)
}

/// `first` for 1, doubling, at most `most`.
fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// Least and greatest of many draws, in milliseconds.
    fn draws(mut draw: impl FnMut(&mut SmallRng) -> Duration) -> (u128, u128) {
        let mut rng = SmallRng::seed_from_u64(7);
        let all: Vec<u128> = (0..2000).map(|_| draw(&mut rng).as_millis()).collect();
        (*all.iter().min().unwrap_or(&0), *all.iter().max().unwrap_or(&0))
    }

    #[test]
    fn full_jitter_doubles_to_thirty_seconds() {
        for (failures, most) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (200, 30_000)] {
            let (low, high) = draws(|rng| after_failure(failures, rng));
            assert!(
                low <= most / 50 && high <= most && high >= most * 49 / 50,
                "{low}..{high} of {most}"
            );
        }
    }

    #[test]
    fn throttles_wait_at_least_half() {
        for (times, overloaded, whole) in [
            (1, false, 500),
            (9, false, 30_000),
            (1, true, 5_000),
            (2, true, 10_000),
            (9, true, 60_000),
        ] {
            let (low, high) = draws(|rng| after_throttle(times, overloaded, rng));
            assert!(
                low >= whole / 2 && high <= whole && high > whole * 9 / 10,
                "{low}..{high} of {whole}"
            );
        }
    }
}
