//! The lifecycle of a run: pending, running, and final. A running run has a lease,
//! or is orphaned: no worker executes it until the next claim.

use super::{
    LEASE_DURATION, MAX_AGE, MAX_RECOVERIES_WITHOUT_PROGRESS, ReadOnly, Refused, RunChange,
    RunOutcome, evaluation_allowance,
};
use crate::rows::{EventRow, RunRow, RunState};
use crate::suites::{NewRun, NewSuite};
use domain::{ErrorKind, RunStatus, Speaker, Stage, Timestamp, Usage, WaitReason, Waiting};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub enum RunTransition {
    /// A worker takes the lease of a pending or orphaned run.
    Claim {
        owner: String,
        /// `max_wait` of the engine's settings; extends the deadline.
        max_wait: Duration,
    },
    /// The lease holder stores its progress.
    Commit { lease_epoch: u32, change: Box<RunChange> },
    /// The lease holder gives the lease back (shutdown). The run becomes orphaned, or
    /// ends if it has a cancel request.
    Release { lease_epoch: u32 },
    /// The lease expired or its holder is gone. The run becomes orphaned, or ends if
    /// it has a cancel request, is past its deadline or was recovered too often.
    Recover,
    /// A user cancels the run. It ends at once, or if it is leased, when its holder
    /// ends it or the lease ends.
    Cancel,
    /// The deadline passed, or the run stayed pending for too long.
    ExceedDeadline,
    /// A pending run cannot begin: its connection fails for too long, or the budget is used
    /// up.
    GiveUp {
        /// The kind of the error.
        kind: ErrorKind,
        /// The message of the error.
        message: String,
    },
}

impl RunRow {
    /// A new run. One with an error is final from the start.
    #[must_use]
    pub fn new(suite: &NewSuite, run: &NewRun, position: u32) -> Self {
        Self {
            id: run.id,
            suite_id: suite.id,
            space_id: suite.space_id,
            user_id: suite.user_id,
            agent: suite.agent.clone(),
            scenario: run.scenario.clone(),
            repetition: run.repetition,
            position,
            source_run_id: run.source_run_id,
            model_snapshot: suite.model_snapshot.clone(),
            timeout_ms: run.timeout_ms,
            user_turns_planned: run.user_turns_planned,
            created_at: suite.at,
            state: ReadOnly(RunState {
                status: if run.error.is_some() { RunStatus::Error } else { RunStatus::Pending },
                stage: None,
                waiting: None,
                deadline_paused_at: None,
                parked: false,
                score: None,
                error: run.error.clone(),
                end_reason: None,
                lease_epoch: 0,
                recoveries: 0,
                recoveries_without_progress: 0,
                lease_owner: None,
                lease_until: None,
                deadline_at: None,
                active_ms: 0,
                waited_ms: 0,
                circuit_ms: 0,
                cancel_requested_at: None,
                started_at: None,
                finished_at: run.error.is_some().then_some(suite.at),
                usage: Usage::default(),
                user_turns: 0,
                turns: 0,
                session_id: None,
                unconfirmed_call: None,
            }),
        }
    }

    /// Takes over the conversation of another run, to continue or to judge it.
    pub fn copy_conversation(&mut self, source: &Self) {
        let state = &mut self.state.0;
        state.end_reason = source.end_reason;
        (state.user_turns, state.turns) = (source.user_turns, source.turns);
        state.session_id.clone_from(&source.session_id);
        state.unconfirmed_call = source.unconfirmed_call;
    }

    /// Extends the lease.
    pub fn renew_lease(&mut self, now: Timestamp) {
        self.state.0.lease_until = Some(now.plus(LEASE_DURATION));
    }

    /// The event that publishes the current state of the run.
    #[must_use]
    pub fn event(&self) -> EventRow {
        EventRow::Run(Box::new(self.view()))
    }

    /// Applies a transition. Returns the events to store in the same
    /// transaction as the row.
    ///
    /// # Errors
    /// [`Refused`]: the row is unchanged.
    pub fn transition(
        &mut self,
        transition: RunTransition,
        now: Timestamp,
    ) -> Result<Vec<EventRow>, Refused> {
        if self.status.is_final() {
            return Err(Refused::LeaseLost);
        }
        match transition {
            RunTransition::Claim { owner, max_wait } => {
                if self.lease_owner.is_some() {
                    return Err(Refused::NotApplicable);
                }
                self.claim(owner, max_wait, now);
            }
            RunTransition::Commit { lease_epoch, change } => {
                self.check_lease(lease_epoch)?;
                return Ok(self.commit(*change, now));
            }
            RunTransition::Release { lease_epoch } => {
                self.check_lease(lease_epoch)?;
                self.release(now);
                // No worker claims a canceled run, so it ends here.
                if self.cancel_requested_at.is_some() {
                    self.finish(RunOutcome::cancelled(), now);
                }
            }
            RunTransition::Recover => {
                if !self.is_leased() {
                    return Err(Refused::NotApplicable);
                }
                self.release(now);
                self.recover(now);
            }
            RunTransition::Cancel => {
                self.state.0.cancel_requested_at.get_or_insert(now);
                if self.lease_owner.is_some() {
                    return Ok(Vec::new());
                }
                self.state.0.lease_epoch += 1;
                self.finish(RunOutcome::cancelled(), now);
            }
            RunTransition::ExceedDeadline => {
                let outcome = self.outcome_past_deadline(now).ok_or(Refused::NotApplicable)?;
                self.release(now);
                self.finish(outcome, now);
            }
            RunTransition::GiveUp { kind, message } => {
                if self.status != RunStatus::Pending {
                    return Err(Refused::NotApplicable);
                }
                self.finish(RunOutcome::error(kind, message), now);
            }
        }
        Ok(vec![self.event()])
    }

    fn is_leased(&self) -> bool {
        self.status == RunStatus::Running && self.lease_owner.is_some()
    }

    fn check_lease(&self, lease_epoch: u32) -> Result<(), Refused> {
        let is_holder = self.is_leased() && self.lease_epoch == lease_epoch;
        if is_holder { Ok(()) } else { Err(Refused::LeaseLost) }
    }

    fn claim(&mut self, owner: String, max_wait: Duration, now: Timestamp) {
        self.set_waiting(None, now);
        let end = self.created_at.plus(MAX_AGE);
        let allowance = evaluation_allowance(&self.model_snapshot.judge);
        let state = &mut self.state.0;
        state.lease_epoch += 1;
        state.lease_owner = Some(owner);
        state.lease_until = Some(now.plus(LEASE_DURATION));
        state.parked = false;
        if state.status == RunStatus::Pending {
            state.status = RunStatus::Running;
            state.started_at = Some(now);
            let active = Duration::from_millis(self.timeout_ms);
            state.deadline_at = Some(now.plus(active + max_wait + allowance).min(end));
        }
        let conversing = state.end_reason.is_none();
        state.stage = Some(if conversing { Stage::Conversing } else { Stage::Evaluating });
    }

    fn commit(&mut self, change: RunChange, now: Timestamp) -> Vec<EventRow> {
        let (run_id, state) = (self.id, &mut self.state.0);
        let mut events = Vec::new();
        let mut changed = false;
        for _turn in &change.turns {
            events.push(EventRow::Turn { run_id, index: state.turns });
            state.turns += 1;
            state.recoveries_without_progress = 0;
        }
        let user_turns = change.turns.iter().filter(|turn| turn.speaker == Speaker::User).count();
        state.user_turns += u32::try_from(user_turns).unwrap_or(0);
        if change.evaluation.as_ref().is_some_and(|evaluation| evaluation.raw_reply.is_some()) {
            state.recoveries_without_progress = 0;
        }
        state.active_ms += milliseconds(change.active);
        state.waited_ms += milliseconds(change.waited);
        state.circuit_ms += milliseconds(change.waited_for_circuit);
        if let Some(usage) = change.usage {
            state.usage = usage;
        }
        if let Some(reason) = change.end_reason {
            state.end_reason = Some(reason);
            state.stage = Some(Stage::Evaluating);
            changed = true;
        }
        if change.session_id.is_some() {
            state.session_id = change.session_id;
        }
        if let Some(call) = change.unconfirmed_call {
            state.unconfirmed_call = call;
        }
        if let Some(parked) = change.parked {
            state.parked = parked;
        }
        if let Some(waiting) = change.waiting {
            changed |= self.waiting != waiting;
            self.set_waiting(waiting, now);
        }
        if let Some(outcome) = change.finish {
            self.finish(outcome, now);
            changed = true;
        }
        if changed {
            events.push(self.event());
        }
        events
    }

    /// Stores what the run waits for. The deadline stands still while it waits for a slot
    /// of the server or for a rate limit, because such a wait says nothing about the run.
    /// A wait for an open circuit does not pause the deadline.
    fn set_waiting(&mut self, waiting: Option<Waiting>, now: Timestamp) {
        let end = self.created_at.plus(MAX_AGE);
        let state = &mut self.state.0;
        if let Some(since) = state.deadline_paused_at.take() {
            let paused = now.since(since);
            state.deadline_at = state.deadline_at.map(|at| at.plus(paused).min(end));
        }
        let pauses = |waiting: &Waiting| match waiting.what {
            WaitReason::Slot | WaitReason::RateLimit => true,
            WaitReason::Circuit => false,
        };
        state.deadline_paused_at = waiting.as_ref().filter(|waiting| pauses(waiting)).map(|_| now);
        state.waiting = waiting;
    }

    /// Releases the lease and fences the previous holder.
    fn release(&mut self, now: Timestamp) {
        self.set_waiting(None, now);
        let state = &mut self.state.0;
        state.lease_epoch += 1;
        state.lease_owner = None;
        state.lease_until = None;
        state.parked = false;
    }

    fn recover(&mut self, now: Timestamp) {
        if self.cancel_requested_at.is_some() {
            self.finish(RunOutcome::cancelled(), now);
        } else if let Some(outcome) = self.outcome_past_deadline(now) {
            self.finish(outcome, now);
        } else if self.recoveries_without_progress >= MAX_RECOVERIES_WITHOUT_PROGRESS {
            let message = format!(
                "The run was restarted {MAX_RECOVERIES_WITHOUT_PROGRESS} times without progress. It may crash the server."
            );
            self.finish(RunOutcome::error(ErrorKind::Abandoned, message), now);
        } else {
            self.state.0.recoveries += 1;
            self.state.0.recoveries_without_progress += 1;
        }
    }

    /// The outcome of a run whose time is up.
    fn outcome_past_deadline(&self, now: Timestamp) -> Option<RunOutcome> {
        let message = match self.status {
            RunStatus::Pending if now.since(self.created_at) >= MAX_AGE => {
                "The run stayed in the queue for 24 hours. Run it again."
            }
            RunStatus::Running if now.since(self.created_at) >= MAX_AGE => {
                "The run was not finished within 24 hours. Run it again."
            }
            RunStatus::Running
                if self.deadline_paused_at.is_none()
                    && self.deadline_at.is_some_and(|deadline| deadline <= now) =>
            {
                "No server finished the run before its deadline. Run it again."
            }
            _ => return None,
        };
        Some(RunOutcome::error(ErrorKind::Abandoned, message))
    }

    fn finish(&mut self, outcome: RunOutcome, now: Timestamp) {
        let state = &mut self.state.0;
        debug_assert!(outcome.status.is_final());
        state.status = outcome.status;
        state.score = outcome.score.filter(|_| outcome.error.is_none());
        state.error = outcome.error;
        state.stage = None;
        state.waiting = None;
        state.deadline_paused_at = None;
        state.parked = false;
        state.lease_owner = None;
        state.lease_until = None;
        state.finished_at = Some(now);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0)
}
