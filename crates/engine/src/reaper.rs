//! Recovers runs with expired leases, and ends runs past their deadline.

use super::{Shared, heartbeat};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::queue::RecoverySummary;

/// The interval between rounds.
const INTERVAL: Duration = Duration::from_secs(5);

/// Reaps until the engine shuts down.
pub(super) async fn run(shared: Arc<Shared>) {
    while shared.pause(INTERVAL).await {
        if !may_reap(&shared) {
            continue;
        }
        match shared.queue.reap(shared.clock.now()).await {
            Ok(reaped) if reaped.recovered + reaped.ended > 0 => {
                let (recovered, ended) = (reaped.recovered, reaped.ended);
                tracing::warn!(recovered, ended, "leases expired or deadlines passed");
                count(&reaped);
                shared.wake.notify_one();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "reaper failed"),
        }
    }
}

/// Whether the reaper may run. After an outage, a pause of the machine or a clock step the
/// heartbeat goes first: leases that expired because nothing renewed them still belong
/// to this process. Two timers that are due at once fire in any order.
fn may_reap(shared: &Shared) -> bool {
    let fresh = shared.clock.now().since(shared.last_heartbeat()) <= heartbeat::INTERVAL * 2;
    fresh && !shared.store_unavailable.load(Ordering::Relaxed)
}

/// Counts recovered and ended runs.
pub(super) fn count(reaped: &RecoverySummary) {
    metrics::counter!("rehearsal_runs_recovered_total").increment(reaped.recovered.into());
    metrics::counter!("rehearsal_runs_reaped_total").increment(reaped.ended.into());
}
