//! Rows of evaluations.

use super::document;
use crate::cell::{Cell, RowReader};
use crate::sqlite_error::RunStatement;
use domain::{Evaluation, EvaluationStatus};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::rows::{EvaluationRow, RejudgeLease};
use store::transition::ReadOnly;

pub(crate) struct RawEvaluation {
    pub(crate) id: Cell<Vec<u8>>,
    pub(crate) run_id: Cell<Vec<u8>>,
    pub(crate) suite_id: Cell<Vec<u8>>,
    pub(crate) space_id: Cell<Vec<u8>>,
    pub(crate) user_id: Cell<Vec<u8>>,
    pub(crate) status: Cell<String>,
    pub(crate) judge: Cell<String>,
    pub(crate) body: Cell<String>,
    pub(crate) raw_reply: Option<Cell<String>>,
    pub(crate) lease_epoch: Cell<i64>,
    pub(crate) recoveries: Cell<i64>,
    pub(crate) recoveries_without_progress: Cell<i64>,
    pub(crate) lease_owner: Option<Cell<String>>,
    pub(crate) lease_until: Option<Cell<i64>>,
    pub(crate) deadline_at: Option<Cell<i64>>,
    pub(crate) deadline_paused_at: Option<Cell<i64>>,
    pub(crate) created_at: Cell<i64>,
}

macro_rules! select_evaluations {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            $crate::rows::RawEvaluation,
            "SELECT e.id, e.run_id, e.suite_id, e.space_id, e.user_id, e.status, e.judge, e.body, \
             e.raw_reply, e.lease_epoch, e.recoveries, e.recoveries_without_progress, \
             e.lease_owner, e.lease_until, e.deadline_at, e.deadline_paused_at, e.created_at \
             FROM " + $tail
            $(, $argument)*
        )
    };
}
pub(crate) use select_evaluations;

impl RawEvaluation {
    pub(crate) fn row(&self) -> RowReader<'_> {
        RowReader::new("evaluations", &self.id)
    }

    pub(crate) fn read(&self) -> StoreResult<EvaluationRow> {
        let row = self.row();
        let evaluation: Evaluation = row.json("body", self.body.clone())?;
        Ok(EvaluationRow {
            run_id: row.get("run_id", self.run_id.clone())?,
            suite_id: row.get("suite_id", self.suite_id.clone())?,
            space_id: row.get("space_id", self.space_id.clone())?,
            user_id: row.get("user_id", self.user_id.clone())?,
            judge: row.json("judge", self.judge.clone())?,
            evaluation: Evaluation {
                raw_reply: row.optional("raw_reply", self.raw_reply.clone())?,
                status: row.parse("status", self.status.clone(), EvaluationStatus::parse)?,
                ..evaluation
            },
            lease: ReadOnly::from_stored(RejudgeLease {
                lease_epoch: row.get("lease_epoch", self.lease_epoch.clone())?,
                recoveries: row.get("recoveries", self.recoveries.clone())?,
                recoveries_without_progress: row
                    .get("recoveries_without_progress", self.recoveries_without_progress.clone())?,
                lease_owner: row.optional("lease_owner", self.lease_owner.clone())?,
                lease_until: row.optional("lease_until", self.lease_until.clone())?,
                deadline_at: row.optional("deadline_at", self.deadline_at.clone())?,
                deadline_paused_at: row
                    .optional("deadline_paused_at", self.deadline_paused_at.clone())?,
            }),
        })
    }
}

/// Inserts an evaluation, or updates the columns that can change.
pub(crate) async fn save_evaluation(
    c: &mut SqliteConnection,
    row: &EvaluationRow,
) -> StoreResult<()> {
    let mut evaluation = row.evaluation.clone();
    let raw_reply = evaluation.raw_reply.take();
    let (status, judge, body) =
        (evaluation.status.as_str(), document(&row.judge)?, document(&evaluation)?);
    let lease_until = row.lease_until.map(|at| at.0);
    let deadline_at = row.deadline_at.map(|at| at.0);
    let deadline_paused_at = row.deadline_paused_at.map(|at| at.0);
    sqlx::query!(
        "INSERT INTO evaluations (id, run_id, suite_id, space_id, user_id, is_first, status, \
         judge, body, raw_reply, lease_epoch, recoveries, recoveries_without_progress, \
         lease_owner, lease_until, deadline_at, deadline_paused_at, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, body = excluded.body, \
         raw_reply = excluded.raw_reply, lease_epoch = excluded.lease_epoch, \
         recoveries = excluded.recoveries, \
         recoveries_without_progress = excluded.recoveries_without_progress, \
         lease_owner = excluded.lease_owner, lease_until = excluded.lease_until, \
         deadline_at = excluded.deadline_at, \
         deadline_paused_at = excluded.deadline_paused_at",
        evaluation.id.0,
        row.run_id.0,
        row.suite_id.0,
        row.space_id.0,
        row.user_id.0,
        evaluation.is_first,
        status,
        judge,
        body,
        raw_reply,
        row.lease_epoch,
        row.recoveries,
        row.recoveries_without_progress,
        row.lease_owner,
        lease_until,
        deadline_at,
        deadline_paused_at,
        evaluation.created_at.0,
    )
    .run(c)
    .await
}
