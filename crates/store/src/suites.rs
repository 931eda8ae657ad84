//! Suites with their runs, transcripts, evaluations and events.

use super::StoreResult;
use super::event_notifier::LatestEvent;
use super::rows::{EvaluationRow, EventRow, ModelSnapshot, RunRow, SuiteRow, Transcript};
use super::spending::{SpendingStore, SuiteBudget};
use async_trait::async_trait;
use domain::services::HistoryFilter;
use domain::{
    AgentRef, Counts, ProfileRef, RunError, RunId, ScenarioId, ScenarioRef, SpaceId, SuiteId,
    Timestamp, Turn, UserId,
};
use std::time::Duration;
use tokio::sync::watch;

#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    pub id: RunId,
    pub scenario: ScenarioRef,
    /// Counted from 1.
    pub repetition: u32,
    /// Limit of the active time.
    pub timeout_ms: u64,
    /// The number of user turns of the script, or their limit.
    pub user_turns_planned: u32,
    /// A run whose conversation is copied. An unfinished one is continued; of a finished one
    /// only the evaluation is left.
    pub source_run_id: Option<RunId>,
    /// The run ends with this error at once (an incompatible pair).
    pub error: Option<RunError>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewSuite {
    pub id: SuiteId,
    pub space_id: SpaceId,
    pub user_id: UserId,
    pub agent: AgentRef,
    pub model_snapshot: ModelSnapshot,
    /// The test profile with the values of the variables.
    pub profile: Option<ProfileRef>,
    /// The time for which the date and time variables stand; `None` if the texts are used
    /// as they are.
    pub variables_at: Option<Timestamp>,
    /// The limit of started runs.
    pub concurrency: u32,
    pub repeats: u32,
    pub note: String,
    /// The suite that this one reruns.
    pub parent_id: Option<SuiteId>,
    /// If it re-runs a part of a suite, the number of runs of the whole.
    pub part_of: Option<u32>,
    /// In the order of their positions.
    pub runs: Vec<NewRun>,
    /// Allows another unfinished suite of the agent over the same scenarios.
    pub allow_parallel: bool,
    /// The limit of unfinished runs of the user, with those of this suite.
    pub queue_per_user: u32,
    pub key: Option<IdempotencyRecord>,
    pub budget: SuiteBudget,
    pub at: Timestamp,
}

pub const IDEMPOTENCY_KEY_TTL: Duration = Duration::from_secs(24 * 3600);

/// A used idempotency key, with the request and the response to replay.
#[derive(Clone, Debug, PartialEq)]
pub struct IdempotencyRecord {
    /// The request path. A key is valid for one user and path.
    pub path: String,
    pub key: String,
    /// The parsed request in canonical JSON, for comparison.
    pub request: String,
    /// The response body, byte for byte.
    pub response: String,
}

/// The outcome of a request that creates a suite or a rejudge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    New,
    /// The key was used with the same request.
    Replayed {
        suite_id: SuiteId,
        /// The response body, byte for byte.
        response: String,
    },
    /// The key was used with a different request.
    KeyReused {
        suite_id: SuiteId,
    },
    /// An unfinished suite of the agent has one of the scenarios, or the run has
    /// an unfinished evaluation.
    AlreadyRunning {
        suite_id: SuiteId,
    },
    /// The run was deleted.
    Gone,
    QueueFull {
        /// The user's unfinished runs.
        unfinished: u32,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewRejudge {
    pub row: EvaluationRow,
    pub key: Option<IdempotencyRecord>,
}

/// Keyset cursor of a list in the order newest first: the last row of the
/// previous page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeCursor {
    pub at: Timestamp,
    pub id: uuid::Uuid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelOutcome {
    /// Canceled runs that a worker still holds: the engine must stop them.
    pub leased_runs: Vec<RunId>,
}

#[async_trait]
pub trait SuiteStore: SpendingStore {
    /// Inserts the suite with all of its runs. Checks the key, unfinished suites
    /// and the queue limit in the same transaction. A run whose source was
    /// deleted has its own conversation instead.
    async fn create_suite(&self, suite: NewSuite) -> StoreResult<CreateOutcome>;
    /// The outcome of an earlier request with this key.
    async fn find_replay(
        &self,
        user: UserId,
        key: &IdempotencyRecord,
        now: Timestamp,
    ) -> StoreResult<Option<CreateOutcome>>;
    /// An unfinished suite of this agent over one of these scenarios.
    async fn find_unfinished_suite(
        &self,
        space: SpaceId,
        agent: domain::AgentId,
        scenarios: &[ScenarioId],
    ) -> StoreResult<Option<SuiteId>>;
    /// Inserts a rejudge, unless another evaluation of the run is
    /// unfinished or the run was deleted.
    async fn create_rejudge(&self, evaluation: NewRejudge) -> StoreResult<CreateOutcome>;

    /// The bytes of all transcripts and rejudges of the space.
    async fn stored_bytes(&self, space: SpaceId) -> StoreResult<u64>;
    /// Whether the suite exists in the space.
    async fn owns(&self, space: SpaceId, id: SuiteId) -> StoreResult<bool>;
    /// The suite and its runs in one consistent read.
    async fn suite(
        &self,
        space: SpaceId,
        id: SuiteId,
    ) -> StoreResult<Option<(SuiteRow, Vec<RunRow>)>>;
    /// Suites, newest first. The scenario and the error kind of the filter select
    /// suites with a run that has both.
    async fn suites(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<TimeCursor>,
        limit: u32,
    ) -> StoreResult<Vec<(SuiteRow, Counts)>>;
    /// Unfinished suites, oldest first.
    async fn unfinished_suites(&self, space: SpaceId) -> StoreResult<Vec<(SuiteRow, Counts)>>;
    /// Runs, newest first.
    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<TimeCursor>,
        limit: u32,
    ) -> StoreResult<Vec<RunRow>>;
    async fn run(&self, space: SpaceId, id: RunId) -> StoreResult<Option<RunRow>>;
    async fn transcript(&self, run: RunId) -> StoreResult<Transcript>;
    /// Evaluations of a run, newest first.
    async fn evaluations(&self, run: RunId) -> StoreResult<Vec<EvaluationRow>>;
    /// The mean duration of the space's recent runs of these scenarios that have
    /// a verdict.
    async fn mean_run_duration_ms(
        &self,
        space: SpaceId,
        scenarios: &[ScenarioId],
    ) -> StoreResult<Option<u64>>;

    /// Cancels all unfinished runs; `None` if the suite is final. Runs without a
    /// lease holder end at once.
    async fn cancel_suite(
        &self,
        space: SpaceId,
        id: SuiteId,
        now: Timestamp,
    ) -> StoreResult<Option<CancelOutcome>>;
    /// Cancels one run; `None` if it is final.
    async fn cancel_run(
        &self,
        space: SpaceId,
        id: RunId,
        now: Timestamp,
    ) -> StoreResult<Option<CancelOutcome>>;

    /// Events after `seq`, in order; turn events with their turn, whose provider state may be
    /// missing. Empty if events of the suite were deleted.
    async fn events_after(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> StoreResult<Vec<(i64, EventRow, Option<Turn>)>>;
    /// A receiver that is woken after each commit of the suite's events.
    fn watch(&self, suite: SuiteId) -> watch::Receiver<LatestEvent>;
}
