//! The schedule of the writer. It is read once, follows every change of a run, and is
//! read again after a failure or when another process changed the database.

use super::corrupt::end_corrupt_run_as_error;
use crate::cell::{Cell, RowReader};
use crate::rows::select_runs;
use crate::sqlite_error::DbResult;
use crate::writer::WriteTransaction;
use domain::Timestamp;
use sqlx::SqliteConnection;
use store::rows::ModelSnapshot;
use store::schedule::Schedule;
use store::schedule::SuiteLoad;
use store::{StoreError, StoreResult};

struct RawLoad {
    id: Cell<Vec<u8>>,
    user_id: Cell<Vec<u8>>,
    model_snapshot: Cell<String>,
    created_at: Cell<i64>,
    concurrency: Cell<i64>,
    is_started: bool,
    pending: u32,
    running: u32,
    orphaned: u32,
    active: u32,
    awaiting_slot: u32,
}

impl RawLoad {
    fn read(&self) -> StoreResult<SuiteLoad> {
        let row = RowReader::new("suites", &self.id);
        let snapshot: Option<ModelSnapshot> =
            row.json("model_snapshot", self.model_snapshot.clone()).ok();
        Ok(SuiteLoad {
            suite_id: row.get("id", self.id.clone())?,
            user_id: row.get("user_id", self.user_id.clone())?,
            agent: snapshot.map(|snapshot| snapshot.agent),
            created_at: row.get("created_at", self.created_at.clone())?,
            concurrency: row.get("concurrency", self.concurrency.clone())?,
            is_started: self.is_started,
            pending: self.pending,
            running: self.running,
            orphaned: self.orphaned,
            active: self.active,
            awaiting_user_slot: self.awaiting_slot,
        })
    }
}

/// The unfinished suites with their numbers of runs.
async fn raw_loads(c: &mut SqliteConnection) -> StoreResult<Vec<RawLoad>> {
    sqlx::query_as!(
        RawLoad,
        r#"SELECT s.id AS "id!", s.user_id AS "user_id!", s.model_snapshot AS "model_snapshot!",
           s.created_at AS "created_at!", s.concurrency AS "concurrency!",
           s.status = 'running' AS "is_started!: bool",
           COUNT(*) FILTER (WHERE r.status = 'pending') AS "pending!: u32",
           COUNT(*) FILTER (WHERE r.status = 'running') AS "running!: u32",
           COUNT(*) FILTER (WHERE r.status = 'running' AND r.lease_owner IS NULL)
           AS "orphaned!: u32",
           COUNT(*) FILTER (WHERE r.status = 'running' AND r.lease_owner IS NOT NULL
           AND NOT r.parked) AS "active!: u32",
           COUNT(*) FILTER (WHERE r.status = 'running' AND r.lease_owner IS NOT NULL AND r.parked
           AND CASE WHEN json_valid(r.waiting) THEN json_extract(r.waiting, '$.what') END = 'slot')
           AS "awaiting_slot!: u32"
           FROM suites s JOIN runs r ON r.suite_id = s.id AND r.status IN ('pending', 'running')
           WHERE s.status IN ('pending', 'running') AND s.cancel_requested_at IS NULL
           GROUP BY s.id"#,
    )
    .fetch_all(c)
    .await
    .db()
}

/// The current schedule. When it has to be read again, the unfinished runs of suites that
/// cannot be read end as errors.
pub(crate) async fn schedule(tx: &mut WriteTransaction, now: Timestamp) -> StoreResult<&Schedule> {
    if tx.schedule().is_none() {
        let mut loads = Vec::new();
        for load in raw_loads(tx).await? {
            match load.read() {
                Ok(load) => loads.push(load),
                Err(error) => {
                    let suite = load.id.value();
                    let runs = select_runs!(
                        "WHERE r.suite_id = ? AND r.status IN ('pending', 'running')",
                        suite,
                    );
                    for run in runs.fetch_all(&mut **tx).await.db()? {
                        end_corrupt_run_as_error(tx, &run.id, None, &error, now).await?;
                    }
                }
            }
        }
        tx.set_schedule(loads.into_iter().collect());
    }
    tx.schedule().ok_or_else(|| StoreError::Internal("the schedule is missing".into()))
}
