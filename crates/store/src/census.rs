//! Unfinished runs by what they do, for metrics: one cheap question, never a
//! look at runs that are final.

use domain::{RunStatus, Stage, Timestamp, WaitingOn};

/// Unfinished runs, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Not begun.
    pub pending: u32,
    /// In conversation, and waiting for nothing.
    pub conversing: u32,
    /// Being judged, and waiting for nothing.
    pub evaluating: u32,
    /// Waiting for a place among the calls at once.
    pub waiting_slot: u32,
    /// Waiting for a provider's rate limit.
    pub waiting_rate_limit: u32,
    /// Waiting for an open circuit.
    pub waiting_circuit: u32,
    /// Of the leases that are held, the one that lapses first.
    pub first_lapse: Option<Timestamp>,
}

impl Census {
    /// Adds `count` runs of a kind. What is final is not counted.
    pub fn add(
        &mut self,
        status: RunStatus,
        stage: Option<Stage>,
        waiting: Option<WaitingOn>,
        first_lapse: Option<Timestamp>,
        count: u32,
    ) {
        let state = match (status, waiting, stage) {
            (RunStatus::Pending, ..) => &mut self.pending,
            (RunStatus::Running, Some(WaitingOn::Slot), _) => &mut self.waiting_slot,
            (RunStatus::Running, Some(WaitingOn::RateLimit), _) => &mut self.waiting_rate_limit,
            (RunStatus::Running, Some(WaitingOn::Circuit), _) => &mut self.waiting_circuit,
            (RunStatus::Running, None, Some(Stage::Evaluating)) => &mut self.evaluating,
            (RunStatus::Running, None, _) => &mut self.conversing,
            _ => return,
        };
        *state += count;
        self.first_lapse = match (self.first_lapse, first_lapse) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// The counts by the words of the metric.
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
