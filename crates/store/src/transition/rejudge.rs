//! The lifecycle of a rejudge: pending, running, and final. The first
//! evaluation of a run has no lease of its own: the run's lease covers it.

use super::{
    LEASE_DURATION, MAX_AGE, MAX_RECOVERIES_WITHOUT_PROGRESS, ReadOnly, Refused,
    evaluation_allowance,
};
use crate::rows::{EvaluationRow, RoleModel, RunRow};
use domain::{
    ErrorKind, Evaluation, EvaluationId, EvaluationStatus, RunError, RunStatus, Timestamp,
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub enum RejudgeTransition {
    /// A worker takes the lease of a pending rejudge.
    Claim {
        owner: String,
        /// `max_wait` of the engine's settings; extends the deadline.
        max_wait: Duration,
    },
    /// The lease holder stores its result so far, or the final one.
    Commit { lease_epoch: u32, evaluation: Box<Evaluation> },
    /// The lease holder waits for a call slot of the server, or no longer. Meanwhile the
    /// deadline stands still; when the wait ends, it moves by it.
    WaitForSlot { lease_epoch: u32, waits: bool },
    /// The lease holder gives the lease back (shutdown).
    Release { lease_epoch: u32 },
    /// The lease expired or its holder is gone. The rejudge is pending again, or ends as
    /// an error after its deadline or too many recoveries without progress.
    Recover,
}

impl EvaluationRow {
    /// The first evaluation of a run.
    #[must_use]
    pub fn of_run(run: &RunRow, evaluation: Evaluation) -> Self {
        let mut row = Self::requested(run, run.model_snapshot.judge.clone(), evaluation);
        row.lease.0.lease_epoch = run.lease_epoch;
        row.lease.0.deadline_at = run.deadline_at;
        row
    }

    /// A new rejudge.
    #[must_use]
    pub fn requested(run: &RunRow, judge: RoleModel, evaluation: Evaluation) -> Self {
        Self {
            run_id: run.id,
            suite_id: run.suite_id,
            space_id: run.space_id,
            user_id: run.user_id,
            judge,
            evaluation,
            lease: ReadOnly::default(),
        }
    }

    /// Extends the lease.
    pub fn renew_lease(&mut self, now: Timestamp) {
        self.lease.0.lease_until = Some(now.plus(LEASE_DURATION));
    }

    /// Whether a worker holds the lease of this epoch.
    #[must_use]
    pub fn is_leased_at(&self, lease_epoch: u32) -> bool {
        let running = self.evaluation.status == EvaluationStatus::Running;
        running && self.lease_owner.is_some() && self.lease_epoch == lease_epoch
    }

    /// Applies a transition.
    ///
    /// # Errors
    /// [`Refused`]: the row is unchanged.
    pub fn transition(
        &mut self,
        transition: RejudgeTransition,
        now: Timestamp,
    ) -> Result<(), Refused> {
        match transition {
            RejudgeTransition::Claim { owner, max_wait } => {
                if self.evaluation.status != EvaluationStatus::Pending {
                    return Err(Refused::NotApplicable);
                }
                self.evaluation.status = EvaluationStatus::Running;
                let allowance = evaluation_allowance(&self.judge);
                let lease = &mut self.lease.0;
                lease.lease_epoch += 1;
                lease.lease_owner = Some(owner);
                lease.lease_until = Some(now.plus(LEASE_DURATION));
                lease.deadline_at.get_or_insert(now.plus(max_wait + allowance));
            }
            RejudgeTransition::Commit { lease_epoch, evaluation } => {
                if !self.is_leased_at(lease_epoch) {
                    return Err(Refused::LeaseLost);
                }
                self.commit(*evaluation, now);
            }
            RejudgeTransition::WaitForSlot { lease_epoch, waits } => {
                if !self.is_leased_at(lease_epoch) {
                    return Err(Refused::LeaseLost);
                }
                self.resume_deadline(now);
                self.lease.0.deadline_paused_at = waits.then_some(now);
            }
            RejudgeTransition::Release { lease_epoch } => {
                if !self.is_leased_at(lease_epoch) {
                    return Err(Refused::LeaseLost);
                }
                self.release(now);
            }
            RejudgeTransition::Recover => {
                if self.evaluation.status != EvaluationStatus::Running {
                    return Err(Refused::NotApplicable);
                }
                self.release(now);
                self.recover(now);
            }
        }
        Ok(())
    }

    fn commit(&mut self, evaluation: Evaluation, now: Timestamp) {
        if evaluation.raw_reply.is_some() {
            self.lease.0.recoveries_without_progress = 0;
        }
        self.evaluation = evaluation;
        if is_unfinished(self.evaluation.status) {
            self.renew_lease(now);
        } else {
            self.lease.0.lease_owner = None;
            self.lease.0.lease_until = None;
            self.lease.0.deadline_paused_at = None;
        }
    }

    /// Whether the deadline has passed, or the rejudge was requested a day ago.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        let is_past = self.deadline_paused_at.is_none()
            && self.deadline_at.is_some_and(|deadline| deadline <= now);
        is_past || now.since(self.evaluation.created_at) >= MAX_AGE
    }

    /// Moves the deadline by the time for which it stood still.
    fn resume_deadline(&mut self, now: Timestamp) {
        let end = self.evaluation.created_at.plus(MAX_AGE);
        let lease = &mut self.lease.0;
        if let Some(since) = lease.deadline_paused_at.take() {
            let paused = now.since(since);
            lease.deadline_at = lease.deadline_at.map(|at| at.plus(paused).min(end));
        }
    }

    /// Releases the lease and fences the previous holder.
    fn release(&mut self, now: Timestamp) {
        self.resume_deadline(now);
        self.evaluation.status = EvaluationStatus::Pending;
        let lease = &mut self.lease.0;
        lease.lease_epoch += 1;
        lease.lease_owner = None;
        lease.lease_until = None;
    }

    fn recover(&mut self, now: Timestamp) {
        let late = self.is_late(now);
        let lease = &mut self.lease.0;
        if late || lease.recoveries_without_progress >= MAX_RECOVERIES_WITHOUT_PROGRESS {
            let message = "No server finished this evaluation. Rejudge the run.";
            end_as_error(&mut self.evaluation, RunError::new(ErrorKind::Abandoned, message), now);
        } else {
            lease.recoveries += 1;
            lease.recoveries_without_progress += 1;
        }
    }
}

impl EvaluationRow {
    /// Ends the first evaluation of a run that ended without a verdict, so that the run
    /// can be rejudged. Returns whether it was unfinished.
    pub fn end_with_run(&mut self, run: &RunRow, now: Timestamp) -> bool {
        if !is_unfinished(self.evaluation.status) {
            return false;
        }
        match (run.status, &run.error) {
            (RunStatus::Error, Some(error)) => {
                end_as_error(&mut self.evaluation, error.clone(), now)
            }
            (RunStatus::Cancelled, _) => {
                self.evaluation.status = EvaluationStatus::Cancelled;
                self.evaluation.finished_at = Some(now);
            }
            _ => return false,
        }
        true
    }
}

#[must_use]
pub fn is_unfinished(status: EvaluationStatus) -> bool {
    matches!(status, EvaluationStatus::Pending | EvaluationStatus::Running)
}

/// The evaluation, ended as an error, that replaces a row that cannot be read.
#[must_use]
pub fn corrupt_evaluation(
    id: EvaluationId,
    judge_model: &str,
    created_at: Timestamp,
    now: Timestamp,
) -> Evaluation {
    let message = "The stored record of this evaluation is damaged. Rejudge the run.";
    let mut evaluation = Evaluation::pending(id, judge_model, 0, created_at);
    end_as_error(&mut evaluation, RunError::new(ErrorKind::Internal, message), now);
    evaluation
}

fn end_as_error(evaluation: &mut Evaluation, error: RunError, now: Timestamp) {
    evaluation.status = EvaluationStatus::Error;
    evaluation.error = Some(error);
    evaluation.finished_at = Some(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::queue::{T0, at, new_run, rejudge, suite};

    fn claimed() -> EvaluationRow {
        let mut row = rejudge(&RunRow::new(&suite(1, 1, 1), &new_run(1), 0), 1);
        let max_wait = Duration::from_secs(600);
        row.transition(RejudgeTransition::Claim { owner: "w".into(), max_wait }, T0).unwrap();
        row
    }

    fn commit(row: &EvaluationRow, status: EvaluationStatus) -> RejudgeTransition {
        let evaluation = Box::new(Evaluation { status, ..row.evaluation.clone() });
        RejudgeTransition::Commit { lease_epoch: row.lease_epoch, evaluation }
    }

    #[test]
    fn stale_epoch_changes_nothing() {
        let mut row = claimed();
        let stale = [
            commit(&row, EvaluationStatus::Done),
            RejudgeTransition::Release { lease_epoch: row.lease_epoch },
        ];
        row.transition(RejudgeTransition::Recover, at(1)).unwrap();
        let recovered = row.clone();
        for transition in stale {
            assert_eq!(row.transition(transition, at(2)), Err(Refused::LeaseLost));
        }
        assert_eq!(row, recovered);
        assert_eq!((row.evaluation.status, row.recoveries), (EvaluationStatus::Pending, 1));
    }

    #[test]
    fn deadline_stands_still_while_a_rejudge_waits_for_a_slot() {
        let mut row = claimed();
        let deadline = row.deadline_at.unwrap();
        let wait = |row: &EvaluationRow, waits| RejudgeTransition::WaitForSlot {
            lease_epoch: row.lease_epoch,
            waits,
        };
        assert!(row.is_late(deadline));
        row.transition(wait(&row, true), at(10)).unwrap();
        assert!(!row.is_late(deadline.plus(Duration::from_secs(500))));
        let mut crashed = row.clone();
        row.transition(wait(&row, false), at(1010)).unwrap();
        let moved = deadline.plus(Duration::from_secs(1000));
        assert_eq!((row.deadline_at, row.deadline_paused_at), (Some(moved), None));
        assert!(!row.is_late(at(1010)) && row.is_late(moved));
        // The wait of a worker that is gone ends with its lease.
        crashed.transition(RejudgeTransition::Recover, at(40)).unwrap();
        let moved = deadline.plus(Duration::from_secs(30));
        assert_eq!((crashed.deadline_at, crashed.deadline_paused_at), (Some(moved), None));
        // A day after its request every rejudge ends.
        row.transition(wait(&row, true), at(1011)).unwrap();
        assert!(row.is_late(row.evaluation.created_at.plus(MAX_AGE)));
        row.transition(RejudgeTransition::Recover, at(100_000)).unwrap();
        assert_eq!(row.evaluation.status, EvaluationStatus::Error);
        assert_eq!(row.transition(wait(&row, true), at(100_001)), Err(Refused::LeaseLost));
    }

    #[test]
    fn final_evaluation_never_changes() {
        let mut row = claimed();
        let late_commit = commit(&row, EvaluationStatus::Error);
        row.transition(commit(&row, EvaluationStatus::Done), at(1)).unwrap();
        let done = row.clone();
        let claim = RejudgeTransition::Claim { owner: "w".into(), max_wait: Duration::ZERO };
        for transition in [claim, late_commit, RejudgeTransition::Recover] {
            assert!(row.transition(transition, at(2)).is_err());
        }
        assert_eq!(row, done);
        assert_eq!(row.lease_owner, None);
    }
}
