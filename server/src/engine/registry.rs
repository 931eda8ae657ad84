//! What this process holds, and how each is told to stop.

use app::domain::{EvaluationId, RunId};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::OnceLock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Why something has to stop. The first reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// It is somebody else's now, or may be: store nothing more.
    Lost,
    /// This process ends: give it back.
    Shutdown,
}

/// How a task learns that it has to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopper {
    token: CancellationToken,
    reason: Arc<OnceLock<Stop>>,
}

impl Stopper {
    /// Tells it to stop.
    pub(super) fn stop(&self, why: Stop) {
        let _ = self.reason.set(why);
        self.token.cancel();
    }

    /// The reason, once it was told.
    pub(super) fn stopped(&self) -> Option<Stop> {
        self.reason.get().copied()
    }

    /// Resolves with the reason when it is told.
    pub(super) async fn told(&self) -> Stop {
        self.token.cancelled().await;
        self.stopped().unwrap_or(Stop::Lost)
    }
}

/// Everything held, by the id of the run or re-evaluation.
#[derive(Debug, Default)]
pub(super) struct Registry {
    held: Mutex<HashMap<Uuid, Stopper>>,
    /// Told to stop before they entered: claimed in the database, and not yet
    /// begun here.
    early: Mutex<HashSet<Uuid>>,
}

/// Takes its entry out when it is dropped, however the task ended.
pub(super) struct Held<'a> {
    registry: &'a Registry,
    id: Uuid,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.registry.held.lock().remove(&self.id);
    }
}

impl Registry {
    /// Enters a run.
    pub(super) fn enter(&self, run: RunId) -> (Stopper, Held<'_>) {
        self.enter_id(run.0)
    }

    /// Enters a re-evaluation.
    pub(super) fn enter_evaluation(&self, evaluation: EvaluationId) -> (Stopper, Held<'_>) {
        self.enter_id(evaluation.0)
    }

    fn enter_id(&self, id: Uuid) -> (Stopper, Held<'_>) {
        let stopper = Stopper::default();
        // `held` first, as in `stop`: nobody slips between the two.
        let mut held = self.held.lock();
        if self.early.lock().remove(&id) {
            stopper.stop(Stop::Cancelled);
        }
        held.insert(id, stopper.clone());
        (stopper, Held { registry: self, id })
    }

    /// Tells one to stop. One that is to be cancelled and is not here yet is
    /// told as it enters.
    pub(super) fn stop(&self, run: RunId, why: Stop) {
        let held = self.held.lock();
        if let Some(stopper) = held.get(&run.0) {
            stopper.stop(why);
        } else if why == Stop::Cancelled {
            self.early.lock().insert(run.0);
        }
    }

    /// Forgets who was told early; by now they have entered, or are another
    /// process's.
    pub(super) fn forget_early(&self) {
        self.early.lock().clear();
    }

    /// Tells all to stop.
    pub(super) fn stop_all(&self, why: Stop) {
        for stopper in self.held.lock().values() {
            stopper.stop(why);
        }
    }

    /// Tells all to stop that are not among `ids`.
    pub(super) fn stop_others(&self, ids: &std::collections::HashSet<Uuid>, entered: &[Uuid]) {
        for (id, stopper) in self.held.lock().iter() {
            if entered.contains(id) && !ids.contains(id) {
                stopper.stop(Stop::Lost);
            }
        }
    }

    /// Whether it is here.
    pub(super) fn holds(&self, id: Uuid) -> bool {
        self.held.lock().contains_key(&id)
    }

    /// Ids of everything here.
    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.held.lock().keys().copied().collect()
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.held.lock().len()
    }
}
