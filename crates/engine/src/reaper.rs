//! Frees what lapsed leases hold and ends what is past its deadline.

use super::{Shared, heartbeat};
use store::queue::Reaped;
use domain::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(5);

/// Reaps until the engine is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.closing.cancelled() => return,
        }
        if !may_look(&shared) {
            continue;
        }
        match shared.queue.reap(shared.clock.now()).await {
            Ok(reaped) if reaped.recovered + reaped.ended > 0 => {
                let (recovered, ended) = (reaped.recovered, reaped.ended);
                tracing::warn!(recovered, ended, "leases lapsed or deadlines passed");
                count(&reaped);
                shared.wake.notify_one();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the reaper could not look"),
        }
    }
}

/// After an outage, a suspend or a step of the clock the heartbeat goes first:
/// leases that lapsed because nothing was renewed are ours still, and no run is
/// to blame. Of two timers that are due at once either may fire first.
fn may_look(shared: &Shared) -> bool {
    let last = Timestamp(shared.beat.load(Ordering::Relaxed));
    let fresh = shared.clock.now().since(last) <= heartbeat::EVERY * 2;
    fresh && !shared.away.load(Ordering::Relaxed)
}

/// Counts what was taken up again and what was ended.
pub(super) fn count(reaped: &Reaped) {
    metrics::counter!("rehearsal_runs_recovered_total").increment(reaped.recovered.into());
    metrics::counter!("rehearsal_runs_reaped_total").increment(reaped.ended.into());
}
