//! What a start makes: a suite with its runs, or one more judging; or the reason
//! why it makes none.

use crate::trouble::DbResult;
use super::keys::{answered, keep_answer};
use crate::rows::{save_evaluation, text};
use store::suites::{Created, NewEvaluation, NewRun, NewSuite};
use store::{Stored, ended};
use domain::{AgentId, RunId, ScenarioId, SpaceId, SuiteId, Usage};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// An unfinished suite that tests this agent with one of these scenarios.
pub(super) async fn unfinished_over(
    c: &mut SqliteConnection,
    space: SpaceId,
    agent: AgentId,
    scenarios: &[ScenarioId],
) -> Stored<Option<SuiteId>> {
    let busy = sqlx::query(
        "SELECT r.scenario_id, r.suite_id FROM runs r \
         WHERE r.agent_id = ? AND r.space_id = ? AND r.status IN ('pending', 'running')",
    )
    .bind(agent.0)
    .bind(space.0)
    .fetch_all(c)
    .await.db()?;
    for row in busy {
        let scenario: Uuid = row.try_get("scenario_id").db()?;
        if scenarios.contains(&ScenarioId(scenario)) {
            return Ok(Some(row.try_get::<Uuid, _>("suite_id").db()?.into()));
        }
    }
    Ok(None)
}

/// A suite with all of its runs, and the answer to its key.
pub(super) async fn create(c: &mut SqliteConnection, new: NewSuite) -> Stored<Created> {
    if let Some(key) = &new.key
        && let Some(known) = answered(c, new.user_id, key, new.at).await?
    {
        return Ok(known);
    }
    let starts = new.runs.iter().filter(|run| run.error.is_none());
    let scenarios: Vec<_> = starts.clone().map(|run| run.scenario.id).collect();
    if !new.allow_parallel
        && let Some(suite_id) = unfinished_over(c, new.space_id, new.agent.id, &scenarios).await?
    {
        return Ok(Created::AlreadyRunning { suite_id });
    }
    let unfinished: u32 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM runs WHERE user_id = ? AND status IN ('pending', 'running')",
    )
    .bind(new.user_id.0)
    .fetch_one(&mut *c)
    .await.db()?;
    if unfinished > 0
        && unfinished + u32::try_from(scenarios.len()).unwrap_or(u32::MAX) > new.queue_per_user
    {
        return Ok(Created::QueueFull { unfinished });
    }
    insert_suite(c, &new, scenarios.is_empty()).await?;
    for (position, run) in new.runs.iter().enumerate() {
        insert_run(c, &new, run, position).await?;
    }
    ended::note(new.id, &ended::of_new(&new));
    if let Some(key) = &new.key {
        keep_answer(c, new.user_id, key, new.id, new.at).await?;
    }
    Ok(Created::New)
}

async fn insert_suite(c: &mut SqliteConnection, new: &NewSuite, nothing_to_do: bool) -> Stored<()> {
    sqlx::query(
        "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, agent_name, frozen, status, \
         total, concurrency, repeats, parent_id, note, seq, created_at, finished_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
    )
    .bind(new.id.0)
    .bind(new.space_id.0)
    .bind(new.user_id.0)
    .bind(new.agent.id.0)
    .bind(new.agent.revision)
    .bind(&new.agent.name)
    .bind(text(&new.frozen)?)
    .bind(if nothing_to_do { "finished" } else { "pending" })
    .bind(u32::try_from(new.runs.len()).unwrap_or(u32::MAX))
    .bind(new.concurrency)
    .bind(new.repeats)
    .bind(new.parent_id.map(|id| id.0))
    .bind(&new.note)
    .bind(new.at.0)
    .bind(nothing_to_do.then_some(new.at.0))
    .execute(c)
    .await.db()?;
    Ok(())
}

async fn insert_run(
    c: &mut SqliteConnection,
    new: &NewSuite,
    run: &NewRun,
    position: usize,
) -> Stored<()> {
    // Half of a conversation would be worse than none.
    let source = match run.source_run_id {
        Some(source) if is_there(c, source).await? => Some(source),
        _ => None,
    };
    sqlx::query(
        "INSERT INTO runs (id, suite_id, space_id, user_id, agent_id, agent_revision, scenario_id, \
         scenario_revision, scenario_name, repetition, position, source_run_id, timeout_ms, \
         user_turns_planned, status, parked, error_kind, error_message, attempt, recoveries, stalled, \
         active_ms, parked_ms, created_at, finished_at, usage, user_turns, turns, end_reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0, 0, 0, 0, ?, ?, ?, \
         COALESCE((SELECT user_turns FROM runs WHERE id = ?), 0), \
         COALESCE((SELECT turns FROM runs WHERE id = ?), 0), \
         (SELECT end_reason FROM runs WHERE id = ?))",
    )
    .bind(run.id.0)
    .bind(new.id.0)
    .bind(new.space_id.0)
    .bind(new.user_id.0)
    .bind(new.agent.id.0)
    .bind(new.agent.revision)
    .bind(run.scenario.id.0)
    .bind(run.scenario.revision)
    .bind(&run.scenario.name)
    .bind(run.repetition)
    .bind(u32::try_from(position).unwrap_or(u32::MAX))
    .bind(source.map(|id| id.0))
    .bind(i64::try_from(run.timeout_ms).unwrap_or(i64::MAX))
    .bind(run.user_turns_planned)
    .bind(if run.error.is_some() { "error" } else { "pending" })
    .bind(run.error.as_ref().map(|error| error.kind.as_str()))
    .bind(run.error.as_ref().map(|error| error.message.as_str()))
    .bind(new.at.0)
    .bind(run.error.is_some().then_some(new.at.0))
    .bind(text(&Usage::default())?)
    .bind(source.map(|id| id.0))
    .bind(source.map(|id| id.0))
    .bind(source.map(|id| id.0))
    .execute(&mut *c)
    .await.db()?;
    if let Some(source) = source {
        copy_turns(c, source, run.id).await?;
    }
    Ok(())
}

async fn copy_turns(c: &mut SqliteConnection, from: RunId, to: RunId) -> Stored<()> {
    sqlx::query(
        "INSERT INTO turns (run_id, idx, speaker, message, tool_calls, tool, finish, latency_ms, \
         input_tokens, output_tokens, at) SELECT ?, idx, speaker, message, tool_calls, tool, finish, \
         latency_ms, input_tokens, output_tokens, at FROM turns WHERE run_id = ?",
    )
    .bind(to.0)
    .bind(from.0)
    .execute(c)
    .await.db()?;
    Ok(())
}

/// One more judging of a run, if none is under way.
pub(super) async fn create_evaluation(
    c: &mut SqliteConnection,
    new: NewEvaluation,
) -> Stored<Created> {
    let at = new.row.view.created_at;
    if let Some(key) = &new.key
        && let Some(known) = answered(c, new.row.user_id, key, at).await?
    {
        return Ok(known);
    }
    let unfinished: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM evaluations WHERE run_id = ? AND status IN ('pending', 'running') LIMIT 1",
    )
    .bind(new.row.run_id.0)
    .fetch_optional(&mut *c)
    .await.db()?;
    if unfinished.is_some() {
        return Ok(Created::AlreadyRunning { suite_id: new.row.suite_id });
    }
    if !is_there(c, new.row.run_id).await? {
        return Ok(Created::Gone);
    }
    save_evaluation(c, &new.row).await?;
    if let Some(key) = &new.key {
        keep_answer(c, new.row.user_id, key, new.row.suite_id, at).await?;
    }
    Ok(Created::New)
}

/// Whether a run is there, and not in a suite that is being deleted.
async fn is_there(c: &mut SqliteConnection, run: RunId) -> Stored<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM runs r JOIN suites s ON s.id = r.suite_id \
         WHERE r.id = ? AND s.deleted_at IS NULL",
    )
    .bind(run.0)
    .fetch_optional(c)
    .await.db()?;
    Ok(found.is_some())
}
