//! The queue of re-evaluations: who takes which, and what becomes of those
//! that nobody finished or nobody can read.

use crate::trouble::DbResult;
use super::rows::{evaluation, json, save_evaluation, text};
use store::pick_judging::{Judging, kept_back};
use store::queue::Claim;
use store::rows::{EvaluationRow, ModelRef};
use store::{StoreError, Stored};
use domain::{
    ConnectionId, ErrorKind, Evaluation, EvaluationId, EvaluationStatus, RunError, Timestamp,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// Those that may be taken next. A user's place counts what is at work for
/// them already, so that users take turns and nobody waits behind the rest of
/// another's. The condition is word for word that of the index. The last
/// argument lists those that are kept back.
const NEXT: &str = "SELECT e.* FROM ( \
     SELECT id, status, created_at, SUM(status = 'running') OVER (PARTITION BY user_id) \
     + ROW_NUMBER() OVER (PARTITION BY user_id, status ORDER BY created_at, id) AS place \
     FROM evaluations WHERE is_first = 0 AND status IN ('pending', 'running') \
     AND hex(id) NOT IN (SELECT value FROM json_each(?3))) w \
     JOIN evaluations e ON e.id = w.id \
     WHERE w.status = 'pending' AND w.place <= ?1 ORDER BY w.place, w.created_at, w.id LIMIT ?2";
/// What decides which of them are kept back.
const UNFINISHED: &str = "SELECT id, user_id, judge, status, created_at FROM evaluations \
     WHERE is_first = 0 AND status IN ('pending', 'running')";

/// Takes those that may work now. Of a damaged one nothing is left to take:
/// it ends, and another has its place.
pub(super) async fn claim_evaluations(
    c: &mut SqliteConnection,
    claim: Claim,
) -> Stored<Vec<EvaluationRow>> {
    let mut claimed = Vec::new();
    let kept = kept(c, &claim).await?;
    loop {
        let left = i64::from(claim.most) - claimed.len() as i64;
        let next = sqlx::query(NEXT).bind(claim.runs_per_user).bind(left).bind(&kept);
        let mut buried = false;
        for row in next.fetch_all(&mut *c).await.db()? {
            let Some(mut row) = readable(c, &row, claim.now).await? else {
                buried = true;
                continue;
            };
            row.claim(claim.owner.clone(), claim.max_wait, claim.now);
            save_evaluation(c, &row).await?;
            claimed.push(row);
        }
        if !buried {
            return Ok(claimed);
        }
    }
}

/// Those that are kept back, as a JSON list of their ids in hex. A damaged one
/// is not: it is taken, and ends.
async fn kept(c: &mut SqliteConnection, claim: &Claim) -> Stored<String> {
    let mut unfinished = Vec::new();
    if !claim.holds.is_empty() {
        for row in sqlx::query(UNFINISHED).fetch_all(c).await.db()? {
            let (Ok(id), Ok(user)) =
                (row.try_get::<Uuid, _>("id"), row.try_get::<Uuid, _>("user_id"))
            else {
                continue;
            };
            unfinished.push(Judging {
                id: id.into(),
                user_id: user.into(),
                judge: json(&row, "judge").ok(),
                running: row.try_get::<String, _>("status").db()? == EvaluationStatus::Running.as_str(),
                created_at: row.try_get("created_at").map_or(claim.now, Timestamp),
            });
        }
    }
    let kept = kept_back(unfinished, &claim.holds, claim.max_wait, claim.now);
    text(&kept.iter().map(|id| format!("{:X}", id.0.simple())).collect::<Vec<_>>())
}

/// Frees, or ends, those whose lease lapsed or whose deadline is past; of all
/// workers at a start.
pub(super) async fn reap_evaluations(
    c: &mut SqliteConnection,
    all: bool,
    now: Timestamp,
) -> Stored<()> {
    let rows = sqlx::query(
        "SELECT * FROM evaluations WHERE is_first = 0 AND status = 'running' AND (?1 OR lease_until < ?2 OR deadline_at < ?2)",
    )
    .bind(all)
    .bind(now.0)
    .fetch_all(&mut *c)
    .await.db()?;
    for row in &rows {
        if let Some(mut row) = readable(c, row, now).await? {
            row.recover(now);
            save_evaluation(c, &row).await?;
        }
    }
    Ok(())
}

/// The one that a worker holds at this epoch.
pub(super) async fn held_evaluation(
    c: &mut SqliteConnection,
    id: EvaluationId,
    attempt: u32,
) -> Stored<EvaluationRow> {
    let row =
        sqlx::query("SELECT * FROM evaluations WHERE id = ?").bind(id.0).fetch_optional(c).await.db()?;
    let row = row.as_ref().map(evaluation).transpose()?;
    row.filter(|row| row.is_held(attempt)).ok_or(StoreError::LeaseLost)
}

/// What a row says; one that cannot be read ends, so that its neighbours go
/// on.
async fn readable(
    c: &mut SqliteConnection,
    row: &SqliteRow,
    now: Timestamp,
) -> Stored<Option<EvaluationRow>> {
    match evaluation(row) {
        Ok(row) => Ok(Some(row)),
        Err(StoreError::Damaged(why)) => bury(c, row, &why, now).await.map(|()| None),
        Err(error) => Err(error),
    }
}

/// Ends one whose row cannot be read. What made it unreadable is put to rest,
/// so that it can be shown.
async fn bury(c: &mut SqliteConnection, row: &SqliteRow, why: &str, now: Timestamp) -> Stored<()> {
    // As it is stored: a damaged id ends too.
    let key: Vec<u8> = row.try_get("id").db()?;
    let id = EvaluationId(Uuid::from_slice(&key).unwrap_or_default());
    tracing::error!(evaluation = %id, why, "an evaluation's row is damaged; it ends");
    let judge = json(row, "judge").unwrap_or(ModelRef {
        connection_id: ConnectionId(Uuid::nil()),
        model: "unknown".to_owned(),
    });
    let asked_at = row.try_get("created_at").map_or(now, Timestamp);
    let message = "The stored record of this judging is damaged. Judge the run again.";
    let view = Evaluation {
        status: EvaluationStatus::Error,
        error: Some(RunError::new(ErrorKind::Internal, message)),
        finished_at: Some(now),
        ..Evaluation::asked(id, &judge.model, 0, asked_at)
    };
    sqlx::query(
        "UPDATE evaluations SET status = ?, judge = ?, body = ?, raw_reply = NULL, \
         attempt = attempt + 1, lease_owner = NULL, lease_until = NULL, deadline_at = NULL \
         WHERE id = ?",
    )
    .bind(view.status.as_str())
    .bind(text(&judge)?)
    .bind(text(&view)?)
    .bind(key)
    .execute(c)
    .await.db()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::NEXT;
    use crate::SqliteStore;
    use sqlx::Row;

    #[tokio::test]
    async fn the_next_is_found_among_what_is_unfinished() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {NEXT}")));
        let plan = plan.bind(8).bind(64).bind("[]").fetch_all(&store.read).await.expect("plans");
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let looks: Vec<_> = steps.iter().filter(|step| step.contains("evaluations")).collect();
        let led = |step: &&String| {
            step.ends_with(" INDEX evaluations_unfinished") || step.ends_with("(id=?)")
        };
        assert!(!looks.is_empty() && looks.iter().all(led), "{steps:?}");
    }
}
