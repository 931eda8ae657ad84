//! The queue of rejudges.

use crate::cell::Cell;
use crate::rows::{RawEvaluation, document, save_evaluation, select_evaluations};
use crate::sqlite_error::{DbResult, RunStatement};
use domain::{ConnectionId, EvaluationId, EvaluationStatus, Timestamp};
use sqlx::SqliteConnection;
use store::queue::Claim;
use store::rows::{EvaluationRow, ModelRef, RoleModel, RunRow};
use store::schedule::rejudges::{UnfinishedRejudge, deferred_rejudges};
use store::transition::{RejudgeTransition, corrupt_evaluation};
use store::{StoreError, StoreResult};
use uuid::Uuid;

/// The pending rejudges that start next. Users take turns: the rank of a
/// rejudge counts those of its user that run or come before it. The condition
/// repeats that of the index `evaluations_unfinished` word for word, so that
/// SQLite uses it. `deferred` lists ids in hex.
macro_rules! select_next {
    ($runs_per_user:expr, $limit:expr, $deferred:expr) => {
        select_evaluations!(
            "(SELECT id, status, created_at, SUM(status = 'running') OVER (PARTITION BY user_id) \
             + ROW_NUMBER() OVER (PARTITION BY user_id, status ORDER BY created_at, id) AS place \
             FROM evaluations WHERE is_first = 0 AND status IN ('pending', 'running') \
             AND hex(id) NOT IN (SELECT value FROM json_each(?3))) w \
             JOIN evaluations e ON e.id = w.id WHERE w.status = 'pending' AND w.place <= ?1 \
             ORDER BY w.place, w.created_at, w.id LIMIT ?2",
            $runs_per_user,
            $limit,
            $deferred,
        )
    };
}

/// Leases the rejudges that start next. Corrupt ones end as errors, and others
/// start instead.
pub(super) async fn claim_rejudges(
    c: &mut SqliteConnection,
    claim: Claim,
) -> StoreResult<Vec<EvaluationRow>> {
    let mut claimed = Vec::new();
    let deferred = deferred(c, &claim).await?;
    loop {
        let limit = i64::from(claim.most) - claimed.len() as i64;
        let next = select_next!(claim.runs_per_user, limit, deferred);
        let mut any_ended = false;
        for evaluation in next.fetch_all(&mut *c).await.db()? {
            let Some(mut row) = read_or_end_as_error(c, &evaluation, claim.now).await? else {
                any_ended = true;
                continue;
            };
            let transition =
                RejudgeTransition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
            row.transition(transition, claim.now)?;
            save_evaluation(c, &row).await?;
            claimed.push(row);
        }
        if !any_ended {
            return Ok(claimed);
        }
    }
}

/// The ids of the rejudges that do not start yet, as a JSON list of hex
/// numbers. Corrupt ones are not among them: they are selected, and end as errors.
async fn deferred(c: &mut SqliteConnection, claim: &Claim) -> StoreResult<String> {
    let mut unfinished = Vec::new();
    if !claim.admission_limits.is_empty() {
        let evaluations = select_evaluations!(
            "evaluations e WHERE e.is_first = 0 AND e.status IN ('pending', 'running')"
        );
        for evaluation in evaluations.fetch_all(c).await.db()? {
            if let Ok(row) = evaluation.read() {
                unfinished.push(UnfinishedRejudge {
                    id: row.evaluation.id,
                    user_id: row.user_id,
                    judge: Some(row.judge.model_ref),
                    running: row.evaluation.status == EvaluationStatus::Running,
                    created_at: row.evaluation.created_at,
                });
            }
        }
    }
    let deferred =
        deferred_rejudges(unfinished, &claim.admission_limits, claim.max_wait, claim.now);
    document(&deferred.iter().map(|id| format!("{:X}", id.0.simple())).collect::<Vec<_>>())
}

/// Recovers rejudges whose lease expired or which are late; at boot all that are running.
pub(super) async fn recover_rejudges(
    c: &mut SqliteConnection,
    all: bool,
    now: Timestamp,
) -> StoreResult<()> {
    let evaluations = select_evaluations!(
        "evaluations e WHERE e.is_first = 0 AND e.status = 'running' \
         AND (?1 OR e.lease_until < ?2 OR e.created_at <= ?2 - 86400000 \
         OR (e.deadline_at < ?2 AND e.deadline_paused_at IS NULL))",
        all,
        now.0,
    );
    for evaluation in evaluations.fetch_all(&mut *c).await.db()? {
        if let Some(mut row) = read_or_end_as_error(c, &evaluation, now).await? {
            row.transition(RejudgeTransition::Recover, now)?;
            save_evaluation(c, &row).await?;
        }
    }
    Ok(())
}

/// Ends the first evaluation of a run that ended before it.
pub(super) async fn end_first_evaluation(
    c: &mut SqliteConnection,
    run: &RunRow,
    now: Timestamp,
) -> StoreResult<()> {
    let evaluations = select_evaluations!(
        "evaluations e WHERE e.run_id = ? AND e.is_first = 1 \
         AND e.status IN ('pending', 'running')",
        run.id.0,
    );
    for evaluation in evaluations.fetch_all(&mut *c).await.db()? {
        if let Some(mut row) = read_or_end_as_error(c, &evaluation, now).await?
            && row.end_with_run(run, now)
        {
            save_evaluation(c, &row).await?;
        }
    }
    Ok(())
}

async fn find(c: &mut SqliteConnection, id: EvaluationId) -> StoreResult<RawEvaluation> {
    let evaluation = select_evaluations!("evaluations e WHERE e.id = ?", id.0);
    evaluation.fetch_optional(c).await.db()?.ok_or(StoreError::LeaseLost)
}

/// # Errors
/// `LeaseLost` if it does not exist.
pub(super) async fn read_evaluation(
    c: &mut SqliteConnection,
    id: EvaluationId,
) -> StoreResult<EvaluationRow> {
    find(c, id).await?.read()
}

/// Applies a transition to a stored evaluation, saves it and returns it.
pub(super) async fn apply_to_rejudge(
    c: &mut SqliteConnection,
    id: EvaluationId,
    transition: RejudgeTransition,
    now: Timestamp,
) -> StoreResult<EvaluationRow> {
    let mut row = read_evaluation(c, id).await?;
    row.transition(transition, now)?;
    save_evaluation(c, &row).await?;
    Ok(row)
}

/// Ends an evaluation as an error if its row cannot be read.
pub(super) async fn end_as_error_if_corrupt(
    c: &mut SqliteConnection,
    id: EvaluationId,
    now: Timestamp,
) -> StoreResult<()> {
    let evaluation = find(c, id).await?;
    read_or_end_as_error(c, &evaluation, now).await.map(|_| ())
}

/// Reads an evaluation. A corrupt one ends as an error, so that it does not hold up others.
async fn read_or_end_as_error(
    c: &mut SqliteConnection,
    evaluation: &RawEvaluation,
    now: Timestamp,
) -> StoreResult<Option<EvaluationRow>> {
    match evaluation.read() {
        Ok(row) => Ok(Some(row)),
        Err(error) => {
            tracing::error!(evaluation = %evaluation.id, %error, "an evaluation is corrupt and ends as an error");
            end_corrupt_evaluation_as_error(c, evaluation, now).await.map(|()| None)
        }
    }
}

/// Ends an evaluation whose row cannot be read as an error. Replaces the corrupt columns, so
/// that pages can show it.
async fn end_corrupt_evaluation_as_error(
    c: &mut SqliteConnection,
    evaluation: &RawEvaluation,
    now: Timestamp,
) -> StoreResult<()> {
    let row = evaluation.row();
    let id = EvaluationId(evaluation.id.uuid());
    let unknown =
        || ModelRef { connection_id: ConnectionId(Uuid::nil()), model: "unknown".to_owned() };
    let judge: RoleModel =
        row.json("judge", evaluation.judge.clone()).unwrap_or_else(|_| unknown().into());
    let created_at = row.get("created_at", evaluation.created_at.clone()).unwrap_or(now);
    let ended = corrupt_evaluation(id, &judge.model, created_at, now);
    let lease_epoch: u32 = row.get("lease_epoch", evaluation.lease_epoch.clone()).unwrap_or(0);
    let lease_epoch = lease_epoch.saturating_add(1);
    let recoveries: u32 = row.get("recoveries", evaluation.recoveries.clone()).unwrap_or(0);
    let (status, judge, body) = (ended.status.as_str(), document(&judge)?, document(&ended)?);
    // The stored bytes: a corrupt id can be found too.
    let key = Cell::value(evaluation.id.clone());
    sqlx::query!(
        "UPDATE evaluations SET status = ?, judge = ?, body = ?, raw_reply = NULL, \
         lease_epoch = ?, recoveries = ?, recoveries_without_progress = 0, created_at = ?, \
         lease_owner = NULL, lease_until = NULL, deadline_at = NULL WHERE id = ?",
        status,
        judge,
        body,
        lease_epoch,
        recoveries,
        created_at.0,
        key,
    )
    .run(c)
    .await
}

#[cfg(test)]
mod tests {
    use crate::rows::select_evaluations;
    use crate::testing::open;
    use sqlx::{AssertSqlSafe, Execute, Row};

    #[tokio::test]
    async fn next_evaluations_are_found_by_the_index_of_unfinished_ones() {
        let (_folder, store) = open().await;
        let next = select_next!(8, 64, "[]").sql();
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", next.as_str())));
        let plan = plan.bind(8).bind(64).bind("[]").fetch_all(&store.read).await.expect("plans");
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let reads: Vec<_> = steps.iter().filter(|step| step.contains("evaluations")).collect();
        let by_index = |step: &&String| {
            step.ends_with(" INDEX evaluations_unfinished") || step.ends_with("(id=?)")
        };
        assert!(!reads.is_empty() && reads.iter().all(by_index), "{steps:?}");
    }
}
