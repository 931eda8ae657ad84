//! The aggregate of the queue: claims, leases, commits, recovery. The queue
//! *is* the table of runs.

use super::Stored;
use super::census::Census;
use super::pick::Hold;
use super::rows::{EvaluationRow, RunRow, Transcript};
use super::transition::{Change, Lease};
use domain::{Evaluation, EvaluationId, RunId, Timestamp};
use async_trait::async_trait;
use serde_json::Value;
use std::time::Duration;

/// How a worker claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The worker: one name a process.
    pub owner: String,
    /// The most runs of one user at once.
    pub runs_per_user: u32,
    /// Longest time parked, for the deadline.
    pub max_wait: Duration,
    /// At most so many in this transaction.
    pub most: u32,
    /// Where no run begins now, and no re-evaluation for a while. Those that
    /// have begun are taken up all the same.
    pub holds: Vec<Hold>,
    /// Now.
    pub now: Timestamp,
}

/// What a claimed run works with, as stored: not yet believed to be valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The agent revision's document; `None` if it cannot be read.
    pub agent: Option<Value>,
    /// The scenario revision's document; `None` if it cannot be read.
    pub scenario: Option<Value>,
    /// What was said so far.
    pub transcript: Transcript,
    /// The run's own evaluation, if it was begun.
    pub evaluation: Option<Evaluation>,
}

/// What a heartbeat found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Runs that are still the worker's, with their epochs.
    pub held: Vec<Lease>,
    /// Of these, asked to stop.
    pub cancelled: Vec<RunId>,
    /// Re-evaluations that are still the worker's, with their epochs.
    pub evaluations: Vec<(EvaluationId, u32)>,
}

/// What a reaper did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Taken up again: a holder was gone.
    pub recovered: u32,
    /// Ended: past their deadline, or recovered too often.
    pub ended: u32,
}

/// Claims, leases, commits, recovery.
#[async_trait]
pub trait QueueStore: Send + Sync + 'static {
    /// Takes runs that may work now: begun ones first, users in turn.
    async fn claim(&self, claim: Claim) -> Stored<Vec<RunRow>>;
    /// Reads what a claimed run works with.
    async fn work(&self, run: &RunRow) -> Stored<Work>;
    /// Stores what the holder of a lease did, all or nothing; answers the run
    /// as it is then.
    ///
    /// # Errors
    /// [`super::StoreError::LeaseLost`]: stop at once.
    async fn commit(&self, lease: &Lease, change: Change, now: Timestamp) -> Stored<RunRow>;
    /// Takes the user's slot again after parking; `false` when none is free. Who is
    /// parked and waits for a slot alone has the next free one kept for it.
    async fn unpark(&self, lease: &Lease, runs_per_user: u32, now: Timestamp) -> Stored<bool>;
    /// Gives a run back in good order; one that was to stop ends.
    async fn hand_back(&self, lease: &Lease, now: Timestamp) -> Stored<()>;

    /// Takes re-evaluations that may work now, users in turn.
    async fn claim_evaluations(&self, claim: Claim) -> Stored<Vec<EvaluationRow>>;
    /// Stores what the holder of a re-evaluation found.
    async fn commit_evaluation(
        &self,
        id: EvaluationId,
        attempt: u32,
        view: Evaluation,
        now: Timestamp,
    ) -> Stored<()>;
    /// Reads a run and what it works with, for judging it again.
    async fn work_of(&self, run: RunId) -> Stored<(RunRow, Work)>;
    /// Notes a judge's call of a re-evaluation before it is made.
    ///
    /// # Errors
    /// [`super::StoreError::LeaseLost`]: make no call.
    async fn intend_evaluation(
        &self,
        row: &EvaluationRow,
        call: uuid::Uuid,
        now: Timestamp,
    ) -> Stored<()>;
    /// Gives a re-evaluation back in good order.
    async fn hand_back_evaluation(&self, id: EvaluationId, attempt: u32) -> Stored<()>;

    /// Renews all leases of a worker in one statement.
    async fn heartbeat(&self, owner: &str, now: Timestamp) -> Stored<Heartbeat>;
    /// Frees what lapsed leases hold; ends what is past its deadline, and what
    /// is to stop and held by nobody.
    async fn reap(&self, now: Timestamp) -> Stored<Reaped>;
    /// At boot of the only engine: every run that somebody held is free now.
    async fn take_over(&self, now: Timestamp) -> Stored<Reaped>;
    /// Counts what is unfinished; looks at nothing that is final.
    async fn census(&self) -> Stored<Census>;
}
