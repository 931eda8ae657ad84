//! The aggregate of suites: asked for, read, cancelled.

use super::Stored;
use super::hub::Newest;
use super::rows::{EvaluationRow, EventRow, Frozen, RunRow, SuiteRow, Transcript};
use domain::services::HistoryFilter;
use domain::{
    AgentRef, Counts, RunError, RunId, ScenarioId, ScenarioRef, SpaceId, SuiteId, Timestamp, Turn,
    UserId,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::watch;

/// A run that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The scenario revision.
    pub scenario: ScenarioRef,
    /// Counted from 1.
    pub repetition: u32,
    /// Active time that it may use, in milliseconds.
    pub timeout_ms: u64,
    /// User turns of the script, or the most there can be.
    pub user_turns_planned: u32,
    /// A run whose finished conversation is copied: only judging is left.
    pub source_run_id: Option<RunId>,
    /// Recorded as an error at once (an incompatible pair).
    pub error: Option<RunError>,
}

/// A suite that is asked for, with all of its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSuite {
    /// Its id.
    pub id: SuiteId,
    /// Whose.
    pub space_id: SpaceId,
    /// By whom.
    pub user_id: UserId,
    /// The agent revision.
    pub agent: AgentRef,
    /// The models.
    pub frozen: Frozen,
    /// The most runs at once.
    pub concurrency: u32,
    /// How often each scenario.
    pub repeats: u32,
    /// What somebody wrote about it.
    pub note: String,
    /// The suite that it reruns.
    pub parent_id: Option<SuiteId>,
    /// Its runs, in order.
    pub runs: Vec<NewRun>,
    /// Start beside an unfinished suite over the same scenarios.
    pub allow_parallel: bool,
    /// Most unfinished runs of the user, these included.
    pub queue_per_user: u32,
    /// The key under which the answer is kept.
    pub key: Option<NewKey>,
    /// Now.
    pub at: Timestamp,
}

/// An idempotency key is kept so long.
pub const KEPT_KEYS: Duration = Duration::from_secs(24 * 3600);

/// An idempotency key and the answer that it will give again.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKey {
    /// The path: with the user the key's scope.
    pub path: String,
    /// The key.
    pub key: String,
    /// The parsed request in canonical JSON, for comparing.
    pub request: String,
    /// The answer's body, byte for byte.
    pub response: String,
}

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// Made now.
    New,
    /// The key was used with the same request: its answer.
    Replayed {
        /// The suite.
        suite_id: SuiteId,
        /// The body, byte for byte.
        response: String,
    },
    /// The key was used with another request.
    KeyReused {
        /// The suite of then.
        suite_id: SuiteId,
    },
    /// The agent has an unfinished suite over one of the scenarios.
    AlreadyRunning {
        /// That suite.
        suite_id: SuiteId,
    },
    /// What it is about was deleted meanwhile.
    Gone,
    /// The user's queue is full.
    QueueFull {
        /// Unfinished runs there are.
        unfinished: u32,
    },
}

/// A re-evaluation that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvaluation {
    /// The row to be.
    pub row: EvaluationRow,
    /// The key under which the answer is kept.
    pub key: Option<NewKey>,
}

/// Keyset of a list that goes from new to old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// Created at.
    pub at: Timestamp,
    /// Its id.
    pub id: uuid::Uuid,
}

/// What a cancel did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelOutcome {
    /// Runs whose holder must be told.
    pub held: Vec<RunId>,
}

/// Suites, runs, transcripts, evaluations and events.
#[async_trait]
pub trait SuiteStore: Send + Sync + 'static {
    /// Inserts the suite and all of its runs in one transaction, after the
    /// look at key, unfinished suites and queue in the same transaction. A run
    /// whose source is deleted or being deleted talks for itself.
    async fn create_suite(&self, suite: NewSuite) -> Stored<Created>;
    /// What a key answered before, without creating anything.
    async fn answered(&self, user: UserId, key: &NewKey, now: Timestamp)
    -> Stored<Option<Created>>;
    /// The unfinished suite of this agent over one of these scenarios.
    async fn unfinished_over(
        &self,
        space: SpaceId,
        agent: domain::AgentId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<SuiteId>>;
    /// Inserts a re-evaluation; `AlreadyRunning` while one is unfinished,
    /// `Gone` where its suite is deleted or being deleted.
    async fn create_evaluation(&self, evaluation: NewEvaluation) -> Stored<Created>;

    /// Whether the suite is the space's.
    async fn owns(&self, space: SpaceId, id: SuiteId) -> Stored<bool>;
    /// The suite with its runs, read in one transaction.
    async fn suite(&self, space: SpaceId, id: SuiteId) -> Stored<Option<(SuiteRow, Vec<RunRow>)>>;
    /// Suites from new to old with their counts. A scenario and a kind of error
    /// choose those with a run of both.
    async fn suites(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<(SuiteRow, Counts)>>;
    /// Unfinished suites of a space, oldest first, with counts.
    async fn unfinished(&self, space: SpaceId) -> Stored<Vec<(SuiteRow, Counts)>>;
    /// Runs from new to old.
    async fn runs(
        &self,
        space: SpaceId,
        filter: &HistoryFilter,
        before: Option<Before>,
        limit: u32,
    ) -> Stored<Vec<RunRow>>;
    /// One run.
    async fn run(&self, space: SpaceId, id: RunId) -> Stored<Option<RunRow>>;
    /// What was said.
    async fn transcript(&self, run: RunId) -> Stored<Transcript>;
    /// Judgings, newest first.
    async fn evaluations(&self, run: RunId) -> Stored<Vec<EvaluationRow>>;
    /// Mean duration of the space's latest finished runs of these scenarios, in ms.
    async fn past_duration_ms(
        &self,
        space: SpaceId,
        scenarios: &[ScenarioId],
    ) -> Stored<Option<u64>>;

    /// Asks all runs to stop; those without a holder end at once.
    async fn cancel_suite(
        &self,
        space: SpaceId,
        id: SuiteId,
        now: Timestamp,
    ) -> Stored<Option<CancelOutcome>>;
    /// Asks one run to stop.
    async fn cancel_run(
        &self,
        space: SpaceId,
        id: RunId,
        now: Timestamp,
    ) -> Stored<Option<CancelOutcome>>;

    /// Events after `seq`, in order, each with its turn where it has one. None
    /// of a suite that ended so long ago that its events are deleted.
    async fn events_after(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> Stored<Vec<(i64, EventRow, Option<Turn>)>>;
    /// A receiver woken after each commit of the suite's events.
    fn watch(&self, suite: SuiteId) -> watch::Receiver<Newest>;
}
