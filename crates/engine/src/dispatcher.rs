//! Claims runs and rejudges, and starts their tasks.

use super::{Shared, rejudge_worker, run_worker};
use domain::WaitReason;
use llm::outbound::Backpressure;
use std::sync::Arc;
use std::time::Duration;
use store::StoreResult;
use store::queue::Claim;
use store::rows::{ModelRef, RunRow};
use store::schedule::{AdmissionLimit, Capacity};

/// The poll interval, in case a wake-up was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of claims in one transaction.
const BATCH: u32 = 64;

/// Claims until the engine shuts down.
pub(super) async fn run(shared: Arc<Shared>) {
    while !shared.closing.is_cancelled() {
        // Together, so that the store commits both claims in one transaction.
        let (runs, rejudges) = tokio::join!(claim_runs(&shared), claim_rejudges(&shared));
        // If fewer were claimed, no more may start now.
        if runs.max(rejudges) < BATCH as usize {
            tokio::select! {
                () = shared.wake.notified() => {}
                _ = shared.pause(POLL_INTERVAL) => {}
            }
        }
    }
}

fn claim_request(shared: &Shared, which: fn(&Backpressure) -> bool) -> Claim {
    Claim {
        owner: shared.settings.owner.clone(),
        runs_per_user: shared.settings.runs_per_user,
        max_wait: shared.settings.max_wait,
        most: BATCH,
        admission_limits: shared
            .outbound
            .backpressure()
            .into_iter()
            .filter(which)
            .map(admission_limit)
            .collect(),
        capacity: capacity(shared),
        now: shared.clock.now(),
    }
}

/// The runs that the possible calls can serve: more than calls, because a run does not
/// call while it stores a turn, runs the delay of a mock or waits after a refusal. With
/// fewer, no model would be used to its limit.
fn capacity(shared: &Shared) -> Capacity {
    let max_calls = shared.settings.max_calls;
    let learned = shared.outbound.learned_concurrency().into_iter();
    Capacity {
        active_runs: max_calls.saturating_add(max_calls / 4),
        runs_by_model: learned
            .map(|(connection_id, model, calls)| {
                (ModelRef { connection_id, model }, calls.saturating_mul(4).saturating_add(8))
            })
            .collect(),
    }
}

/// Where calls would only wait, no run starts, or one per user.
fn admission_limit(backpressure: Backpressure) -> AdmissionLimit {
    let Backpressure { user_id, connection_id, model, blocks_all, .. } = backpressure;
    AdmissionLimit { user_id, connection_id, model, max_running: if blocks_all { 0 } else { 1 } }
}

/// The claimed rows; none if the claim failed.
fn rows<T>(claimed: StoreResult<Vec<T>>) -> Vec<T> {
    claimed.unwrap_or_else(|error| {
        tracing::error!(%error, "claim failed");
        Vec::new()
    })
}

async fn claim_runs(shared: &Arc<Shared>) -> usize {
    let rows = rows(shared.queue.claim(claim_request(shared, |_| true)).await);
    let count = rows.len();
    for row in rows {
        record_queue_time(&row);
        shared.spawn(&shared.tasks, run_worker::run(shared.clone(), row));
    }
    count
}

/// A rejudge waits for a rate limit after it started, and fails at once if the limit
/// lasts too long. While the circuit is open it does not start, because an outage lasts
/// longer than a call may wait. On a suspended connection it starts and fails at once.
async fn claim_rejudges(shared: &Arc<Shared>) -> usize {
    let claim = claim_request(shared, |backpressure| {
        backpressure.waiting.what == WaitReason::Circuit && !backpressure.is_suspended
    });
    let rows = rows(shared.queue.claim_rejudges(claim).await);
    let count = rows.len();
    for row in rows {
        shared.spawn(&shared.tasks, rejudge_worker::run(shared.clone(), row));
    }
    count
}

/// Records the queue time of a run that starts; a recovered run started before.
fn record_queue_time(row: &RunRow) {
    if row.lease_epoch != 1 {
        return;
    }
    let started = row.started_at.unwrap_or(row.created_at);
    metrics::histogram!("rehearsal_queue_wait_seconds").record(started.since(row.created_at));
}
