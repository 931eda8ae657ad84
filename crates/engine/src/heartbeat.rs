//! One heartbeat a process: it renews all leases, hears of cancels that
//! another node or another tab asked for, and gives back what the database
//! thinks is ours and is not.

use super::Shared;
use super::registry::Stop;
use store::StoreError;
use store::queue::Heartbeat;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

/// Between two heartbeats.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// Without one for so long, somebody else may hold our runs soon: stop them.
const GIVE_UP: Duration = Duration::from_secs(20);

/// Beats until the engine is closed and holds nothing any more.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut strangers = HashSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.closing.cancelled() => return,
        }
        beat(&shared, &mut strangers).await;
    }
}

/// One beat. `strangers` are runs and re-evaluations that were ours only in the
/// database at the beat before: seen twice, they are given back.
pub(super) async fn beat(shared: &Shared, strangers: &mut HashSet<Uuid>) {
    let entered = shared.registry.ids();
    let now = shared.clock.now();
    match shared.queue.heartbeat(&shared.settings.owner, now).await {
        Ok(found) => {
            shared.beat.store(now.0, Ordering::Relaxed);
            shared.away.store(false, Ordering::Relaxed);
            heard(shared, &found, &entered);
            give_back(shared, &found, strangers).await;
        }
        Err(error) => {
            let last = domain::Timestamp(shared.beat.load(Ordering::Relaxed));
            let silent = shared.clock.now().since(last);
            let away = matches!(error, StoreError::Unavailable(_));
            shared.away.store(away, Ordering::Relaxed);
            tracing::warn!(%error, silent_s = silent.as_secs(), "no heartbeat");
            if silent >= GIVE_UP {
                shared.registry.stop_all(Stop::Lost);
            }
        }
    }
}

fn heard(shared: &Shared, found: &Heartbeat, entered: &[Uuid]) {
    let runs = found.held.iter().map(|lease| lease.run_id.0);
    let evaluations = found.evaluations.iter().map(|(id, _)| id.0);
    let ours: HashSet<Uuid> = runs.chain(evaluations).collect();
    // What entered before the beat and is not ours any more was taken from us.
    shared.registry.stop_others(&ours, entered);
    shared.registry.forget_early();
    for run in &found.cancelled {
        shared.registry.stop(*run, Stop::Cancelled);
    }
}

async fn give_back(shared: &Shared, found: &Heartbeat, strangers: &mut HashSet<Uuid>) {
    let mut now_strange = HashSet::new();
    // Whether it is here, or strange for the first time only.
    let mut stays = |id: Uuid| {
        if shared.registry.holds(id) {
            return true;
        }
        let new = !strangers.contains(&id);
        if new {
            now_strange.insert(id);
        }
        new
    };
    let mut back = Vec::new();
    for lease in found.held.iter().filter(|lease| !stays(lease.run_id.0)) {
        tracing::warn!(run = %lease.run_id, "held in the database and by nobody here; given back");
        back.push(shared.queue.hand_back(lease, shared.clock.now()).await);
    }
    for (id, attempt) in found.evaluations.iter().filter(|(id, _)| !stays(id.0)) {
        tracing::warn!(evaluation = %id, "held in the database and by nobody here; given back");
        back.push(shared.queue.hand_back_evaluation(*id, *attempt).await);
    }
    for error in back.iter().filter_map(|back| back.as_ref().err()) {
        tracing::warn!(%error, "could not be given back");
    }
    if !back.is_empty() {
        shared.wake.notify_one();
    }
    *strangers = now_strange;
}
