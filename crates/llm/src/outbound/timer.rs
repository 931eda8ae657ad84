//! Sleeping until a time of the clock, and which times are worth showing.

use domain::Timestamp;
use std::time::Duration;

/// The maximum sleep before the clock is read again: the clock advances while the
/// machine is paused, and timers do not.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Where calls pass one by one, the time of the next one says little about those
/// queued behind it. Only times that are further away are shown.
pub(super) const MIN_SHOWN_WAIT: Duration = Duration::from_secs(5);

/// Sleeps until the time or for one poll interval, whichever is shorter; forever if
/// the time is unknown. The caller then reads the clock again.
pub(super) async fn sleep_towards(until: Option<Timestamp>, now: Timestamp) {
    match until {
        Some(until) => tokio::time::sleep(until.since(now).min(POLL_INTERVAL)).await,
        None => std::future::pending().await,
    }
}

/// Returns the time if it is far enough away to be shown.
pub(super) fn shown(until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    until.filter(|until| until.since(now) >= MIN_SHOWN_WAIT)
}
