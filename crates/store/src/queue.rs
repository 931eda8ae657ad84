//! The queue: claims, leases, commits and recovery. It is the table of runs;
//! rejudges have a queue of their own.

use super::StoreResult;
use super::queue_stats::QueueStats;
use super::rows::{EvaluationRow, RunRow, Transcript};
use super::schedule::{AdmissionLimit, Capacity};
use super::spending::SpendingStore;
use super::transition::{Lease, RunChange};
use async_trait::async_trait;
use domain::{
    ConnectionId, Evaluation, EvaluationId, ProfileId, RunId, RunStatus, SpaceId, Timestamp, UserId,
};
use serde_json::Value;
use std::time::Duration;

/// A worker's request for runs or rejudges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The worker's name, unique per process.
    pub owner: String,
    /// The limit of active runs of one user.
    pub runs_per_user: u32,
    /// `max_wait` of the engine's settings; extends the deadline.
    pub max_wait: Duration,
    /// The limit of rows in this transaction.
    pub most: u32,
    /// Limits on new runs. New rejudges wait for these limits too, at most `max_wait` after
    /// their request. They do not apply to orphaned runs.
    pub admission_limits: Vec<AdmissionLimit>,
    /// How many runs the possible calls can serve. Orphaned runs are claimed
    /// nevertheless.
    pub capacity: Capacity,
    pub now: Timestamp,
}

/// The stored, not yet validated data that a worker needs for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInput {
    /// The document of the agent revision; `None` if it cannot be read.
    pub agent: Option<Value>,
    /// The document of the scenario revision; `None` if it cannot be read.
    pub scenario: Option<Value>,
    /// The variables of the suite; `None` if its texts are used as they are.
    pub variables: Option<StoredVariables>,
    pub transcript: Transcript,
    /// The run's first evaluation, once it started.
    pub evaluation: Option<Evaluation>,
}

/// The variables with which a suite was started.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredVariables {
    /// The time for which the date and time variables stand.
    pub at: Timestamp,
    pub profile: Option<StoredProfile>,
}

/// The revision of the test profile with which a suite was started.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredProfile {
    pub space_id: SpaceId,
    pub id: ProfileId,
    /// The document; `None` if it cannot be read.
    pub document: Option<Value>,
    /// The secret values by name, encrypted.
    pub secrets: Option<Vec<u8>>,
}

/// What a worker still holds after a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    pub leases: Vec<Lease>,
    /// Leased runs with a cancel request.
    pub cancel_requested: Vec<RunId>,
    /// Leased rejudges with their lease epochs.
    pub rejudges: Vec<(EvaluationId, u32)>,
}

/// The number of runs that the reaper or the recovery at boot changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverySummary {
    /// Back in the queue.
    pub recovered: u32,
    /// Ended: past the deadline, canceled, or recovered too often.
    pub ended: u32,
}

/// Where the calls of a user fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutageKey {
    pub user_id: UserId,
    pub connection_id: ConnectionId,
    /// `None` for all models of the connection.
    pub model: Option<String>,
}

/// A connection, or one model of it, on which the calls of a user fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    pub key: OutageKey,
    /// No call has succeeded since.
    pub began_at: Timestamp,
}

/// Pending runs of a user that give up, because their connection fails for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveUp {
    /// The failing connection or model, which is the model under test of these runs.
    pub key: OutageKey,
    /// Runs that were created later wait on.
    pub created_until: Timestamp,
    /// The message of their error.
    pub message: String,
}

impl GiveUp {
    /// Whether a run gives up.
    #[must_use]
    pub fn applies_to(&self, run: &RunRow) -> bool {
        let (key, agent) = (&self.key, &run.model_snapshot.agent);
        run.status == RunStatus::Pending
            && run.user_id == key.user_id
            && agent.connection_id == key.connection_id
            && key.model.as_ref().is_none_or(|model| *model == agent.model)
            && run.created_at <= self.created_until
    }
}

#[async_trait]
pub trait QueueStore: SpendingStore {
    /// Leases the runs that start next (see [`schedule`](super::schedule)).
    async fn claim(&self, claim: Claim) -> StoreResult<Vec<RunRow>>;
    async fn run_input(&self, run: &RunRow) -> StoreResult<RunInput>;
    /// Stores a change of the lease holder in one transaction and returns the
    /// run after it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](super::StoreError::LeaseLost): nothing was stored.
    async fn commit(&self, lease: &Lease, change: RunChange, now: Timestamp)
    -> StoreResult<RunRow>;
    /// Ends the parking of a run; `false` while all slots of its user are taken.
    /// The schedule reserves the next free slots for parked runs that wait for one.
    async fn reacquire_user_slot(
        &self,
        lease: &Lease,
        runs_per_user: u32,
        now: Timestamp,
    ) -> StoreResult<bool>;
    /// Gives the lease back. A run with a cancel request ends.
    async fn release(&self, lease: &Lease, now: Timestamp) -> StoreResult<()>;

    /// Leases pending rejudges; users take turns.
    async fn claim_rejudges(&self, claim: Claim) -> StoreResult<Vec<EvaluationRow>>;
    /// Stores the result of a rejudge so far, or the final one. Returns the rejudge after it.
    async fn commit_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        evaluation: Evaluation,
        now: Timestamp,
    ) -> StoreResult<EvaluationRow>;
    /// Stores that a rejudge waits for a call slot, or no longer: its deadline stands still.
    async fn store_rejudge_wait(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        waits: bool,
        now: Timestamp,
    ) -> StoreResult<()>;
    /// A run and its input, for a rejudge.
    async fn run_with_input(&self, run: RunId) -> StoreResult<(RunRow, RunInput)>;
    /// Stores the intent of a judge call before the call starts.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](super::StoreError::LeaseLost): the call must not start.
    async fn record_judge_call(
        &self,
        row: &EvaluationRow,
        call: uuid::Uuid,
        now: Timestamp,
    ) -> StoreResult<()>;
    async fn release_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// Renews all leases of a worker.
    async fn heartbeat(&self, owner: &str, now: Timestamp) -> StoreResult<Heartbeat>;
    /// Recovers expired leases, and ends runs past their deadline and canceled
    /// runs without a lease holder.
    async fn reap(&self, now: Timestamp) -> StoreResult<RecoverySummary>;
    /// Recovers all leases, because the only engine starts.
    async fn recover_at_boot(&self, now: Timestamp) -> StoreResult<RecoverySummary>;
    /// The stored outages.
    async fn outages(&self) -> StoreResult<Vec<Outage>>;
    /// Stores outages, and deletes those that ended.
    async fn save_outages(&self, began: Vec<Outage>, ended: Vec<OutageKey>) -> StoreResult<()>;
    /// Ends pending runs as `circuit_open`, together. Returns their number.
    async fn give_up_pending(&self, give_up: GiveUp, now: Timestamp) -> StoreResult<u32>;
    async fn queue_stats(&self) -> StoreResult<QueueStats>;
}
