//! Rows of runs.

use super::ModelSnapshot;
use crate::transition::{Lease, ReadOnly};
use domain::{
    AgentRef, EndReason, Run, RunError, RunId, RunStatus, ScenarioRef, SpaceId, Stage, SuiteId,
    Timestamp, Usage, UserId, Waiting,
};
use std::ops::Deref;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq)]
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
    pub model_snapshot: ModelSnapshot,
    /// Limit of the active time.
    pub timeout_ms: u64,
    pub user_turns_planned: u32,
    pub created_at: Timestamp,
    pub state: ReadOnly<RunState>,
}

/// The part of a run that [`RunRow::transition`] changes.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    pub status: RunStatus,
    pub stage: Option<Stage>,
    pub waiting: Option<Waiting>,
    /// Since when the run waits for a slot or a rate limit. Meanwhile its deadline does
    /// not pass; when the wait ends, the deadline moves by it.
    pub deadline_paused_at: Option<Timestamp>,
    /// The run gave back its user slot and call slot while it waits.
    pub parked: bool,
    pub score: Option<f64>,
    pub error: Option<RunError>,
    pub end_reason: Option<EndReason>,
    /// Fencing token of every change; see [`Lease`].
    pub lease_epoch: u32,
    pub recoveries: u32,
    /// Recoveries in a row without a new turn or judge reply.
    pub recoveries_without_progress: u32,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
    pub active_ms: u64,
    /// The time waited for rate limits and circuits, also in waits that were too short to
    /// park the run.
    pub waited_ms: u64,
    /// The part of it in waits for open circuits.
    pub circuit_ms: u64,
    pub cancel_requested_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub usage: Usage,
    pub user_turns: u32,
    /// The number of stored turns, which is the index of the next one.
    pub turns: u32,
    /// The session of the conversation with a deployed agent.
    pub session_id: Option<String>,
    /// The call that was sent to a deployed agent and whose outcome is not stored: the
    /// agent may have acted on it.
    pub unconfirmed_call: Option<Uuid>,
}

impl Deref for RunRow {
    type Target = RunState;

    fn deref(&self) -> &RunState {
        &self.state
    }
}

impl RunRow {
    /// The current lease.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease { run_id: self.id, lease_epoch: self.lease_epoch }
    }

    /// What the run waits for, as far as the store knows.
    #[must_use]
    pub fn waits(&self) -> Option<Waiting> {
        let queued = self.status == RunStatus::Pending;
        self.waiting.or(queued.then_some(Waiting::SLOT))
    }

    /// The run of pages and API, without transcript and evaluations.
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
            lease_epoch: self.lease_epoch,
            recoveries: self.recoveries,
            deadline_at: self.deadline_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            duration_ms: self.started_at.zip(self.finished_at).map(|(start, end)| {
                u64::try_from(end.since(start).as_millis()).unwrap_or(u64::MAX)
            }),
            usage: self.usage.with_cost_usd(),
            user_turns: self.user_turns,
            user_turns_planned: self.user_turns_planned,
            transcript: None,
            evaluations: None,
        }
    }
}
