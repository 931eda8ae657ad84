//! The heartbeat of a process: renews all leases, receives cancellations from the
//! database, and releases orphaned leases.

use super::Shared;
use super::registry::Stop;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::StoreError;
use store::queue::Heartbeat;
use uuid::Uuid;

/// The interval between heartbeats.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// After this time without a heartbeat another worker may soon hold our runs, so
/// they are stopped.
const GIVE_UP: Duration = Duration::from_secs(20);

/// Sends heartbeats until the shutdown begins.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut orphaned = HashSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.closing.cancelled() => return,
        }
        beat(&shared, &mut orphaned).await;
    }
}

/// One heartbeat. `orphaned` are the leases that at the previous heartbeat belonged
/// to this process in the database but had no task here; seen twice, they are
/// released.
pub(super) async fn beat(shared: &Shared, orphaned: &mut HashSet<Uuid>) {
    let entered = shared.registry.ids();
    let now = shared.clock.now();
    match shared.queue.heartbeat(&shared.settings.owner, now).await {
        Ok(found) => {
            shared.beat.store(now.0, Ordering::Relaxed);
            shared.store_unavailable.store(false, Ordering::Relaxed);
            deliver_stops(shared, &found, &entered);
            release_orphaned(shared, &found, orphaned).await;
        }
        Err(error) => {
            let last = domain::Timestamp(shared.beat.load(Ordering::Relaxed));
            let silent = shared.clock.now().since(last);
            let away = matches!(error, StoreError::Unavailable(_));
            shared.store_unavailable.store(away, Ordering::Relaxed);
            tracing::warn!(%error, silent_s = silent.as_secs(), "heartbeat failed");
            if silent >= GIVE_UP {
                shared.registry.stop_all(Stop::Lost);
            }
        }
    }
}

fn deliver_stops(shared: &Shared, found: &Heartbeat, entered: &[Uuid]) {
    let runs = found.leases.iter().map(|lease| lease.run_id.0);
    let evaluations = found.evaluations.iter().map(|(id, _)| id.0);
    let ours: HashSet<Uuid> = runs.chain(evaluations).collect();
    // A task that was registered before the heartbeat and whose lease is gone lost
    // its lease.
    shared.registry.stop_others(&ours, entered);
    shared.registry.forget_early();
    for run in &found.cancel_requested {
        shared.registry.stop(*run, Stop::Cancelled);
    }
}

async fn release_orphaned(shared: &Shared, found: &Heartbeat, orphaned: &mut HashSet<Uuid>) {
    let mut now_orphaned = HashSet::new();
    // Skips leases with a task here, and those seen for the first time.
    let mut stays = |id: Uuid| {
        if shared.registry.holds(id) {
            return true;
        }
        let new = !orphaned.contains(&id);
        if new {
            now_orphaned.insert(id);
        }
        new
    };
    let mut back = Vec::new();
    for lease in found.leases.iter().filter(|lease| !stays(lease.run_id.0)) {
        tracing::warn!(run = %lease.run_id, "releasing a lease that has no task in this process");
        back.push(shared.queue.release(lease, shared.clock.now()).await);
    }
    for (id, lease_epoch) in found.evaluations.iter().filter(|(id, _)| !stays(id.0)) {
        tracing::warn!(evaluation = %id, "releasing a lease that has no task in this process");
        back.push(shared.queue.release_evaluation(*id, *lease_epoch, shared.clock.now()).await);
    }
    for error in back.iter().filter_map(|back| back.as_ref().err()) {
        tracing::warn!(%error, "could not be released");
    }
    if !back.is_empty() {
        shared.wake.notify_one();
    }
    *orphaned = now_orphaned;
}
