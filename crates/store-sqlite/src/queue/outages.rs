//! Connections on which the calls of a user fail, and the pending runs that give up.

use super::apply;
use super::corrupt::read_or_end_as_error;
use crate::cell::RowReader;
use crate::rows::select_runs;
use crate::sqlite_error::{DbResult, RunStatement};
use crate::writer::WriteTransaction;
use domain::{ErrorKind, SuiteId, Timestamp};
use sqlx::{SqliteConnection, SqlitePool};
use store::StoreResult;
use store::queue::{GiveUp, Outage, OutageKey};
use store::transition::RunTransition;

/// The stored outages that can be read. A corrupt one only begins again.
pub(super) async fn outages(read: &SqlitePool) -> StoreResult<Vec<Outage>> {
    let rows = sqlx::query!("SELECT user_id, connection_id, model, began_at FROM outages");
    let rows = rows.fetch_all(read).await.db()?;
    let outages = rows.into_iter().filter_map(|outage| {
        let id = outage.connection_id.clone();
        let row = RowReader::new("outages", &id);
        let model: String = row.get("model", outage.model).ok()?;
        let key = OutageKey {
            user_id: row.get("user_id", outage.user_id).ok()?,
            connection_id: row.get("connection_id", outage.connection_id).ok()?,
            model: (!model.is_empty()).then_some(model),
        };
        Some(Outage { key, began_at: row.get("began_at", outage.began_at).ok()? })
    });
    Ok(outages.collect())
}

/// Stores outages, and deletes those that ended.
pub(super) async fn save(
    c: &mut SqliteConnection,
    began: Vec<Outage>,
    ended: Vec<OutageKey>,
) -> StoreResult<()> {
    for Outage { key, began_at } in began {
        let model = key.model.unwrap_or_default();
        sqlx::query!(
            "INSERT INTO outages (user_id, connection_id, model, began_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (user_id, connection_id, model) DO UPDATE SET began_at = excluded.began_at",
            key.user_id.0,
            key.connection_id.0,
            model,
            began_at.0,
        )
        .run(&mut *c)
        .await?;
    }
    for key in ended {
        let model = key.model.unwrap_or_default();
        sqlx::query!(
            "DELETE FROM outages WHERE user_id = ? AND connection_id = ? AND model = ?",
            key.user_id.0,
            key.connection_id.0,
            model,
        )
        .run(&mut *c)
        .await?;
    }
    Ok(())
}

/// Ends the pending runs of a user on a connection or model that were created by then. The
/// condition on the status repeats that of the index `runs_of_user_unfinished`.
pub(super) async fn give_up_pending(
    tx: &mut WriteTransaction,
    give_up: GiveUp,
    now: Timestamp,
) -> StoreResult<u32> {
    let unfinished = select_runs!(
        "WHERE r.user_id = ? AND r.status IN ('pending', 'running') ORDER BY r.created_at, r.position",
        give_up.key.user_id.0,
    );
    let unfinished = unfinished.fetch_all(&mut **tx).await.db()?;
    let (runs, _) = read_or_end_as_error(tx, unfinished, now).await?;
    let mut ended = 0;
    for mut run in runs {
        if give_up.applies_to(&run) {
            let transition = RunTransition::GiveUp {
                kind: ErrorKind::CircuitOpen,
                message: give_up.message.clone(),
            };
            apply(tx, &mut run, transition, now).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Ends the pending runs of a suite whose budget is used up.
pub(crate) async fn end_pending_runs(
    tx: &mut WriteTransaction,
    suite: SuiteId,
    message: String,
    now: Timestamp,
) -> StoreResult<u32> {
    let pending =
        select_runs!("WHERE r.suite_id = ? AND r.status = 'pending' ORDER BY r.position", suite.0);
    let pending = pending.fetch_all(&mut **tx).await.db()?;
    let (runs, _) = read_or_end_as_error(tx, pending, now).await?;
    let mut ended = 0;
    for mut run in runs {
        let kind = ErrorKind::BudgetExhausted;
        let transition = RunTransition::GiveUp { kind, message: message.clone() };
        apply(tx, &mut run, transition, now).await?;
        ended += 1;
    }
    Ok(ended)
}
