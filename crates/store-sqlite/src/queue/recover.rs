//! Runs that nobody works at any more: freed, or ended.

use crate::trouble::DbResult;
use super::bury::bury;
use super::{Published, apply};
use store::queue::Reaped;
use store::rows::RunRow;
use crate::evaluations::reap_evaluations;
use crate::rows::{run, select_runs};
use store::transition::Transition;
use store::{StoreError, Stored};
use domain::{RunId, Timestamp};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// Runs, and what is to happen to each of them.
type Due = Vec<(Readable, Transition)>;

/// A run's row, or the id of one that cannot be read and why.
type Readable = Result<RunRow, (RunId, String)>;

/// Frees what nobody renews, and ends what is past its time.
pub(super) async fn reap(c: &mut SqliteConnection, now: Timestamp) -> Stored<(Reaped, Published)> {
    let lapsed = sqlx::query(select_runs!(
        "WHERE r.status = 'running' AND r.lease_owner IS NOT NULL AND r.lease_until < ?"
    ));
    let mut work = due(c, lapsed.bind(now.0), Transition::Recover).await?;
    work.extend(left_to_stop(c).await?);
    let late = sqlx::query(select_runs!(
        "WHERE (r.status = 'running' AND r.deadline_at <= ?) \
         OR (r.status = 'pending' AND r.created_at <= ? - 86400000)"
    ));
    let late = late.bind(now.0).bind(now.0);
    work.extend(due(c, late, Transition::Expire).await?);
    reap_evaluations(c, false, now).await?;
    recover(c, work, now).await
}

/// Frees everything that is held: its worker is gone.
pub(super) async fn take_over(
    c: &mut SqliteConnection,
    now: Timestamp,
) -> Stored<(Reaped, Published)> {
    let all = sqlx::query(select_runs!("WHERE r.status = 'running' AND r.lease_owner IS NOT NULL"));
    let mut work = due(c, all, Transition::Recover).await?;
    work.extend(left_to_stop(c).await?);
    reap_evaluations(c, true, now).await?;
    recover(c, work, now).await
}

/// The query's runs, each with what is due.
async fn due(
    c: &mut SqliteConnection,
    query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    what: Transition,
) -> Stored<Due> {
    let mut due = Vec::new();
    for row in query.fetch_all(c).await.db()? {
        let readable = match run(&row) {
            Ok(row) => Ok(row),
            Err(StoreError::Damaged(why)) => Err((row.try_get::<Uuid, _>("id").db()?.into(), why)),
            Err(error) => return Err(error),
        };
        due.push((readable, what.clone()));
    }
    Ok(due)
}

/// What is to stop and held by nobody: it would be claimed no more.
async fn left_to_stop(c: &mut SqliteConnection) -> Stored<Due> {
    let left = sqlx::query(select_runs!(
        "WHERE r.status = 'running' AND r.lease_owner IS NULL \
         AND (r.cancel_requested_at IS NOT NULL OR s.cancel_requested_at IS NOT NULL)"
    ));
    due(c, left, Transition::Cancel).await
}

/// Frees, or ends, every one of them. What cannot be read ends, whatever was
/// due.
async fn recover(
    c: &mut SqliteConnection,
    due: Due,
    now: Timestamp,
) -> Stored<(Reaped, Published)> {
    let mut reaped = Reaped::default();
    let mut published = Vec::new();
    for (row, what) in due {
        let mut row = match row {
            Ok(row) => row,
            Err((id, why)) => {
                match bury(c, id, None, &why, now).await {
                    Ok(told) => {
                        reaped.ended += 1;
                        published.push(told);
                    }
                    Err(StoreError::LeaseLost) => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
        };
        match apply(c, &mut row, what, now).await {
            Ok(seq) => {
                if row.status.is_final() {
                    reaped.ended += 1
                } else {
                    reaped.recovered += 1
                }
                published.push((row.suite_id, seq));
            }
            // Ended earlier in this very loop.
            Err(StoreError::LeaseLost) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((reaped, published))
}
