//! The queue over SQLite. Every method that writes is one change of the
//! writer, which holds `BEGIN IMMEDIATE`: what it reads first stays true until
//! it commits, and `save_run` fences by the epoch all the same.

use super::SqliteStore;
use super::evaluations::{claim_evaluations, held_evaluation, reap_evaluations};
use super::events::append;
use super::rows::{evaluation, insert_turn, run, save_evaluation, save_run, select_runs};
use crate::store::census::Census;
use crate::store::pick::{SuiteLoad, Take, pick};
use crate::store::queue::{Claim, Heartbeat, QueueStore, Reaped, Work};
use crate::store::rows::{EvaluationRow, EventRow, Frozen, RunRow};
use crate::store::transition::{Change, LEASE, Lease, Refused, Transition, transition};
use crate::store::{StoreError, Stored};
use app::domain::{Evaluation, EvaluationId, RunId, SuiteId, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// What a change did to streams.
type Published = Vec<(SuiteId, i64)>;

impl SqliteStore {
    pub(super) fn publish(&self, published: &Published) {
        for (suite, seq) in published {
            self.published(*suite, *seq);
        }
    }
}

/// Applies one transition to a stored run, together with its events.
pub(super) async fn apply(
    c: &mut SqliteConnection,
    row: &mut RunRow,
    what: Transition,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let was = Lease { run_id: row.id, attempt: row.attempt };
    let events = transition(row, what, now).map_err(|_: Refused| StoreError::LeaseLost)?;
    save_run(c, row, &was).await?;
    append(c, row.suite_id, events, now).await
}

async fn loads(c: &mut SqliteConnection) -> Stored<Vec<SuiteLoad>> {
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
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SuiteLoad {
                suite_id: row.try_get::<Uuid, _>("id")?.into(),
                user_id: row.try_get::<Uuid, _>("user_id")?.into(),
                agent: serde_json::from_str(row.try_get("frozen")?)
                    .ok()
                    .map(|frozen: Frozen| frozen.agent),
                created_at: Timestamp(row.try_get("created_at")?),
                concurrency: row.try_get("concurrency")?,
                pending: row.try_get("pending")?,
                begun: row.try_get("begun")?,
                orphaned: row.try_get("orphaned")?,
                active: row.try_get("active")?,
                wanting: row.try_get("wanting")?,
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
            .await?
        }
        Take::Pending(suite) => {
            sqlx::query(select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'pending' ORDER BY r.position LIMIT 1"
            ))
            .bind(suite.0)
            .fetch_optional(c)
            .await?
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
    .await?;
    Ok(id.into())
}

/// Ends a run whose row cannot be read, so that its neighbours run. What made
/// it unreadable is put to rest, so that it can be shown; what stands at its
/// suite is not needed for that. With `attempt`, only if its holder is at it.
///
/// # Errors
/// `LeaseLost` if it is final, or at another epoch.
async fn bury(
    c: &mut SqliteConnection,
    run: RunId,
    attempt: Option<u32>,
    why: &str,
    now: Timestamp,
) -> Stored<(SuiteId, i64)> {
    tracing::error!(%run, why, "a run's row is damaged; the run ends");
    let buried = sqlx::query(
        "UPDATE runs SET status = 'error', error_kind = 'invalid_scenario', \
         error_message = 'The stored record of this run is damaged. Run the scenario again.', \
         attempt = attempt + 1, stage = NULL, waiting = NULL, end_reason = NULL, score = NULL, \
         parked = 0, lease_owner = NULL, lease_until = NULL, finished_at = ?1, usage = ?2 \
         WHERE id = ?3 AND status IN ('pending', 'running') \
         AND (?4 IS NULL OR (attempt = ?4 AND lease_owner IS NOT NULL))",
    )
    .bind(now.0)
    .bind(super::rows::text(&app::domain::Usage::default())?)
    .bind(run.0)
    .bind(attempt)
    .execute(&mut *c)
    .await?;
    if buried.rows_affected() == 0 {
        return Err(StoreError::LeaseLost);
    }
    let row = read_run(c, run).await?.ok_or(StoreError::LeaseLost)?;
    let event = EventRow::Run(Box::new(row.view()));
    Ok((row.suite_id, append(c, row.suite_id, vec![event], now).await?))
}

async fn claim(c: &mut SqliteConnection, claim: Claim) -> Stored<(Vec<RunRow>, Published)> {
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
            .await?;
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

async fn read_run(c: &mut SqliteConnection, id: RunId) -> Stored<Option<RunRow>> {
    let row = sqlx::query(select_runs!("WHERE r.id = ?")).bind(id.0).fetch_optional(c).await?;
    row.as_ref().map(run).transpose()
}

async fn commit(
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
        .await?;
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
            .await?;
    }
    if let Some(view) = shown {
        save_evaluation(c, &EvaluationRow::of_run(&row, *view)).await?;
    }
    // Without events nobody needs waking, and the suite's row stays untouched.
    let seq = if events.is_empty() { 0 } else { append(c, row.suite_id, events, now).await? };
    Ok((row, seq))
}

/// Runs, and what is to happen to each of them.
type Due = Vec<(Readable, Transition)>;

/// A run's row, or the id of one that cannot be read and why.
type Readable = Result<RunRow, (RunId, String)>;

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

/// The query's runs, each with what is due.
async fn due(
    c: &mut SqliteConnection,
    query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    what: Transition,
) -> Stored<Due> {
    let mut due = Vec::new();
    for row in query.fetch_all(c).await? {
        let readable = match run(&row) {
            Ok(row) => Ok(row),
            Err(StoreError::Damaged(why)) => Err((row.try_get::<Uuid, _>("id")?.into(), why)),
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

#[async_trait]
impl QueueStore for SqliteStore {
    async fn claim(&self, order: Claim) -> Stored<Vec<RunRow>> {
        let (claimed, published) = self.writer.write(|c| claim(c, order).boxed()).await?;
        self.publish(&published);
        Ok(claimed)
    }

    async fn work(&self, run: &RunRow) -> Stored<Work> {
        let agent: Option<String> = sqlx::query_scalar(
            "SELECT body FROM agent_revisions WHERE agent_id = ? AND revision = ?",
        )
        .bind(run.agent.id.0)
        .bind(run.agent.revision)
        .fetch_optional(&self.read)
        .await?;
        let scenario: Option<String> = sqlx::query_scalar(
            "SELECT body FROM scenario_revisions WHERE scenario_id = ? AND revision = ?",
        )
        .bind(run.scenario.id.0)
        .bind(run.scenario.revision)
        .fetch_optional(&self.read)
        .await?;
        let own = sqlx::query("SELECT * FROM evaluations WHERE run_id = ? AND is_first = 1")
            .bind(run.id.0)
            .fetch_optional(&self.read)
            .await?;
        let read = |text: Option<String>| -> Option<Value> { serde_json::from_str(&text?).ok() };
        Ok(Work {
            agent: read(agent),
            scenario: read(scenario),
            transcript: if run.turns == 0 { Vec::new() } else { self.read_turns(run.id.0).await? },
            evaluation: own.as_ref().map(evaluation).transpose()?.map(|row| row.view),
        })
    }

    async fn commit(&self, lease: &Lease, change: Change, now: Timestamp) -> Stored<RunRow> {
        let lease = lease.clone();
        let (row, seq) = self.writer.write(move |c| commit(c, lease, change, now).boxed()).await?;
        if seq > 0 {
            self.published(row.suite_id, seq);
        }
        Ok(row)
    }

    async fn unpark(&self, lease: &Lease, runs_per_user: u32, now: Timestamp) -> Stored<bool> {
        let lease = lease.clone();
        let done = self.writer.write(move |c| {
            async move {
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
                let change =
                    Change { parked: Some(false), waiting: Some(None), ..Change::default() };
                commit(c, lease, change, now).await.map(Some)
            }
            .boxed()
        });
        let Some((row, seq)) = done.await? else { return Ok(false) };
        if seq > 0 {
            self.published(row.suite_id, seq);
        }
        Ok(true)
    }

    async fn hand_back(&self, lease: &Lease, now: Timestamp) -> Stored<()> {
        let lease = lease.clone();
        let published = self.writer.write(move |c| {
            async move {
                let mut row = match read_run(c, lease.run_id).await {
                    Ok(row) => row.ok_or(StoreError::LeaseLost)?,
                    // Nobody could work with it: its lease would be renewed
                    // and given back for ever.
                    Err(StoreError::Damaged(why)) => {
                        let (id, attempt) = (lease.run_id, Some(lease.attempt));
                        return Ok(vec![bury(c, id, attempt, &why, now).await?]);
                    }
                    Err(error) => return Err(error),
                };
                let what = Transition::HandBack { attempt: lease.attempt };
                let seq = apply(c, &mut row, what, now).await?;
                Ok(vec![(row.suite_id, seq)])
            }
            .boxed()
        });
        self.publish(&published.await?);
        Ok(())
    }

    async fn claim_evaluations(&self, claim: Claim) -> Stored<Vec<EvaluationRow>> {
        self.writer.write(move |c| claim_evaluations(c, claim).boxed()).await
    }

    async fn commit_evaluation(
        &self,
        id: EvaluationId,
        attempt: u32,
        view: Evaluation,
        now: Timestamp,
    ) -> Stored<()> {
        self.writer
            .write(move |c| {
                async move {
                    let mut row = held_evaluation(c, id, attempt).await?;
                    row.commit(view, now);
                    save_evaluation(c, &row).await
                }
                .boxed()
            })
            .await
    }

    async fn work_of(&self, id: RunId) -> Stored<(RunRow, Work)> {
        let row = sqlx::query(select_runs!("WHERE r.id = ?"))
            .bind(id.0)
            .fetch_optional(&self.read)
            .await?;
        let row = row.as_ref().map(run).transpose()?.ok_or(StoreError::LeaseLost)?;
        let work = self.work(&row).await?;
        Ok((row, work))
    }

    async fn intend_evaluation(
        &self,
        row: &EvaluationRow,
        call: Uuid,
        now: Timestamp,
    ) -> Stored<()> {
        let (evaluation, run, attempt) = (row.id(), row.run_id.0, row.attempt);
        self.writer
            .write(move |c| {
                async move {
                    // Whoever lost it makes no call.
                    held_evaluation(c, evaluation, attempt).await?;
                    sqlx::query(
                        "INSERT INTO calls (id, run_id, evaluation_id, attempt, role, turn, created_at) \
                         VALUES (?, ?, ?, ?, 'judge', 0, ?)",
                    )
                    .bind(call)
                    .bind(run)
                    .bind(evaluation.0)
                    .bind(attempt)
                    .bind(now.0)
                    .execute(c)
                    .await?;
                    Ok(())
                }
                .boxed()
            })
            .await
    }

    async fn hand_back_evaluation(&self, id: EvaluationId, attempt: u32) -> Stored<()> {
        self.writer
            .write(move |c| {
                async move {
                    let mut row = held_evaluation(c, id, attempt).await?;
                    row.hand_back();
                    save_evaluation(c, &row).await
                }
                .boxed()
            })
            .await
    }

    async fn heartbeat(&self, owner: &str, now: Timestamp) -> Stored<Heartbeat> {
        let owner = owner.to_owned();
        self.writer.write(move |c| heartbeat(c, owner, now).boxed()).await
    }

    async fn reap(&self, now: Timestamp) -> Stored<Reaped> {
        let (reaped, published) = self
            .writer
            .write(move |c| {
                async move {
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
            .boxed()
            })
            .await?;
        self.publish(&published);
        Ok(reaped)
    }

    async fn take_over(&self, now: Timestamp) -> Stored<Reaped> {
        let (reaped, published) = self
            .writer
            .write(move |c| {
                async move {
                    let all = sqlx::query(select_runs!(
                        "WHERE r.status = 'running' AND r.lease_owner IS NOT NULL"
                    ));
                    let mut work = due(c, all, Transition::Recover).await?;
                    work.extend(left_to_stop(c).await?);
                    reap_evaluations(c, true, now).await?;
                    recover(c, work, now).await
                }
                .boxed()
            })
            .await?;
        self.publish(&published);
        Ok(reaped)
    }

    async fn census(&self) -> Stored<Census> {
        self.count_unfinished().await
    }
}

async fn heartbeat(c: &mut SqliteConnection, owner: String, now: Timestamp) -> Stored<Heartbeat> {
    let rows = sqlx::query(
        "UPDATE runs SET lease_until = ? WHERE lease_owner = ? AND status = 'running' \
         RETURNING id, attempt, cancel_requested_at IS NOT NULL AS stop",
    )
    .bind(now.plus(LEASE).0)
    .bind(&owner)
    .fetch_all(&mut *c)
    .await?;
    let mut beat = Heartbeat::default();
    for row in rows {
        let id: RunId = row.try_get::<Uuid, _>("id")?.into();
        if row.try_get("stop")? {
            beat.cancelled.push(id);
        }
        beat.held.push(Lease { run_id: id, attempt: row.try_get("attempt")? });
    }
    let evaluations = sqlx::query(
        "UPDATE evaluations SET lease_until = ? WHERE is_first = 0 AND status = 'running' \
         AND lease_owner = ? RETURNING id, attempt",
    )
    .bind(now.plus(LEASE).0)
    .bind(&owner)
    .fetch_all(c)
    .await?;
    for row in evaluations {
        beat.evaluations.push((row.try_get::<Uuid, _>("id")?.into(), row.try_get("attempt")?));
    }
    Ok(beat)
}
