//! Connections on which the calls of a user fail, and the pending runs that give up.

use super::apply;
use super::corrupt::read_or_end_as_error;
use crate::cell::RowReader;
use crate::rows::select_runs;
use crate::sqlite_error::{DbResult, RunStatement};
use crate::writer::WriteTransaction;
use domain::{ConnectionId, RunStatus, Timestamp, UserId};
use sqlx::{SqliteConnection, SqlitePool};
use store::StoreResult;
use store::queue::{GiveUp, Outage};
use store::transition::RunTransition;

/// The stored outages that can be read. A corrupt one only begins again.
pub(super) async fn outages(read: &SqlitePool) -> StoreResult<Vec<Outage>> {
    let rows = sqlx::query!("SELECT user_id, connection_id, began_at FROM outages");
    let rows = rows.fetch_all(read).await.db()?;
    let outages = rows.into_iter().filter_map(|outage| {
        let id = outage.connection_id.clone();
        let row = RowReader::new("outages", &id);
        Some(Outage {
            user_id: row.get("user_id", outage.user_id).ok()?,
            connection_id: row.get("connection_id", outage.connection_id).ok()?,
            began_at: row.get("began_at", outage.began_at).ok()?,
        })
    });
    Ok(outages.collect())
}

/// Stores outages, and deletes those that ended.
pub(super) async fn save(
    c: &mut SqliteConnection,
    began: Vec<Outage>,
    ended: Vec<(UserId, ConnectionId)>,
) -> StoreResult<()> {
    for outage in began {
        sqlx::query!(
            "INSERT INTO outages (user_id, connection_id, began_at) VALUES (?, ?, ?) \
             ON CONFLICT (user_id, connection_id) DO UPDATE SET began_at = excluded.began_at",
            outage.user_id.0,
            outage.connection_id.0,
            outage.began_at.0,
        )
        .run(&mut *c)
        .await?;
    }
    for (user, connection) in ended {
        sqlx::query!(
            "DELETE FROM outages WHERE user_id = ? AND connection_id = ?",
            user.0,
            connection.0,
        )
        .run(&mut *c)
        .await?;
    }
    Ok(())
}

/// Ends the pending runs of a user on a connection that were created by then. The
/// condition on the status repeats that of the index `runs_of_user_unfinished`.
pub(super) async fn give_up_pending(
    tx: &mut WriteTransaction,
    give_up: GiveUp,
    now: Timestamp,
) -> StoreResult<u32> {
    let unfinished = select_runs!(
        "WHERE r.user_id = ? AND r.status IN ('pending', 'running') ORDER BY r.created_at, r.position",
        give_up.user_id.0,
    );
    let unfinished = unfinished.fetch_all(&mut **tx).await.db()?;
    let (runs, _) = read_or_end_as_error(tx, unfinished, now).await?;
    let mut ended = 0;
    for mut run in runs {
        let is_due = run.status == RunStatus::Pending
            && run.model_snapshot.agent.connection_id == give_up.connection_id
            && run.created_at <= give_up.created_by;
        if is_due {
            let transition = RunTransition::GiveUp { message: give_up.message.clone() };
            apply(tx, &mut run, transition, now).await?;
            ended += 1;
        }
    }
    Ok(ended)
}
