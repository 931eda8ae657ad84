//! Unfinished runs by state, for metrics.

use domain::{RunStatus, Stage, Timestamp, WaitReason};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    pub pending: u32,
    /// In the conversation, not waiting.
    pub conversing: u32,
    /// In the evaluation, not waiting.
    pub evaluating: u32,
    pub waiting_slot: u32,
    pub waiting_rate_limit: u32,
    pub waiting_circuit: u32,
    /// When the first of the current leases expires.
    pub earliest_lease_expiry: Option<Timestamp>,
}

impl QueueStats {
    /// Adds `count` runs in the same state. Final runs are not counted.
    pub fn add(
        &mut self,
        status: RunStatus,
        stage: Option<Stage>,
        waiting: Option<WaitReason>,
        earliest_lease_expiry: Option<Timestamp>,
        count: u32,
    ) {
        let state = match (status, waiting, stage) {
            (RunStatus::Pending, ..) => &mut self.pending,
            (RunStatus::Running, Some(WaitReason::Slot), _) => &mut self.waiting_slot,
            (RunStatus::Running, Some(WaitReason::RateLimit), _) => &mut self.waiting_rate_limit,
            (RunStatus::Running, Some(WaitReason::Circuit), _) => &mut self.waiting_circuit,
            (RunStatus::Running, None, Some(Stage::Evaluating)) => &mut self.evaluating,
            (RunStatus::Running, None, _) => &mut self.conversing,
            _ => return,
        };
        *state += count;
        self.earliest_lease_expiry =
            [self.earliest_lease_expiry, earliest_lease_expiry].into_iter().flatten().min();
    }

    /// The counts by the label values of the metric.
    #[must_use]
    pub fn by_state(&self) -> [(&'static str, u32); 6] {
        [
            ("pending", self.pending),
            ("conversing", self.conversing),
            ("evaluating", self.evaluating),
            ("waiting_slot", self.waiting_slot),
            ("waiting_rate_limit", self.waiting_rate_limit),
            ("waiting_circuit", self.waiting_circuit),
        ]
    }
}
