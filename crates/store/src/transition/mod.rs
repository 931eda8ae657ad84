//! The lifecycles of runs, suites and evaluations. Each is an enum of
//! transitions and one pure `transition` method: a store reads a row, applies a
//! transition and saves the result. A store changes a status by itself only to fail
//! a row that it cannot read.

mod rejudge;
mod run;
mod run_change;
#[cfg(test)]
mod run_tests;
mod suite;

pub use rejudge::{RejudgeTransition, corrupt_evaluation, is_unfinished};
pub use run::RunTransition;
pub use run_change::{Lease, RunChange, RunOutcome};
pub use suite::{NewRows, SuiteState, SuiteTransition};

use super::StoreError;
use super::rows::RoleModel;
use std::ops::Deref;
use std::time::Duration;

/// How long a lease lasts without a heartbeat.
pub const LEASE_DURATION: Duration = Duration::from_secs(30);
/// A run or rejudge ends this long after it was requested, even while it waits.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// Time for the evaluation, unless the user chose another.
const EVALUATION_ALLOWANCE: Duration = Duration::from_secs(180);

/// Time for the evaluation by this judge. It is added to the deadline of the conversation.
#[must_use]
pub fn evaluation_allowance(judge: &RoleModel) -> Duration {
    let seconds = judge.options.timeout_seconds.map(u64::from);
    seconds.map_or(EVALUATION_ALLOWANCE, Duration::from_secs)
}
/// After this number of recoveries in a row without progress the run or
/// evaluation ends as `abandoned`.
pub const MAX_RECOVERIES_WITHOUT_PROGRESS: u32 = 3;

/// Why a transition was refused. The row is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The row is final, or another worker holds its lease.
    LeaseLost,
    /// The transition does not apply to the current state.
    NotApplicable,
}

/// For a caller, both mean that the row cannot be changed.
impl From<Refused> for StoreError {
    fn from(_: Refused) -> Self {
        Self::LeaseLost
    }
}

/// A state that only the transitions of this module change. Other code reads it,
/// and a store wraps what it read from the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOnly<T>(T);

impl<T> ReadOnly<T> {
    pub fn from_stored(state: T) -> Self {
        Self(state)
    }
}

impl<T> Deref for ReadOnly<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
