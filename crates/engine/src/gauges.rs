//! What the runs do, counted into gauges every few seconds: a look at what is
//! stored, so that no count drifts from it.

use super::Shared;
use store::transition::LEASE;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Looks until the engine is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        look(&shared).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.closing.cancelled() => return,
        }
    }
}

async fn look(shared: &Shared) {
    let census = match shared.queue.census().await {
        Ok(census) => census,
        Err(error) => {
            tracing::warn!(%error, "the runs could not be counted for metrics");
            return;
        }
    };
    for (state, count) in census.by_state() {
        metrics::gauge!("rehearsal_runs", "state" => state).set(f64::from(count));
    }
    let now = shared.clock.now();
    // A lease that was renewed this very moment lapses a lease's length ahead.
    let oldest = census.first_lapse.map(|lapse| now.plus(LEASE).since(lapse));
    metrics::gauge!("rehearsal_oldest_lease_seconds").set(oldest.unwrap_or_default().as_secs_f64());
}
