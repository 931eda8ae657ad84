//! Rows of runs.

use crate::cell::{Cell, RowReader};
use domain::{AgentRef, EndReason, ErrorKind, RunError, RunStatus, ScenarioRef, Stage};
use store::rows::{ModelSnapshot, RunRow, RunState};
use store::transition::ReadOnly;
use store::{StoreError, StoreResult};

/// A run, with the columns of its suite that it needs.
#[derive(sqlx::FromRow)]
pub(crate) struct RawRun {
    pub(crate) id: Cell<Vec<u8>>,
    pub(crate) suite_id: Cell<Vec<u8>>,
    pub(crate) space_id: Cell<Vec<u8>>,
    pub(crate) user_id: Cell<Vec<u8>>,
    pub(crate) agent_id: Cell<Vec<u8>>,
    pub(crate) agent_revision: Cell<i64>,
    pub(crate) agent_name: Cell<String>,
    pub(crate) scenario_id: Cell<Vec<u8>>,
    pub(crate) scenario_revision: Cell<i64>,
    pub(crate) scenario_name: Cell<String>,
    pub(crate) repetition: Cell<i64>,
    pub(crate) position: Cell<i64>,
    pub(crate) source_run_id: Option<Cell<Vec<u8>>>,
    pub(crate) model_snapshot: Cell<String>,
    pub(crate) timeout_ms: Cell<i64>,
    pub(crate) user_turns_planned: Cell<i64>,
    pub(crate) status: Cell<String>,
    pub(crate) stage: Option<Cell<String>>,
    pub(crate) waiting: Option<Cell<String>>,
    pub(crate) parked: Cell<i64>,
    pub(crate) score: Option<Cell<f64>>,
    pub(crate) error_kind: Option<Cell<String>>,
    pub(crate) error_message: Option<Cell<String>>,
    pub(crate) end_reason: Option<Cell<String>>,
    pub(crate) lease_epoch: Cell<i64>,
    pub(crate) recoveries: Cell<i64>,
    pub(crate) recoveries_without_progress: Cell<i64>,
    pub(crate) lease_owner: Option<Cell<String>>,
    pub(crate) lease_until: Option<Cell<i64>>,
    pub(crate) deadline_at: Option<Cell<i64>>,
    pub(crate) deadline_paused_at: Option<Cell<i64>>,
    pub(crate) active_ms: Cell<i64>,
    pub(crate) parked_ms: Cell<i64>,
    pub(crate) circuit_ms: Cell<i64>,
    pub(crate) cancel_requested_at: Option<Cell<i64>>,
    pub(crate) created_at: Cell<i64>,
    pub(crate) started_at: Option<Cell<i64>>,
    pub(crate) finished_at: Option<Cell<i64>>,
    pub(crate) usage: Cell<String>,
    pub(crate) user_turns: Cell<i64>,
    pub(crate) turns: Cell<i64>,
    pub(crate) session_id: Option<Cell<String>>,
    pub(crate) unconfirmed_call: Option<Cell<Vec<u8>>>,
}

/// Runs with the columns of their suite. `r.*` selects every column of the table: the
/// statement does not compile when [`RawRun`] and the table differ.
macro_rules! select_runs {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            $crate::rows::RawRun,
            "SELECT r.*, s.agent_name, s.model_snapshot \
             FROM runs r JOIN suites s ON s.id = r.suite_id " + $tail
            $(, $argument)*
        )
    };
}
pub(crate) use select_runs;

impl RawRun {
    pub(crate) fn read(self) -> StoreResult<RunRow> {
        let row = RowReader::new("runs", &self.id);
        let status = row.parse("status", self.status, RunStatus::parse)?;
        let error_message: Option<String> = row.optional("error_message", self.error_message)?;
        let error = row
            .optional_parse("error_kind", self.error_kind, ErrorKind::parse)?
            .map(|kind| RunError::new(kind, error_message.unwrap_or_default()));
        let suite = RowReader::new("suites", &self.suite_id);
        Ok(RunRow {
            id: row.get("id", self.id.clone())?,
            suite_id: row.get("suite_id", self.suite_id.clone())?,
            space_id: row.get("space_id", self.space_id)?,
            user_id: row.get("user_id", self.user_id)?,
            agent: AgentRef {
                id: row.get("agent_id", self.agent_id)?,
                revision: row.get("agent_revision", self.agent_revision)?,
                name: suite.get("agent_name", self.agent_name)?,
            },
            scenario: ScenarioRef {
                id: row.get("scenario_id", self.scenario_id)?,
                revision: row.get("scenario_revision", self.scenario_revision)?,
                name: row.get("scenario_name", self.scenario_name)?,
            },
            repetition: row.get("repetition", self.repetition)?,
            position: row.get("position", self.position)?,
            source_run_id: row.optional("source_run_id", self.source_run_id)?,
            model_snapshot: match suite.json("model_snapshot", self.model_snapshot) {
                // A final run calls no model, so pages can show it nevertheless.
                Err(StoreError::Corrupt { .. }) if status.is_final() => ModelSnapshot::unreadable(),
                snapshot => snapshot?,
            },
            timeout_ms: row.millis("timeout_ms", self.timeout_ms)?,
            user_turns_planned: row.get("user_turns_planned", self.user_turns_planned)?,
            created_at: row.get("created_at", self.created_at)?,
            state: ReadOnly::from_stored(RunState {
                status,
                stage: row.optional_parse("stage", self.stage, Stage::parse)?,
                waiting: row.optional_json("waiting", self.waiting)?,
                parked: row.get("parked", self.parked)?,
                score: row.optional("score", self.score)?,
                error,
                end_reason: row.optional_parse("end_reason", self.end_reason, EndReason::parse)?,
                lease_epoch: row.get("lease_epoch", self.lease_epoch)?,
                recoveries: row.get("recoveries", self.recoveries)?,
                recoveries_without_progress: row
                    .get("recoveries_without_progress", self.recoveries_without_progress)?,
                lease_owner: row.optional("lease_owner", self.lease_owner)?,
                lease_until: row.optional("lease_until", self.lease_until)?,
                deadline_at: row.optional("deadline_at", self.deadline_at)?,
                deadline_paused_at: row.optional("deadline_paused_at", self.deadline_paused_at)?,
                active_ms: row.millis("active_ms", self.active_ms)?,
                waited_ms: row.millis("parked_ms", self.parked_ms)?,
                circuit_ms: row.millis("circuit_ms", self.circuit_ms)?,
                cancel_requested_at: row
                    .optional("cancel_requested_at", self.cancel_requested_at)?,
                started_at: row.optional("started_at", self.started_at)?,
                finished_at: row.optional("finished_at", self.finished_at)?,
                usage: row.json("usage", self.usage)?,
                user_turns: row.get("user_turns", self.user_turns)?,
                turns: row.get("turns", self.turns)?,
                session_id: row.optional("session_id", self.session_id)?,
                unconfirmed_call: row.optional("unconfirmed_call", self.unconfirmed_call)?,
            }),
        })
    }
}
