//! Estimates the remaining time of a suite. Pure.

use domain::{RunStatus, Timestamp};
use std::time::Duration;
use store::rows::{RunRow, SuiteRow};

/// From this number of finished runs on, the suite's own mean is used.
const ENOUGH: usize = 2;

/// The remaining time of a suite whose runs wait for the provider: nothing happens before
/// the next retry.
#[must_use]
pub fn after_retry(seconds: u32, retry_at: Option<Timestamp>, now: Timestamp) -> u32 {
    let wait = retry_at.map_or(0.0, |at| at.since(now).as_secs_f64().ceil());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    seconds.saturating_add(wait as u32)
}

/// The remaining seconds: the mean duration of this suite's finished runs (of
/// past runs until there are two), for pending runs and for the rest of active
/// runs, divided by the concurrency. `None` if it is unknown or nothing remains.
#[must_use]
pub fn eta_seconds(
    suite: &SuiteRow,
    runs: &[RunRow],
    past_ms: Option<u64>,
    now: Timestamp,
) -> Option<u32> {
    if suite.state.status().is_final() {
        return None;
    }
    let judged = |run: &&RunRow| {
        matches!(run.status, RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive)
    };
    let took = |run: &RunRow| Some(run.finished_at?.since(run.started_at?));
    let durations: Vec<Duration> = runs.iter().filter(judged).filter_map(took).collect();
    let mean = if durations.len() >= ENOUGH {
        durations.iter().sum::<Duration>() / u32::try_from(durations.len()).ok()?
    } else {
        Duration::from_millis(past_ms?)
    };
    let mut left = Duration::ZERO;
    let mut unfinished = 0_u32;
    for run in runs.iter().filter(|run| !run.status.is_final()) {
        unfinished += 1;
        // A run that exceeds the mean is assumed to be nearly done.
        let ran = run.started_at.map_or(Duration::ZERO, |start| now.since(start));
        left += mean.saturating_sub(ran).max(mean / 10);
    }
    if unfinished == 0 {
        return None;
    }
    let seconds = (left / suite.concurrency.clamp(1, unfinished)).as_secs_f64().ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    Some((seconds as u32).max(1))
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, after_retry};

    #[test]
    fn estimate_ends_after_the_next_retry() {
        let now = Timestamp(1_000_000);
        assert_eq!(after_retry(10, None, now), 10);
        assert_eq!(after_retry(10, Some(Timestamp(1_090_500)), now), 101);
        assert_eq!(after_retry(10, Some(Timestamp(990_000)), now), 10, "the retry is due");
    }
}
