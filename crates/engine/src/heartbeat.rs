//! The heartbeat of a process: renews all leases, receives cancellations from the
//! database, and releases leaked leases, which have no task in this process.

use super::Shared;
use super::registry::StopReason;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::StoreError;
use store::queue::Heartbeat;
use uuid::Uuid;

/// The interval between heartbeats.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// After this time without a heartbeat another worker may soon hold the leases of this
/// process, so it stops its runs.
const STOP_RUNS_AFTER: Duration = Duration::from_secs(20);

/// Sends heartbeats until the shutdown begins.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut leaked = HashSet::new();
    while shared.pause(INTERVAL).await {
        send(&shared, &mut leaked).await;
    }
}

/// Sends one heartbeat. `leaked` are the leases that had no task at the previous
/// heartbeat; those that still have none are released, because a task may register
/// itself shortly after its claim.
async fn send(shared: &Shared, leaked: &mut HashSet<Uuid>) {
    let registered = shared.registry.ids();
    let now = shared.clock.now();
    match shared.queue.heartbeat(&shared.settings.owner, now).await {
        Ok(heartbeat) => {
            shared.last_heartbeat.store(now.0, Ordering::Relaxed);
            shared.store_unavailable.store(false, Ordering::Relaxed);
            deliver_stops(shared, &heartbeat, &registered);
            release_leaked(shared, &heartbeat, leaked).await;
        }
        Err(error) => {
            let silent = shared.clock.now().since(shared.last_heartbeat());
            let unavailable = matches!(error, StoreError::Unavailable(_));
            shared.store_unavailable.store(unavailable, Ordering::Relaxed);
            tracing::warn!(%error, silent_s = silent.as_secs(), "heartbeat failed");
            if silent >= STOP_RUNS_AFTER {
                shared.registry.stop_all(StopReason::Lost);
            }
        }
    }
}

fn deliver_stops(shared: &Shared, heartbeat: &Heartbeat, registered: &[Uuid]) {
    let runs = heartbeat.leases.iter().map(|lease| lease.run_id.0);
    let evaluations = heartbeat.rejudges.iter().map(|(id, _)| id.0);
    let leased: HashSet<Uuid> = runs.chain(evaluations).collect();
    // A task that was registered before the heartbeat and has no lease now lost it.
    shared.registry.stop_others(&leased, registered);
    shared.registry.forget_early_cancellations();
    for run in &heartbeat.cancel_requested {
        shared.registry.stop(*run, StopReason::Cancelled);
    }
}

async fn release_leaked(shared: &Shared, heartbeat: &Heartbeat, leaked: &mut HashSet<Uuid>) {
    let previous = std::mem::take(leaked);
    let mut is_due = |id: Uuid| {
        let has_task = shared.registry.contains(id);
        if !has_task && !previous.contains(&id) {
            leaked.insert(id);
        }
        !has_task && previous.contains(&id)
    };
    let mut released = Vec::new();
    for lease in heartbeat.leases.iter().filter(|lease| is_due(lease.run_id.0)) {
        tracing::warn!(run = %lease.run_id, "releasing a lease that has no task in this process");
        released.push(shared.queue.release(lease, shared.clock.now()).await);
    }
    for (id, lease_epoch) in heartbeat.rejudges.iter().filter(|(id, _)| is_due(id.0)) {
        tracing::warn!(evaluation = %id, "releasing a lease that has no task in this process");
        let now = shared.clock.now();
        released.push(shared.queue.release_rejudge(*id, *lease_epoch, now).await);
    }
    for error in released.iter().filter_map(|result| result.as_ref().err()) {
        tracing::warn!(%error, "could not be released");
    }
    if !released.is_empty() {
        shared.wake.notify_one();
    }
}
