//! The leased runs that the writer keeps in memory, so that a commit does not read its run.

use domain::RunId;
use std::collections::HashMap;
use store::rows::RunRow;

/// Leased runs as the statements of the writer leave them.
#[derive(Default)]
pub(super) struct RunCache {
    runs: HashMap<RunId, RunRow>,
    /// What the current change saved. It counts when the change is kept.
    saved: Vec<RunRow>,
}

impl RunCache {
    pub(super) fn contains(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    /// Hands a run out once, because the change that takes it makes it outdated.
    pub(super) fn take(&mut self, run: RunId) -> Option<RunRow> {
        self.runs.remove(&run)
    }

    /// Records that the current change saved a run.
    pub(super) fn save(&mut self, run: RunRow) {
        self.saved.push(run);
    }

    /// Ends a change that is kept. Only the lease holder commits, so other runs are left out.
    pub(super) fn keep_change(&mut self) {
        for run in self.saved.drain(..) {
            if run.lease_owner.is_some() {
                self.runs.insert(run.id, run);
            } else {
                self.runs.remove(&run.id);
            }
        }
    }

    /// Ends a change that is undone. What it took stays away and is read again.
    pub(super) fn undo_change(&mut self) {
        for run in self.saved.drain(..) {
            self.runs.remove(&run.id);
        }
    }

    /// Forgets all runs, because statements that do not save them here may change them.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.saved.clear();
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> impl Iterator<Item = &RunRow> {
        self.runs.values()
    }
}
