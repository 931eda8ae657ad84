//! What the tables of suites and runs hold, the same for every store.

use super::suites::{NewRun, NewSuite};
use domain::{
    AgentRef, ConnectionId, Counts, EndReason, Evaluation, EvaluationId, Finished, Run, RunError,
    RunId, RunStatus, ScenarioRef, SpaceId, Stage, Suite, SuiteId, SuiteProgress, SuiteStatus,
    Timestamp, Turn, Usage, UserId, Waiting, pass_rate,
};
use serde::{Deserialize, Serialize};

/// A model and the connection that reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The model's name there.
    pub model: String,
}

/// What is frozen when a suite is queued, so that later edits change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The model under test.
    pub agent: ModelRef,
    /// The model that judges.
    pub judge: ModelRef,
    /// The model that plays users and invents tool results.
    pub simulated_user: ModelRef,
    /// Which of them the suite asked for itself.
    #[serde(default)]
    pub own: OwnModels,
}

/// Which models a suite asked for itself: running it again keeps those, and
/// takes all others from the settings of that day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnModels {
    /// The judge.
    pub judge: bool,
    /// The simulated user.
    pub simulated_user: bool,
}

impl Frozen {
    /// One model in every role, and none that the suite asked for itself.
    #[must_use]
    pub fn all(model: &ModelRef) -> Self {
        let model = || model.clone();
        let own = OwnModels::default();
        Self { agent: model(), judge: model(), simulated_user: model(), own }
    }

    /// In the place of what cannot be read: models that nobody reaches.
    pub fn unreadable() -> Self {
        let nobody =
            ModelRef { connection_id: ConnectionId(uuid::Uuid::nil()), model: String::new() };
        Self::all(&nobody)
    }
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // as in `domain::Run`, unless said otherwise
pub struct RunRow {
    pub id: RunId,
    pub suite_id: SuiteId,
    pub space_id: SpaceId,
    pub user_id: UserId,
    pub agent: AgentRef,
    pub scenario: ScenarioRef,
    pub repetition: u32,
    /// Order within the suite.
    pub position: u32,
    pub source_run_id: Option<RunId>,
    pub frozen: Frozen,
    /// Active time that it may use.
    pub timeout_ms: u64,
    pub user_turns_planned: u32,

    pub status: RunStatus,
    pub stage: Option<Stage>,
    pub waiting: Option<Waiting>,
    /// Gave back its user and call slots while it waits.
    pub parked: bool,
    pub score: Option<f64>,
    pub error: Option<RunError>,
    pub end_reason: Option<EndReason>,
    /// Lease epoch: the fencing token of every change.
    pub attempt: u32,
    pub recoveries: u32,
    /// Recoveries in a row without a newly committed turn.
    pub stalled: u32,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
    /// Active time used.
    pub active_ms: u64,
    /// Time parked.
    pub parked_ms: u64,
    /// The part of it behind open circuits.
    pub circuit_ms: u64,
    pub cancel_requested_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub usage: Usage,
    pub user_turns: u32,
    /// Turns stored; the index of the next one.
    pub turns: u32,
}

impl RunRow {
    /// A run the moment it is asked for.
    #[must_use]
    pub fn fresh(new: &NewSuite, run: &NewRun, position: u32) -> Self {
        Self {
            id: run.id,
            suite_id: new.id,
            space_id: new.space_id,
            user_id: new.user_id,
            agent: new.agent.clone(),
            scenario: run.scenario.clone(),
            repetition: run.repetition,
            position,
            source_run_id: run.source_run_id,
            frozen: new.frozen.clone(),
            timeout_ms: run.timeout_ms,
            user_turns_planned: run.user_turns_planned,
            status: if run.error.is_some() { RunStatus::Error } else { RunStatus::Pending },
            stage: None,
            waiting: None,
            parked: false,
            score: None,
            error: run.error.clone(),
            end_reason: None,
            attempt: 0,
            recoveries: 0,
            stalled: 0,
            lease_owner: None,
            lease_until: None,
            deadline_at: None,
            active_ms: 0,
            parked_ms: 0,
            circuit_ms: 0,
            cancel_requested_at: None,
            created_at: new.at,
            started_at: None,
            finished_at: run.error.is_some().then_some(new.at),
            usage: Usage::default(),
            user_turns: 0,
            turns: 0,
        }
    }

    /// What it waits for, as far as the row knows.
    #[must_use]
    pub fn waits(&self) -> Option<Waiting> {
        let queued = self.status == RunStatus::Pending;
        self.waiting.or(queued.then_some(Waiting::SLOT))
    }

    /// As pages and API show it, without transcript and evaluations.
    #[must_use]
    pub fn view(&self) -> Run {
        Run {
            id: self.id,
            suite_id: self.suite_id,
            agent: self.agent.clone(),
            scenario: self.scenario.clone(),
            repetition: self.repetition,
            source_run_id: self.source_run_id,
            status: self.status,
            stage: self.stage,
            waiting_on: self.waits(),
            passed: self.status.passed(),
            score: self.score,
            error: self.error.clone(),
            end_reason: self.end_reason,
            attempt: self.attempt,
            recoveries: self.recoveries,
            deadline_at: self.deadline_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            duration_ms: self.started_at.zip(self.finished_at).map(|(start, end)| {
                u64::try_from(end.since(start).as_millis()).unwrap_or(u64::MAX)
            }),
            usage: self.usage,
            user_turns: self.user_turns,
            user_turns_planned: self.user_turns_planned,
            transcript: None,
            evaluations: None,
        }
    }
}

/// A suite as it is stored.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // as in `domain::Suite`, unless said otherwise
pub struct SuiteRow {
    pub id: SuiteId,
    pub space_id: SpaceId,
    pub user_id: UserId,
    pub agent: AgentRef,
    pub status: SuiteStatus,
    pub total: u32,
    pub concurrency: u32,
    pub repeats: u32,
    pub parent_id: Option<SuiteId>,
    pub note: String,
    /// The last event's number.
    pub seq: i64,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub cancel_requested_at: Option<Timestamp>,
}

impl SuiteRow {
    /// As pages and API show it.
    #[must_use]
    pub fn view(&self, counts: Counts, eta_seconds: Option<u32>, runs: Option<Vec<Run>>) -> Suite {
        Suite {
            id: self.id,
            agent: self.agent.clone(),
            status: self.status,
            total: self.total,
            counts,
            pass_rate: pass_rate(&counts),
            progress: SuiteProgress { done: counts.done(), total: self.total, eta_seconds },
            concurrency: self.concurrency,
            repeats: self.repeats,
            parent_id: self.parent_id,
            note: self.note.clone(),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            cancel_requested_at: self.cancel_requested_at,
            runs,
        }
    }
}

/// Which model a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The agent under test.
    Agent,
    /// The simulated user, or a tool result that it invents.
    SimulatedUser,
    /// The judge.
    Judge,
}

impl Role {
    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::SimulatedUser => "simulated_user",
            Self::Judge => "judge",
        }
    }
}

/// That a call is about to be made: stored before it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its id, sent along with the call.
    pub id: uuid::Uuid,
    /// Which model is asked.
    pub role: Role,
    /// The number of turns that stood when it was decided.
    pub turn: u32,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDone {
    /// The intent.
    pub id: uuid::Uuid,
    /// `ok`, or the kind of error.
    pub outcome: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// Milliseconds of the successful attempt.
    pub latency_ms: Option<u32>,
}

/// An evaluation as it is stored: what is shown, and its lease when it stands
/// for itself (a re-evaluation).
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // as in `RunRow`
pub struct EvaluationRow {
    pub run_id: RunId,
    pub suite_id: SuiteId,
    pub space_id: SpaceId,
    pub user_id: UserId,
    pub judge: ModelRef,
    /// What is shown.
    pub view: Evaluation,
    pub attempt: u32,
    pub recoveries: u32,
    pub stalled: u32,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
}

impl EvaluationRow {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> EvaluationId {
        self.view.id
    }
}

/// What an event tells, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum EventRow {
    /// A run changed: how it looked then.
    Run(Box<Run>),
    /// A turn was stored: read from the transcript when the event is read.
    Turn {
        /// The run.
        run_id: RunId,
        /// The turn's index.
        index: u32,
    },
    /// The suite is final.
    Finished(Finished),
}

/// Turns of one run, in order.
pub type Transcript = Vec<Turn>;
