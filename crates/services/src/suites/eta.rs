//! How long a suite will still take: pure.

use domain::{RunStatus, Timestamp};
use std::time::Duration;
use store::rows::{RunRow, SuiteRow};

/// Finished runs of the suite itself from which on its own mean is used.
const ENOUGH: usize = 2;

/// Seconds that are left: the mean duration of this suite's finished runs
/// (before there are two: of past ones), for what is not begun and for what
/// is left of what runs, spread over the places there are. `None` when it
/// cannot be told or nothing is left.
#[must_use]
pub fn eta_seconds(
    suite: &SuiteRow,
    runs: &[RunRow],
    past_ms: Option<u64>,
    now: Timestamp,
) -> Option<u32> {
    if suite.status.is_final() {
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
        // What takes longer than the mean is thought to be nearly done.
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
