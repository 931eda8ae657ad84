//! How a re-evaluation changes hands: the same rules for every store. A run's
//! own evaluation has no lease; it lives by the run's.

use super::rows::{EvaluationRow, RunRow};
use super::transition::{JUDGING, LEASE, MOST_RECOVERIES};
use domain::{ErrorKind, Evaluation, EvaluationStatus, RunError, Timestamp};
use std::time::Duration;

impl EvaluationRow {
    /// A run's own evaluation, as it is stored beside the run.
    #[must_use]
    pub fn of_run(run: &RunRow, view: Evaluation) -> Self {
        Self {
            attempt: run.attempt,
            deadline_at: run.deadline_at,
            ..Self::asked_for(run, run.frozen.judge.clone(), view)
        }
    }

    /// A re-evaluation that nobody has begun.
    #[must_use]
    pub fn asked_for(run: &RunRow, judge: super::rows::ModelRef, view: Evaluation) -> Self {
        Self {
            run_id: run.id,
            suite_id: run.suite_id,
            space_id: run.space_id,
            user_id: run.user_id,
            judge,
            view,
            attempt: 0,
            recoveries: 0,
            stalled: 0,
            lease_owner: None,
            lease_until: None,
            deadline_at: None,
        }
    }

    /// Whether a worker holds it at this epoch.
    #[must_use]
    pub fn is_held(&self, attempt: u32) -> bool {
        let running = self.view.status == EvaluationStatus::Running;
        running && self.attempt == attempt && self.lease_owner.is_some()
    }

    /// A worker takes it.
    pub fn claim(&mut self, owner: String, max_wait: Duration, now: Timestamp) {
        self.attempt += 1;
        self.view.status = EvaluationStatus::Running;
        self.lease_owner = Some(owner);
        self.lease_until = Some(now.plus(LEASE));
        self.deadline_at.get_or_insert(now.plus(max_wait + JUDGING));
    }

    /// Its holder stores what it found; the lease goes with the end.
    pub fn commit(&mut self, view: Evaluation, now: Timestamp) {
        if view.raw_reply.is_some() {
            self.stalled = 0;
        }
        if matches!(view.status, EvaluationStatus::Pending | EvaluationStatus::Running) {
            self.lease_until = Some(now.plus(LEASE));
        } else {
            self.lease_owner = None;
            self.lease_until = None;
        }
        self.view = view;
    }

    /// Its holder gives it back in good order.
    pub fn hand_back(&mut self) {
        self.attempt += 1;
        self.lease_owner = None;
        self.lease_until = None;
        self.view.status = EvaluationStatus::Pending;
    }

    /// Its holder is gone, or its deadline is past: it waits for another one,
    /// or ends.
    pub fn recover(&mut self, now: Timestamp) {
        self.hand_back();
        let late = self.deadline_at.is_some_and(|deadline| deadline <= now);
        if late || self.stalled >= MOST_RECOVERIES {
            self.view.status = EvaluationStatus::Error;
            self.view.finished_at = Some(now);
            let message = "No server finished this judging. Judge the run again.";
            self.view.error = Some(RunError::new(ErrorKind::Abandoned, message));
        } else {
            self.recoveries += 1;
            self.stalled += 1;
        }
    }
}
