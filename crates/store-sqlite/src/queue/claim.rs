//! Claims of runs.

use super::apply;
use super::corrupt::{end_corrupt_run_as_error, read_or_end_as_error};
use crate::cell::{Cell, RowReader};
use crate::rows::{RawRun, select_runs};
use crate::sqlite_error::DbResult;
use crate::suites::transition_suite;
use crate::writer::WriteTransaction;
use domain::Timestamp;
use sqlx::SqliteConnection;
use store::StoreResult;
use store::queue::Claim;
use store::rows::{ModelSnapshot, RunRow};
use store::scheduler::{NextRun, SuiteLoad, next_run};
use store::transition::{RunTransition, SuiteTransition};

struct RawLoad {
    id: Cell<Vec<u8>>,
    user_id: Cell<Vec<u8>>,
    model_snapshot: Cell<String>,
    created_at: Cell<i64>,
    concurrency: Cell<i64>,
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
            pending: self.pending,
            running: self.running,
            orphaned: self.orphaned,
            active: self.active,
            awaiting_slot: self.awaiting_slot,
        })
    }
}

/// The unfinished suites with their numbers of runs.
async fn raw_loads(c: &mut SqliteConnection) -> StoreResult<Vec<RawLoad>> {
    sqlx::query_as!(
        RawLoad,
        r#"SELECT s.id AS "id!", s.user_id AS "user_id!", s.model_snapshot AS "model_snapshot!",
           s.created_at AS "created_at!", s.concurrency AS "concurrency!",
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

/// The loads of the suites that can be read.
pub(super) async fn loads(c: &mut SqliteConnection) -> StoreResult<Vec<SuiteLoad>> {
    let loads = raw_loads(c).await?;
    Ok(loads.iter().filter_map(|load| load.read().ok()).collect())
}

/// Like [`loads`]. Fails the unfinished runs of suites that cannot be read.
async fn claimable_loads(tx: &mut WriteTransaction, now: Timestamp) -> StoreResult<Vec<SuiteLoad>> {
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
    Ok(loads)
}

async fn candidate(c: &mut SqliteConnection, next: NextRun) -> StoreResult<Option<RawRun>> {
    match next {
        NextRun::Orphaned(suite) => {
            let orphaned = select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'running' AND r.lease_owner IS NULL \
                 ORDER BY r.position LIMIT 1",
                suite.0,
            );
            orphaned.fetch_optional(c).await.db()
        }
        NextRun::Pending(suite) => {
            let pending = select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'pending' ORDER BY r.position LIMIT 1",
                suite.0,
            );
            pending.fetch_optional(c).await.db()
        }
    }
}

/// Leases the runs that start next.
pub(super) async fn claim(tx: &mut WriteTransaction, claim: Claim) -> StoreResult<Vec<RunRow>> {
    let mut claimed = Vec::new();
    let mut loads = claimable_loads(tx, claim.now).await?;
    while claimed.len() < claim.most as usize {
        let next = next_run(&loads, claim.runs_per_user, &claim.admission_limits, &claim.capacity);
        let Some(next) = next else { break };
        let Some(candidate) = candidate(tx, next).await? else { break };
        let (mut readable, failed) = read_or_end_as_error(tx, vec![candidate], claim.now).await?;
        let Some(mut row) = readable.pop() else {
            if failed == 0 {
                break;
            }
            loads = claimable_loads(tx, claim.now).await?;
            continue;
        };
        let transition =
            RunTransition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
        apply(tx, &mut row, transition, claim.now).await?;
        if let Some(load) = loads.iter_mut().find(|load| load.suite_id == row.suite_id) {
            load.active += 1;
            match next {
                NextRun::Orphaned(_) => load.orphaned -= 1,
                NextRun::Pending(_) => {
                    load.pending -= 1;
                    load.running += 1;
                }
            }
        }
        if let NextRun::Pending(suite) = next {
            // Refused unless this is the suite's first run.
            let _ = transition_suite(tx, suite, SuiteTransition::Start, claim.now).await?;
        }
        claimed.push(row);
    }
    Ok(claimed)
}
