//! The number of runs of an unfinished suite by state.

use crate::rows::{ModelRef, RunRow, SuiteRow};
use domain::{RunStatus, SuiteId, SuiteStatus, Timestamp, UserId, WaitReason};

/// What one run adds to the load of its suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunLoad {
    pub pending: bool,
    pub running: bool,
    /// Running without a lease.
    pub orphaned: bool,
    /// Leased and not parked.
    pub active: bool,
    /// Leased and parked only because no slot of its user is free.
    pub awaiting_user_slot: bool,
}

impl RunLoad {
    #[must_use]
    pub fn of(run: &RunRow) -> Self {
        let running = run.status == RunStatus::Running;
        let leased = running && run.lease_owner.is_some();
        let awaits_slot = run.waiting.is_some_and(|waiting| waiting.what == WaitReason::Slot);
        Self {
            pending: run.status == RunStatus::Pending,
            running,
            orphaned: running && !leased,
            active: leased && !run.parked,
            awaiting_user_slot: leased && run.parked && awaits_slot,
        }
    }
}

/// An unfinished suite and the number of its runs by state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteLoad {
    pub suite_id: SuiteId,
    pub user_id: UserId,
    /// The model under test; `None` if it cannot be read.
    pub agent: Option<ModelRef>,
    pub created_at: Timestamp,
    /// The limit of running runs.
    pub concurrency: u32,
    /// Whether its first run has started.
    pub is_started: bool,
    pub pending: u32,
    pub running: u32,
    /// Running without a lease.
    pub orphaned: u32,
    /// Leased and not parked.
    pub active: u32,
    /// Leased and parked only because no slot of their user is free: the next free ones
    /// are reserved for them.
    pub awaiting_user_slot: u32,
}

impl SuiteLoad {
    /// A suite without runs.
    #[must_use]
    pub fn of(suite: &SuiteRow, agent: Option<ModelRef>) -> Self {
        Self {
            suite_id: suite.id,
            user_id: suite.user_id,
            agent,
            created_at: suite.created_at,
            concurrency: suite.concurrency,
            is_started: suite.state.status() == SuiteStatus::Running,
            pending: 0,
            running: 0,
            orphaned: 0,
            active: 0,
            awaiting_user_slot: 0,
        }
    }

    /// Counts a run.
    pub fn add(&mut self, run: RunLoad) {
        self.pending += u32::from(run.pending);
        self.running += u32::from(run.running);
        self.orphaned += u32::from(run.orphaned);
        self.active += u32::from(run.active);
        self.awaiting_user_slot += u32::from(run.awaiting_user_slot);
    }
}
