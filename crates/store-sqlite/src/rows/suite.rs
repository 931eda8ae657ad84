//! Rows of suites.

use crate::cell::{Cell, RowReader};
use crate::spending::{read_budget, read_spent};
use domain::{AgentRef, ProfileRef, SuiteStatus};
use store::StoreResult;
use store::rows::SuiteRow;
use store::transition::SuiteState;

pub(crate) struct RawSuiteState {
    pub(crate) status: Cell<String>,
    pub(crate) started_at: Option<Cell<i64>>,
    pub(crate) finished_at: Option<Cell<i64>>,
    pub(crate) cancel_requested_at: Option<Cell<i64>>,
}

impl RawSuiteState {
    pub(crate) fn read(self, row: RowReader<'_>) -> StoreResult<SuiteState> {
        Ok(SuiteState::from_stored(
            row.parse("status", self.status, SuiteStatus::parse)?,
            row.optional("started_at", self.started_at)?,
            row.optional("finished_at", self.finished_at)?,
            row.optional("cancel_requested_at", self.cancel_requested_at)?,
        ))
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct RawSuite {
    pub(crate) id: Cell<Vec<u8>>,
    pub(crate) space_id: Cell<Vec<u8>>,
    pub(crate) user_id: Cell<Vec<u8>>,
    pub(crate) agent_id: Cell<Vec<u8>>,
    pub(crate) agent_revision: Cell<i64>,
    pub(crate) agent_name: Cell<String>,
    pub(crate) profile_id: Option<Cell<Vec<u8>>>,
    pub(crate) profile_revision: Option<Cell<i64>>,
    pub(crate) profile_name: Option<Cell<String>>,
    pub(crate) variables_at: Option<Cell<i64>>,
    pub(crate) status: Cell<String>,
    pub(crate) total: Cell<i64>,
    pub(crate) concurrency: Cell<i64>,
    pub(crate) repeats: Cell<i64>,
    pub(crate) parent_id: Option<Cell<Vec<u8>>>,
    pub(crate) part_of: Option<Cell<i64>>,
    pub(crate) note: Cell<String>,
    pub(crate) budget_nano_usd: Option<Cell<i64>>,
    pub(crate) budget_action: Cell<String>,
    pub(crate) spent_nano_usd: Option<Cell<i64>>,
    pub(crate) unpriced_calls: Option<Cell<i64>>,
    pub(crate) seq: Cell<i64>,
    pub(crate) created_at: Cell<i64>,
    pub(crate) started_at: Option<Cell<i64>>,
    pub(crate) finished_at: Option<Cell<i64>>,
    pub(crate) cancel_requested_at: Option<Cell<i64>>,
}

impl RawSuite {
    pub(crate) fn read(self) -> StoreResult<SuiteRow> {
        let row = RowReader::new("suites", &self.id);
        let state = RawSuiteState {
            status: self.status,
            started_at: self.started_at,
            finished_at: self.finished_at,
            cancel_requested_at: self.cancel_requested_at,
        };
        let profile_id = row.optional("profile_id", self.profile_id)?;
        let profile_revision = row.optional("profile_revision", self.profile_revision)?;
        let profile_name: Option<String> = row.optional("profile_name", self.profile_name)?;
        let profile = profile_id.zip(profile_revision).map(|(id, revision)| ProfileRef {
            id,
            revision,
            name: profile_name.unwrap_or_default(),
        });
        Ok(SuiteRow {
            id: row.get("id", self.id.clone())?,
            space_id: row.get("space_id", self.space_id)?,
            user_id: row.get("user_id", self.user_id)?,
            agent: AgentRef {
                id: row.get("agent_id", self.agent_id)?,
                revision: row.get("agent_revision", self.agent_revision)?,
                name: row.get("agent_name", self.agent_name)?,
            },
            profile,
            variables_at: row.optional("variables_at", self.variables_at)?,
            state: state.read(row)?,
            total: row.get("total", self.total)?,
            concurrency: row.get("concurrency", self.concurrency)?,
            repeats: row.get("repeats", self.repeats)?,
            parent_id: row.optional("parent_id", self.parent_id)?,
            part_of: row.optional("part_of", self.part_of)?,
            note: row.get("note", self.note)?,
            budget: read_budget(row, self.budget_nano_usd, self.budget_action)?,
            spent: read_spent(row, self.spent_nano_usd, self.unpriced_calls)?,
            seq: row.get("seq", self.seq)?,
            created_at: row.get("created_at", self.created_at)?,
        })
    }
}
