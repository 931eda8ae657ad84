//! What the holder of a run does with it: store what came of it, take its place
//! again, give it back, say that it lives.

use crate::trouble::DbResult;
use super::bury::bury;
use super::claim::loads;
use super::{apply, read_run};
use store::queue::Heartbeat;
use store::rows::{EvaluationRow, RunRow};
use crate::events::append;
use crate::rows::{insert_turn, save_evaluation, save_run};
use store::transition::{Change, LEASE, Lease, Transition, transition};
use store::{StoreError, Stored};
use domain::{RunId, SuiteId, Timestamp};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// Stores what came of a run, with its turns, calls and events.
pub(super) async fn commit(
    c: &mut SqliteConnection,
    lease: Lease,
    change: Change,
    now: Timestamp,
) -> Stored<(RunRow, i64)> {
    let mut row = read_run(c, lease.run_id).await?.ok_or(StoreError::LeaseLost)?;
    let first_index = row.turns;
    let (turns, intents) = (change.turns.clone(), change.intents.clone());
    let (calls_done, shown) = (change.calls_done.clone(), change.evaluation.clone());
    let what = Transition::Commit { attempt: lease.attempt, change: Box::new(change) };
    let was = Lease { run_id: row.id, attempt: row.attempt };
    let events = transition(&mut row, what, now).map_err(|_| StoreError::LeaseLost)?;
    save_run(c, &row, &was).await?;
    for (mut turn, index) in turns.into_iter().zip(first_index..) {
        turn.index = index;
        insert_turn(c, row.id.0, &turn).await?;
    }
    for done in calls_done {
        sqlx::query(
            "UPDATE calls SET outcome = ?, attempts = ?, latency_ms = ?, done_at = ? WHERE id = ?",
        )
        .bind(done.outcome)
        .bind(done.attempts)
        .bind(done.latency_ms)
        .bind(now.0)
        .bind(done.id)
        .execute(&mut *c)
        .await.db()?;
    }
    for intent in intents {
        sqlx::query("INSERT INTO calls (id, run_id, attempt, role, turn, created_at) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(intent.id)
            .bind(row.id.0)
            .bind(lease.attempt)
            .bind(intent.role.as_str())
            .bind(intent.turn)
            .bind(now.0)
            .execute(&mut *c)
            .await.db()?;
    }
    if let Some(view) = shown {
        save_evaluation(c, &EvaluationRow::of_run(&row, *view)).await?;
    }
    // Without events nobody needs waking, and the suite's row stays untouched.
    let seq = if events.is_empty() { 0 } else { append(c, row.suite_id, events, now).await? };
    Ok((row, seq))
}

/// Takes a parked run's place again; `None` while its user's are all taken.
pub(super) async fn unpark(
    c: &mut SqliteConnection,
    lease: Lease,
    runs_per_user: u32,
    now: Timestamp,
) -> Stored<Option<(RunRow, i64)>> {
    let row = read_run(c, lease.run_id).await?.ok_or(StoreError::LeaseLost)?;
    let mut at_work = 0;
    for load in loads(c).await? {
        if load.user_id == row.user_id {
            at_work += load.active;
        }
    }
    if row.parked && at_work >= runs_per_user {
        return Ok(None);
    }
    let change = Change { parked: Some(false), waiting: Some(None), ..Change::default() };
    commit(c, lease, change, now).await.map(Some)
}

/// Gives a run back to whoever claims it next.
pub(super) async fn hand_back(
    c: &mut SqliteConnection,
    lease: Lease,
    now: Timestamp,
) -> Stored<(SuiteId, i64)> {
    let mut row = match read_run(c, lease.run_id).await {
        Ok(row) => row.ok_or(StoreError::LeaseLost)?,
        // Nobody could work with it: its lease would be renewed and given back
        // for ever.
        Err(StoreError::Damaged(why)) => {
            let (id, attempt) = (lease.run_id, Some(lease.attempt));
            return bury(c, id, attempt, &why, now).await;
        }
        Err(error) => return Err(error),
    };
    let what = Transition::HandBack { attempt: lease.attempt };
    let seq = apply(c, &mut row, what, now).await?;
    Ok((row.suite_id, seq))
}

/// Renews every lease of this worker.
pub(super) async fn heartbeat(
    c: &mut SqliteConnection,
    owner: String,
    now: Timestamp,
) -> Stored<Heartbeat> {
    let rows = sqlx::query(
        "UPDATE runs SET lease_until = ? WHERE lease_owner = ? AND status = 'running' \
         RETURNING id, attempt, cancel_requested_at IS NOT NULL AS stop",
    )
    .bind(now.plus(LEASE).0)
    .bind(&owner)
    .fetch_all(&mut *c)
    .await.db()?;
    let mut beat = Heartbeat::default();
    for row in rows {
        let id: RunId = row.try_get::<Uuid, _>("id").db()?.into();
        if row.try_get("stop").db()? {
            beat.cancelled.push(id);
        }
        beat.held.push(Lease { run_id: id, attempt: row.try_get("attempt").db()? });
    }
    let evaluations = sqlx::query(
        "UPDATE evaluations SET lease_until = ? WHERE is_first = 0 AND status = 'running' \
         AND lease_owner = ? RETURNING id, attempt",
    )
    .bind(now.plus(LEASE).0)
    .bind(&owner)
    .fetch_all(c)
    .await.db()?;
    for row in evaluations {
        beat.evaluations.push((row.try_get::<Uuid, _>("id").db()?.into(), row.try_get("attempt").db()?));
    }
    Ok(beat)
}
