//! Claims runs and rejudges, and starts their tasks.

use super::{Shared, evaluation_worker, run_worker};
use domain::WaitReason;
use llm::outbound::Backpressure;
use std::sync::Arc;
use std::time::Duration;
use store::queue::Claim;
use store::rows::RunRow;
use store::scheduler::AdmissionLimit;

/// The poll interval, in case a wake-up was lost.
const POLL: Duration = Duration::from_secs(1);
/// The maximum number of claims in one transaction.
const BATCH: u32 = 64;

/// Claims until the engine shuts down.
pub(super) async fn run(shared: Arc<Shared>) {
    while !shared.closing.is_cancelled() {
        let found = claim(&shared).await + claim_evaluations(&shared).await;
        if found > 0 {
            continue;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = shared.closing.cancelled() => {}
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
        now: shared.clock.now(),
    }
}

/// Where calls would only wait, no run begins, or one per user.
fn admission_limit(backpressure: Backpressure) -> AdmissionLimit {
    let Backpressure { user_id, connection_id, model, blocks_all, .. } = backpressure;
    AdmissionLimit { user_id, connection_id, model, max_running: if blocks_all { 0 } else { 1 } }
}

async fn claim(shared: &Arc<Shared>) -> usize {
    match shared.queue.claim(claim_request(shared, |_| true)).await {
        Ok(rows) => {
            let count = rows.len();
            for row in rows {
                waited(&row);
                shared.spawn(&shared.tasks, run_worker::run(shared.clone(), row));
            }
            count
        }
        Err(error) => {
            tracing::error!(%error, "claim failed");
            0
        }
    }
}

/// A rejudge waits for a rate limit after it began, and fails at once if the limit
/// lasts too long. Behind an open circuit it does not begin, because an outage lasts
/// longer than a call may wait.
async fn claim_evaluations(shared: &Arc<Shared>) -> usize {
    let order =
        claim_request(shared, |backpressure| backpressure.waiting.what == WaitReason::Circuit);
    match shared.queue.claim_evaluations(order).await {
        Ok(rows) => {
            let count = rows.len();
            for row in rows {
                shared.spawn(&shared.tasks, evaluation_worker::run(shared.clone(), row));
            }
            count
        }
        Err(error) => {
            tracing::error!(%error, "claiming rejudges failed");
            0
        }
    }
}

/// Records the queue time of a run that begins; a recovered run began before.
fn waited(row: &RunRow) {
    if row.lease_epoch != 1 {
        return;
    }
    let began = row.started_at.unwrap_or(row.created_at);
    metrics::histogram!("rehearsal_queue_wait_seconds").record(began.since(row.created_at));
}
