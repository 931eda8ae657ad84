//! Creation of suites and rejudges.

use super::copies::plan_copy;
use super::keys::{find_replay, save_response};
use crate::rows::{document, integer, save_evaluation};
use crate::spending::stored;
use crate::sqlite_error::{DbResult, RunStatement};
use crate::writer::WriteTransaction;
use domain::{AgentId, RunId, ScenarioId, SpaceId, SuiteId};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::rows::{ModelSnapshot, RunRow, SuiteRow};
use store::schedule::RunLoad;
use store::schedule::SuiteLoad;
use store::suites::{CreateOutcome, NewRejudge, NewSuite};

/// An unfinished suite of this agent over one of these scenarios.
pub(super) async fn find_unfinished_suite(
    c: &mut SqliteConnection,
    space: SpaceId,
    agent: AgentId,
    scenarios: &[ScenarioId],
) -> StoreResult<Option<SuiteId>> {
    let runs = sqlx::query!(
        "SELECT scenario_id, suite_id FROM runs \
         WHERE agent_id = ? AND space_id = ? AND status IN ('pending', 'running')",
        agent.0,
        space.0,
    );
    let runs = runs.fetch_all(c).await.db()?;
    let busy = runs.iter().find(|run| scenarios.contains(&run.scenario_id.uuid().into()));
    Ok(busy.map(|run| run.suite_id.uuid().into()))
}

/// Inserts a suite with its runs, and the response under its key.
pub(super) async fn create(tx: &mut WriteTransaction, new: NewSuite) -> StoreResult<CreateOutcome> {
    let c: &mut SqliteConnection = tx;
    if let Some(key) = &new.key
        && let Some(known) = find_replay(c, new.user_id, key, new.at).await?
    {
        return Ok(known);
    }
    let starts = new.runs.iter().filter(|run| run.error.is_none());
    let scenarios: Vec<_> = starts.clone().map(|run| run.scenario.id).collect();
    if !new.allow_parallel
        && let Some(suite_id) =
            find_unfinished_suite(c, new.space_id, new.agent.id, &scenarios).await?
    {
        return Ok(CreateOutcome::AlreadyRunning { suite_id });
    }
    let unfinished = sqlx::query_scalar!(
        r#"SELECT COUNT(*) AS "count!: u32" FROM runs
           WHERE user_id = ? AND status IN ('pending', 'running')"#,
        new.user_id.0,
    );
    let unfinished = unfinished.fetch_one(&mut *c).await.db()?;
    if unfinished > 0
        && unfinished + u32::try_from(scenarios.len()).unwrap_or(u32::MAX) > new.queue_per_user
    {
        return Ok(CreateOutcome::QueueFull { unfinished });
    }
    let rows = new.rows();
    insert_suite(c, &rows.suite, &new.model_snapshot).await?;
    for run in &rows.runs {
        insert_run(c, run).await?;
    }
    if let Some(key) = &new.key {
        save_response(c, new.user_id, key, new.id, new.at).await?;
    }
    let mut load = SuiteLoad::of(&rows.suite, Some(new.model_snapshot.agent.clone()));
    rows.runs.iter().for_each(|run| load.add(RunLoad::of(run)));
    tx.change_schedule(|schedule| schedule.insert(load));
    tx.effects.add_completed(new.id, &rows.completed);
    Ok(CreateOutcome::New)
}

async fn insert_suite(
    c: &mut SqliteConnection,
    suite: &SuiteRow,
    model_snapshot: &ModelSnapshot,
) -> StoreResult<()> {
    let model_snapshot = document(model_snapshot)?;
    let status = suite.state.status().as_str();
    let parent_id = suite.parent_id.map(|id| id.0);
    let finished_at = suite.state.finished_at().map(|at| at.0);
    let profile = suite.profile.as_ref();
    let profile_id = profile.map(|profile| profile.id.0);
    let profile_revision = profile.map(|profile| profile.revision);
    let profile_name = profile.map(|profile| &*profile.name);
    let variables_at = suite.variables_at.map(|at| at.0);
    let budget = suite.budget.limit.map(stored);
    let budget_action = suite.budget.action.as_str();
    sqlx::query!(
        "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, agent_name, \
         model_snapshot, status, total, concurrency, repeats, parent_id, part_of, note, seq, \
         created_at, finished_at, profile_id, profile_revision, profile_name, variables_at, \
         budget_nano_usd, budget_action, spent_nano_usd, unpriced_calls) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
        suite.id.0,
        suite.space_id.0,
        suite.user_id.0,
        suite.agent.id.0,
        suite.agent.revision,
        suite.agent.name,
        model_snapshot,
        status,
        suite.total,
        suite.concurrency,
        suite.repeats,
        parent_id,
        suite.part_of,
        suite.note,
        suite.created_at.0,
        finished_at,
        profile_id,
        profile_revision,
        profile_name,
        variables_at,
        budget,
        budget_action,
    )
    .run(c)
    .await
}

async fn insert_run(c: &mut SqliteConnection, run: &RunRow) -> StoreResult<()> {
    // A source in a suite that is being deleted may have lost turns already.
    let source = match run.source_run_id {
        Some(source) if exists(c, source).await? => Some(source),
        _ => None,
    };
    let source_id = source.map(|source| source.0);
    let timeout_ms = integer(run.timeout_ms)?;
    let status = run.status.as_str();
    let error_kind = run.error.as_ref().map(|error| error.kind.as_str());
    let error_message = run.error.as_ref().map(|error| &*error.message);
    let finished_at = run.finished_at.map(|at| at.0);
    let usage = document(&run.usage)?;
    sqlx::query!(
        "INSERT INTO runs (id, suite_id, space_id, user_id, agent_id, agent_revision, \
         scenario_id, scenario_revision, scenario_name, repetition, position, source_run_id, \
         timeout_ms, user_turns_planned, status, parked, error_kind, error_message, lease_epoch, \
         recoveries, recoveries_without_progress, active_ms, parked_ms, created_at, finished_at, \
         usage, user_turns, turns, end_reason, session_id, unconfirmed_call) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 0, ?16, ?17, \
         0, 0, 0, 0, 0, ?18, ?19, ?20, \
         COALESCE((SELECT user_turns FROM runs WHERE id = ?12), 0), \
         COALESCE((SELECT turns FROM runs WHERE id = ?12), 0), \
         (SELECT end_reason FROM runs WHERE id = ?12), \
         (SELECT session_id FROM runs WHERE id = ?12), \
         (SELECT unconfirmed_call FROM runs WHERE id = ?12))",
        run.id.0,
        run.suite_id.0,
        run.space_id.0,
        run.user_id.0,
        run.agent.id.0,
        run.agent.revision,
        run.scenario.id.0,
        run.scenario.revision,
        run.scenario.name,
        run.repetition,
        run.position,
        source_id,
        timeout_ms,
        run.user_turns_planned,
        status,
        error_kind,
        error_message,
        run.created_at.0,
        finished_at,
        usage,
    )
    .run(c)
    .await?;
    match source {
        Some(source) => plan_copy(c, run.id, source).await,
        None => Ok(()),
    }
}

/// Inserts a rejudge, unless another evaluation of the run is unfinished.
pub(super) async fn create_rejudge(
    c: &mut SqliteConnection,
    new: NewRejudge,
) -> StoreResult<CreateOutcome> {
    let at = new.row.evaluation.created_at;
    if let Some(key) = &new.key
        && let Some(known) = find_replay(c, new.row.user_id, key, at).await?
    {
        return Ok(known);
    }
    let is_unfinished = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM evaluations
           WHERE run_id = ? AND status IN ('pending', 'running')) AS "exists!: bool""#,
        new.row.run_id.0,
    );
    if is_unfinished.fetch_one(&mut *c).await.db()? {
        return Ok(CreateOutcome::AlreadyRunning { suite_id: new.row.suite_id });
    }
    if !exists(c, new.row.run_id).await? {
        return Ok(CreateOutcome::Gone);
    }
    save_evaluation(c, &new.row).await?;
    if let Some(key) = &new.key {
        save_response(c, new.row.user_id, key, new.row.suite_id, at).await?;
    }
    Ok(CreateOutcome::New)
}

/// Whether a run exists, in a suite that is not being deleted.
async fn exists(c: &mut SqliteConnection, run: RunId) -> StoreResult<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM runs r JOIN suites s ON s.id = r.suite_id
           WHERE r.id = ? AND s.deleted_at IS NULL) AS "exists!: bool""#,
        run.0,
    )
    .fetch_one(c)
    .await
    .db()
}
