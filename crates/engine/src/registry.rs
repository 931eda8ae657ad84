//! The tasks of this process, which execute runs and rejudges, and their stop signals.

use domain::RunId;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Why a task has to stop, in ascending priority. The highest reason so far counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopReason {
    /// A user canceled it.
    Cancelled,
    /// The process shuts down: release the lease. A canceled run ends when it is
    /// released.
    Shutdown,
    /// Another worker holds the lease, or may hold it: store nothing more.
    Lost,
}

/// Tells a task that it has to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct StopSignal {
    token: CancellationToken,
    reason: Arc<Mutex<Option<StopReason>>>,
}

impl StopSignal {
    pub(super) fn stop(&self, why: StopReason) {
        {
            let mut reason = self.reason.lock();
            *reason = (*reason).max(Some(why));
        }
        self.token.cancel();
    }

    /// The highest reason so far.
    pub(super) fn stopped(&self) -> Option<StopReason> {
        *self.reason.lock()
    }

    /// Whether both belong to the same task.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reason, &other.reason)
    }

    /// Waits for a reason to stop.
    pub(super) async fn wait_for_stop(&self) -> StopReason {
        self.token.cancelled().await;
        self.stopped().unwrap_or(StopReason::Lost)
    }
}

/// All tasks, by the id of the run or rejudge.
#[derive(Debug, Default)]
pub(super) struct Registry {
    tasks: Mutex<HashMap<Uuid, StopSignal>>,
    /// Canceled before their task started: claimed in the database, but not yet
    /// registered here.
    early_cancellations: Mutex<EarlyCancellations>,
}

/// Runs that were canceled before their task started.
#[derive(Debug, Default)]
struct EarlyCancellations {
    /// Since the last heartbeat.
    recent: HashSet<Uuid>,
    /// Between the last two heartbeats.
    older: HashSet<Uuid>,
}

impl EarlyCancellations {
    fn take(&mut self, id: Uuid) -> bool {
        self.recent.remove(&id) | self.older.remove(&id)
    }
}

/// Removes its entry when it is dropped, however the task ended. The entry of a
/// newer task with the same id stays.
pub(super) struct Registration<'a> {
    registry: &'a Registry,
    id: Uuid,
    stop_signal: StopSignal,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut tasks = self.registry.tasks.lock();
        if tasks.get(&self.id).is_some_and(|stop_signal| stop_signal.is(&self.stop_signal)) {
            tasks.remove(&self.id);
        }
    }
}

impl Registry {
    /// Registers the task of a run or rejudge.
    pub(super) fn register(&self, id: Uuid) -> (StopSignal, Registration<'_>) {
        let stop_signal = StopSignal::default();
        // Locks in the same order as `stop`, so that no signal is lost in between.
        let mut tasks = self.tasks.lock();
        if self.early_cancellations.lock().take(id) {
            stop_signal.stop(StopReason::Cancelled);
        }
        if let Some(displaced) = tasks.insert(id, stop_signal.clone()) {
            // The run was claimed again while its previous task is still running.
            displaced.stop(StopReason::Lost);
        }
        (stop_signal.clone(), Registration { registry: self, id, stop_signal })
    }

    /// Stops a task. A cancellation that arrives before the task is registered is
    /// delivered when it registers.
    pub(super) fn stop(&self, run: RunId, why: StopReason) {
        let tasks = self.tasks.lock();
        if let Some(stop_signal) = tasks.get(&run.0) {
            stop_signal.stop(why);
        } else if why == StopReason::Cancelled {
            self.early_cancellations.lock().recent.insert(run.0);
        }
    }

    /// Forgets early cancellations that were there at the previous heartbeat too: by now
    /// their tasks are registered, or belong to another process. A newer one may belong to
    /// a claim that is in progress.
    pub(super) fn forget_early_cancellations(&self) {
        let mut early_cancellations = self.early_cancellations.lock();
        early_cancellations.older = std::mem::take(&mut early_cancellations.recent);
    }

    pub(super) fn stop_all(&self, why: StopReason) {
        for stop_signal in self.tasks.lock().values() {
            stop_signal.stop(why);
        }
    }

    /// Stops all tasks that are among `registered` but not among `leased`.
    pub(super) fn stop_others(&self, leased: &HashSet<Uuid>, registered: &[Uuid]) {
        for (id, stop_signal) in self.tasks.lock().iter() {
            if registered.contains(id) && !leased.contains(id) {
                stop_signal.stop(StopReason::Lost);
            }
        }
    }

    pub(super) fn contains(&self, id: Uuid) -> bool {
        self.tasks.lock().contains_key(&id)
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.tasks.lock().keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Registry, StopReason};
    use domain::RunId;
    use uuid::Uuid;

    const RUN: RunId = RunId(Uuid::from_u128(1));

    #[test]
    fn newer_task_replaces_older_one() {
        let registry = Registry::default();
        let (old, old_registration) = registry.register(RUN.0);
        let (new, new_registration) = registry.register(RUN.0);
        assert_eq!((old.stopped(), new.stopped()), (Some(StopReason::Lost), None));
        drop(old_registration);
        assert!(registry.contains(RUN.0), "the older task removes only its own entry");
        registry.stop(RUN, StopReason::Cancelled);
        assert_eq!(new.stopped(), Some(StopReason::Cancelled), "the newer task is stopped");
        drop(new_registration);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn early_cancellation_outlives_a_heartbeat() {
        let registry = Registry::default();
        for heartbeats in 0..3 {
            registry.stop(RUN, StopReason::Cancelled);
            (0..heartbeats).for_each(|_| registry.forget_early_cancellations());
            let (stop_signal, _registration) = registry.register(RUN.0);
            let expected = (heartbeats < 2).then_some(StopReason::Cancelled);
            assert_eq!(stop_signal.stopped(), expected, "after {heartbeats} heartbeats");
        }
    }

    #[test]
    fn higher_stop_reason_wins() {
        let registry = Registry::default();
        let (stop_signal, _registration) = registry.register(RUN.0);
        for (reason, expected) in [
            (StopReason::Cancelled, StopReason::Cancelled),
            (StopReason::Shutdown, StopReason::Shutdown),
            (StopReason::Cancelled, StopReason::Shutdown),
            (StopReason::Lost, StopReason::Lost),
            (StopReason::Shutdown, StopReason::Lost),
        ] {
            registry.stop(RUN, reason);
            assert_eq!(stop_signal.stopped(), Some(expected));
        }
    }
}
