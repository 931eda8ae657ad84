//! Gauges about the runs, read from the store every few seconds, so that they
//! cannot drift from it.

use super::Shared;
use std::sync::Arc;
use std::time::Duration;
use store::transition::LEASE_DURATION;

/// The interval between reads.
const INTERVAL: Duration = Duration::from_secs(5);

/// Updates the gauges until the engine shuts down.
pub(super) async fn run(shared: Arc<Shared>) {
    update(&shared).await;
    while shared.pause(INTERVAL).await {
        update(&shared).await;
    }
}

async fn update(shared: &Shared) {
    let queue_stats = match shared.queue.queue_stats().await {
        Ok(queue_stats) => queue_stats,
        Err(error) => {
            tracing::warn!(%error, "the runs could not be counted for metrics");
            return;
        }
    };
    for (state, count) in queue_stats.by_state() {
        metrics::gauge!("rehearsal_runs", "state" => state).set(f64::from(count));
    }
    let now = shared.clock.now();
    // The age of a lease is derived from its expiry.
    let oldest =
        queue_stats.earliest_lease_expiry.map(|expiry| now.plus(LEASE_DURATION).since(expiry));
    metrics::gauge!("rehearsal_oldest_lease_seconds").set(oldest.unwrap_or_default().as_secs_f64());
}
