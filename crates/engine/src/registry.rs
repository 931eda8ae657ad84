//! What this process holds, and how each is told to stop.

use domain::{EvaluationId, RunId};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Why something has to stop, from the lightest to the gravest. The gravest
/// reason so far counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// This process ends: give it back. What was cancelled before ends as
    /// cancelled when it is given back.
    Shutdown,
    /// It is somebody else's now, or may be: store nothing more.
    Lost,
}

/// How a task learns that it has to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopper {
    token: CancellationToken,
    reason: Arc<Mutex<Option<Stop>>>,
}

impl Stopper {
    /// Tells it to stop.
    pub(super) fn stop(&self, why: Stop) {
        {
            let mut reason = self.reason.lock();
            *reason = (*reason).max(Some(why));
        }
        self.token.cancel();
    }

    /// The gravest reason, once one was told.
    pub(super) fn stopped(&self) -> Option<Stop> {
        *self.reason.lock()
    }

    /// Whether both are the same one.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reason, &other.reason)
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

/// Takes its entry out when it is dropped, however the task ended; the entry
/// of whoever displaced it stays.
pub(super) struct Held<'a> {
    registry: &'a Registry,
    id: Uuid,
    stopper: Stopper,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.registry.held.lock();
        if held.get(&self.id).is_some_and(|stopper| stopper.is(&self.stopper)) {
            held.remove(&self.id);
        }
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
        if let Some(displaced) = held.insert(id, stopper.clone()) {
            // It was claimed anew while its task of before still lives.
            displaced.stop(Stop::Lost);
        }
        (stopper.clone(), Held { registry: self, id, stopper })
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

#[cfg(test)]
mod tests {
    use super::{Registry, Stop};
    use domain::RunId;
    use uuid::Uuid;

    const RUN: RunId = RunId(Uuid::from_u128(1));

    #[test]
    fn who_enters_again_displaces_the_one_before_and_stays() {
        let registry = Registry::default();
        let (old, old_held) = registry.enter(RUN);
        let (new, new_held) = registry.enter(RUN);
        assert_eq!((old.stopped(), new.stopped()), (Some(Stop::Lost), None));
        drop(old_held);
        assert!(registry.holds(RUN.0), "the old one takes out its own entry alone");
        registry.stop(RUN, Stop::Cancelled);
        assert_eq!(new.stopped(), Some(Stop::Cancelled), "and the new one is told");
        drop(new_held);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn a_graver_reason_takes_the_place_of_a_lighter_one() {
        let registry = Registry::default();
        let (stopper, _held) = registry.enter(RUN);
        for (told, heard) in [
            (Stop::Cancelled, Stop::Cancelled),
            (Stop::Shutdown, Stop::Shutdown),
            (Stop::Cancelled, Stop::Shutdown),
            (Stop::Lost, Stop::Lost),
            (Stop::Shutdown, Stop::Lost),
        ] {
            registry.stop(RUN, told);
            assert_eq!(stopper.stopped(), Some(heard));
        }
    }
}
