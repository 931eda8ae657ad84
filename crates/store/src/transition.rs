//! How a run changes: an enum of everything that can happen to one, and one
//! `match` that says what becomes of it. No other code sets a status.

use super::rows::{CallDone, EventRow, Intent, RunRow};
use domain::{
    EndReason, ErrorKind, Evaluation, RunError, RunStatus, Speaker, Stage, Timestamp, Turn, Usage,
    Waiting,
};
use std::time::Duration;

/// How long a lease holds without a heartbeat.
pub const LEASE: Duration = Duration::from_secs(30);
/// What is added to the deadline for judging.
pub const JUDGING: Duration = Duration::from_secs(180);
/// After so many recoveries in a row without a new turn a run is given up.
pub const MOST_RECOVERIES: u32 = 3;
/// A run that nobody begins for so long is given up.
pub const LONGEST_PENDING: Duration = Duration::from_secs(24 * 3600);

/// Who holds a run, and at which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run_id: domain::RunId,
    /// The epoch.
    pub attempt: u32,
}

/// A final status and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Final {
    /// One of the final statuses.
    pub status: RunStatus,
    /// The computed score; only with a verdict.
    pub score: Option<f64>,
    /// Only with `error`.
    pub error: Option<RunError>,
}

impl Final {
    /// Ended as an error.
    pub fn error(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status: RunStatus::Error, score: None, error: Some(RunError::new(kind, message)) }
    }

    /// Stopped by somebody.
    #[must_use]
    pub fn cancelled() -> Self {
        Self { status: RunStatus::Cancelled, score: None, error: None }
    }
}

/// What the holder of a lease commits, all of it in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Appended to the transcript; their indices follow on.
    pub turns: Vec<Turn>,
    /// Calls that came back.
    pub calls_done: Vec<CallDone>,
    /// Calls that are made next.
    pub intents: Vec<Intent>,
    /// The conversation is over.
    pub end_reason: Option<EndReason>,
    /// A new stage.
    pub stage: Option<Stage>,
    /// Waits, or waits no more.
    pub waiting: Option<Option<Waiting>>,
    /// Gives back its slots, or has them again.
    pub parked: Option<bool>,
    /// Active time used since the last change.
    pub active: Duration,
    /// Time parked since the last change.
    pub parked_time: Duration,
    /// The part of it behind open circuits.
    pub circuit_time: Duration,
    /// What all calls used so far.
    pub usage: Option<Usage>,
    /// The run's own evaluation as it is now.
    pub evaluation: Option<Box<Evaluation>>,
    /// The end.
    pub finish: Option<Final>,
}

/// Everything that can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// A worker takes it: begins it, or takes it up again.
    Claim {
        /// The worker.
        owner: String,
        /// Longest time parked, for the deadline.
        max_wait: Duration,
    },
    /// The holder of the lease commits something.
    Commit {
        /// The epoch at which it claimed.
        attempt: u32,
        /// What.
        change: Box<Change>,
    },
    /// The holder gives it back in good order (shutdown); it ends if it was to
    /// stop.
    HandBack {
        /// The epoch at which it claimed.
        attempt: u32,
    },
    /// Its holder is gone.
    Recover,
    /// Somebody wants it stopped.
    Cancel,
    /// Its deadline is past, or it was never begun.
    Expire,
}

/// Why nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is final, or somebody else's by now.
    LeaseLost,
    /// It does not apply to this state; nothing is wrong.
    NotNow,
}

/// Changes `run` and says what to tell. The caller stores both, together, or
/// neither.
///
/// # Errors
/// [`Refused`]: the run is untouched.
pub fn transition(
    run: &mut RunRow,
    what: Transition,
    now: Timestamp,
) -> Result<Vec<EventRow>, Refused> {
    if run.status.is_final() {
        return Err(Refused::LeaseLost);
    }
    match what {
        Transition::Claim { owner, max_wait } => {
            if run.lease_owner.is_some() {
                return Err(Refused::NotNow);
            }
            claim(run, owner, max_wait, now);
            Ok(vec![told(run)])
        }
        Transition::Commit { attempt, change } => {
            if run.status != RunStatus::Running
                || run.attempt != attempt
                || run.lease_owner.is_none()
            {
                return Err(Refused::LeaseLost);
            }
            Ok(commit(run, *change, now))
        }
        Transition::HandBack { attempt } => {
            if run.status != RunStatus::Running
                || run.attempt != attempt
                || run.lease_owner.is_none()
            {
                return Err(Refused::LeaseLost);
            }
            release(run);
            if run.cancel_requested_at.is_some() {
                // Nobody would take it up to end it.
                end(run, Final::cancelled(), now);
            }
            Ok(vec![told(run)])
        }
        Transition::Recover => {
            if run.status != RunStatus::Running || run.lease_owner.is_none() {
                return Err(Refused::NotNow);
            }
            release(run);
            recover(run, now);
            Ok(vec![told(run)])
        }
        Transition::Cancel => {
            run.cancel_requested_at.get_or_insert(now);
            if run.lease_owner.is_some() {
                // Its holder drops the call and ends it within a second.
                return Ok(Vec::new());
            }
            run.attempt += 1;
            end(run, Final::cancelled(), now);
            Ok(vec![told(run)])
        }
        Transition::Expire => {
            let Some(finish) = expired(run, now) else { return Err(Refused::NotNow) };
            release(run);
            end(run, finish, now);
            Ok(vec![told(run)])
        }
    }
}

fn claim(run: &mut RunRow, owner: String, max_wait: Duration, now: Timestamp) {
    run.attempt += 1;
    run.lease_owner = Some(owner);
    run.lease_until = Some(now.plus(LEASE));
    run.waiting = None;
    run.parked = false;
    if run.status == RunStatus::Pending {
        run.status = RunStatus::Running;
        run.started_at = Some(now);
        let active = Duration::from_millis(run.timeout_ms);
        run.deadline_at = Some(now.plus(active + max_wait + JUDGING));
    }
    let talking = run.end_reason.is_none();
    run.stage = Some(if talking { Stage::Conversing } else { Stage::Evaluating });
}

fn commit(run: &mut RunRow, change: Change, now: Timestamp) -> Vec<EventRow> {
    let mut events = Vec::new();
    let mut tell = false;
    for _turn in &change.turns {
        events.push(EventRow::Turn { run_id: run.id, index: run.turns });
        run.turns += 1;
        run.stalled = 0;
    }
    let said = change.turns.iter().filter(|turn| turn.speaker == Speaker::User).count();
    run.user_turns += u32::try_from(said).unwrap_or(0);
    if change.evaluation.as_ref().is_some_and(|evaluation| evaluation.raw_reply.is_some()) {
        run.stalled = 0;
    }
    run.active_ms += u64::try_from(change.active.as_millis()).unwrap_or(0);
    run.parked_ms += u64::try_from(change.parked_time.as_millis()).unwrap_or(0);
    run.circuit_ms += u64::try_from(change.circuit_time.as_millis()).unwrap_or(0);
    if let Some(usage) = change.usage {
        run.usage = usage;
    }
    if let Some(reason) = change.end_reason {
        run.end_reason = Some(reason);
        run.stage = Some(Stage::Evaluating);
        tell = true;
    }
    if let Some(stage) = change.stage {
        run.stage = Some(stage);
        tell = true;
    }
    if let Some(parked) = change.parked {
        run.parked = parked;
    }
    if let Some(waiting) = change.waiting {
        tell |= run.waiting != waiting;
        run.waiting = waiting;
    }
    if let Some(finish) = change.finish {
        end(run, finish, now);
        tell = true;
    }
    if tell {
        events.push(told(run));
    }
    events
}

/// Nobody holds it any more; whoever did has lost it.
fn release(run: &mut RunRow) {
    run.attempt += 1;
    run.lease_owner = None;
    run.lease_until = None;
    run.parked = false;
    run.waiting = None;
}

fn recover(run: &mut RunRow, now: Timestamp) {
    if run.cancel_requested_at.is_some() {
        end(run, Final::cancelled(), now);
    } else if let Some(finish) = expired(run, now) {
        end(run, finish, now);
    } else if run.stalled >= MOST_RECOVERIES {
        let message = format!(
            "Taken up again {MOST_RECOVERIES} times without getting further: it seems to take its server down."
        );
        end(run, Final::error(ErrorKind::Abandoned, message), now);
    } else {
        run.recoveries += 1;
        run.stalled += 1;
    }
}

fn expired(run: &RunRow, now: Timestamp) -> Option<Final> {
    match run.status {
        RunStatus::Pending if now.since(run.created_at) >= LONGEST_PENDING => {
            let message = "It waited for 24 hours without being begun. Run it again.";
            Some(Final::error(ErrorKind::Abandoned, message))
        }
        RunStatus::Running if run.deadline_at.is_some_and(|deadline| deadline <= now) => {
            let message = "No server was there to finish it before its deadline. Run it again.";
            Some(Final::error(ErrorKind::Abandoned, message))
        }
        _ => None,
    }
}

/// The only place where a run becomes final.
fn end(run: &mut RunRow, finish: Final, now: Timestamp) {
    debug_assert!(finish.status.is_final());
    run.status = finish.status;
    run.score = finish.score.filter(|_| finish.error.is_none());
    run.error = finish.error;
    run.stage = None;
    run.waiting = None;
    run.parked = false;
    run.lease_owner = None;
    run.lease_until = None;
    run.finished_at = Some(now);
}

fn told(run: &RunRow) -> EventRow {
    EventRow::Run(Box::new(run.view()))
}
