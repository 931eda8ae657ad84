//! Who may work next, and taking it.

use crate::trouble::DbResult;
use super::bury::bury;
use super::{Published, apply};
use store::pick::{SuiteLoad, Take, pick};
use store::queue::Claim;
use store::rows::{Frozen, RunRow};
use crate::rows::{run, select_runs};
use store::transition::Transition;
use store::{StoreError, Stored};
use domain::{RunId, Timestamp};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// How every unfinished suite stands.
pub(super) async fn loads(c: &mut SqliteConnection) -> Stored<Vec<SuiteLoad>> {
    let rows = sqlx::query(
        "SELECT s.id, s.user_id, s.frozen, s.created_at, s.concurrency, \
         COUNT(*) FILTER (WHERE r.status = 'pending') AS pending, \
         COUNT(*) FILTER (WHERE r.status = 'running') AS begun, \
         COUNT(*) FILTER (WHERE r.status = 'running' AND r.lease_owner IS NULL) AS orphaned, \
         COUNT(*) FILTER (WHERE r.status = 'running' AND r.lease_owner IS NOT NULL AND NOT r.parked) AS active, \
         COUNT(*) FILTER (WHERE r.status = 'running' AND r.lease_owner IS NOT NULL AND r.parked \
         AND CASE WHEN json_valid(r.waiting) THEN json_extract(r.waiting, '$.what') END = 'slot') AS wanting \
         FROM suites s JOIN runs r ON r.suite_id = s.id AND r.status IN ('pending', 'running') \
         WHERE s.status IN ('pending', 'running') AND s.cancel_requested_at IS NULL GROUP BY s.id",
    )
    .fetch_all(c)
    .await.db()?;
    rows.iter()
        .map(|row| {
            Ok(SuiteLoad {
                suite_id: row.try_get::<Uuid, _>("id").db()?.into(),
                user_id: row.try_get::<Uuid, _>("user_id").db()?.into(),
                agent: serde_json::from_str(row.try_get("frozen").db()?)
                    .ok()
                    .map(|frozen: Frozen| frozen.agent),
                created_at: Timestamp(row.try_get("created_at").db()?),
                concurrency: row.try_get("concurrency").db()?,
                pending: row.try_get("pending").db()?,
                begun: row.try_get("begun").db()?,
                orphaned: row.try_get("orphaned").db()?,
                active: row.try_get("active").db()?,
                wanting: row.try_get("wanting").db()?,
            })
        })
        .collect()
}

async fn candidate(c: &mut SqliteConnection, take: Take) -> Stored<Option<RunRow>> {
    let row = match take {
        Take::Orphan(suite) => {
            sqlx::query(select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'running' AND r.lease_owner IS NULL ORDER BY r.position LIMIT 1"
            ))
            .bind(suite.0)
            .fetch_optional(c)
            .await.db()?
        }
        Take::Pending(suite) => {
            sqlx::query(select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'pending' ORDER BY r.position LIMIT 1"
            ))
            .bind(suite.0)
            .fetch_optional(c)
            .await.db()?
        }
    };
    row.as_ref().map(run).transpose()
}

/// The id of what [`candidate`] could not read.
async fn damaged_candidate(c: &mut SqliteConnection, take: Take) -> Stored<RunId> {
    let (suite, status) = match take {
        Take::Orphan(suite) => (suite, "running"),
        Take::Pending(suite) => (suite, "pending"),
    };
    let id: Uuid = sqlx::query_scalar(
        "SELECT id FROM runs WHERE suite_id = ? AND status = ? AND lease_owner IS NULL \
         ORDER BY position LIMIT 1",
    )
    .bind(suite.0)
    .bind(status)
    .fetch_one(c)
    .await.db()?;
    Ok(id.into())
}

/// Takes as many runs as are asked for, each with a lease.
pub(super) async fn claim(
    c: &mut SqliteConnection,
    claim: Claim,
) -> Stored<(Vec<RunRow>, Published)> {
    let mut claimed = Vec::new();
    let mut published = Vec::new();
    let mut loads = loads(c).await?;
    while claimed.len() < claim.most as usize {
        let Some(take) = pick(&loads, claim.runs_per_user, &claim.holds) else { break };
        let mut row = match candidate(c, take).await {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(StoreError::Damaged(why)) => {
                let damaged = damaged_candidate(c, take).await?;
                published.push(bury(c, damaged, None, &why, claim.now).await?);
                loads = self::loads(c).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let what = Transition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
        if let Take::Pending(suite) = take {
            sqlx::query(
                "UPDATE suites SET status = 'running', started_at = COALESCE(started_at, ?) \
                 WHERE id = ? AND status = 'pending'",
            )
            .bind(claim.now.0)
            .bind(suite.0)
            .execute(&mut *c)
            .await.db()?;
        }
        let seq = apply(c, &mut row, what, claim.now).await?;
        published.push((row.suite_id, seq));
        if let Some(load) = loads.iter_mut().find(|load| load.suite_id == row.suite_id) {
            load.active += 1;
            match take {
                Take::Orphan(_) => load.orphaned -= 1,
                Take::Pending(_) => {
                    load.pending -= 1;
                    load.begun += 1;
                }
            }
        }
        claimed.push(row);
    }
    Ok((claimed, published))
}
