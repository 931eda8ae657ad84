//! Between rows of SQLite and the types of [`store::rows`].

use crate::trouble::DbResult;
use store::rows::{EvaluationRow, Frozen, RunRow, SuiteRow};
use store::transition::Lease;
use store::{StoreError, Stored};
use domain::{
    AgentRef, Counts, EndReason, ErrorKind, Evaluation, EvaluationStatus, Finish, RunError,
    RunStatus, ScenarioRef, Speaker, Stage, SuiteStatus, Timestamp, Turn,
};
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// All columns of a run, with what stands at its suite.
macro_rules! select_runs {
    ($tail:literal) => {
        concat!(
            "SELECT r.*, s.agent_name, s.frozen FROM runs r JOIN suites s ON s.id = r.suite_id ",
            $tail
        )
    };
}
pub(super) use select_runs;

/// A whole number of the database as ours; a damaged one reads as 0.
pub(super) fn u32_of(row: &SqliteRow, column: &str) -> Stored<u32> {
    Ok(u32::try_from(row.try_get::<i64, _>(column).db()?).unwrap_or(0))
}

fn u64_of(row: &SqliteRow, column: &str) -> Stored<u64> {
    Ok(u64::try_from(row.try_get::<i64, _>(column).db()?).unwrap_or(0))
}

pub(super) fn uuid_of(row: &SqliteRow, column: &str) -> Stored<Uuid> {
    Ok(row.try_get::<Uuid, _>(column).db()?)
}

pub(super) fn time_of(row: &SqliteRow, column: &str) -> Stored<Timestamp> {
    Ok(Timestamp(row.try_get(column).db()?))
}

pub(super) fn maybe_time(row: &SqliteRow, column: &str) -> Stored<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column).db()?.map(Timestamp))
}

/// A word of an enum, or a damaged row.
pub(super) fn word<T>(row: &SqliteRow, column: &str, read: fn(&str) -> Option<T>) -> Stored<T> {
    let text: String = row.try_get(column).db()?;
    read(&text).ok_or_else(|| StoreError::Damaged(format!("{column} = {text:?}")))
}

fn maybe_word<T>(row: &SqliteRow, column: &str, read: fn(&str) -> Option<T>) -> Stored<Option<T>> {
    let text: Option<String> = row.try_get(column).db()?;
    match text {
        None => Ok(None),
        Some(text) => match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(StoreError::Damaged(format!("{column} = {text:?}"))),
        },
    }
}

/// A JSON document of a column.
pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Stored<T> {
    let text: String = row.try_get(column).db()?;
    serde_json::from_str(&text).map_err(|error| StoreError::Damaged(format!("{column}: {error}")))
}

fn maybe_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Stored<Option<T>> {
    let text: Option<String> = row.try_get(column).db()?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| StoreError::Damaged(format!("{column}: {error}")))
}

/// The JSON text of a document.
pub(super) fn text<T: serde::Serialize>(value: &T) -> Stored<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// What its suite froze. A final run asks nobody any more: it is shown though
/// that is damaged.
fn frozen(row: &SqliteRow, status: RunStatus) -> Stored<Frozen> {
    match json(row, "frozen") {
        Err(StoreError::Damaged(_)) if status.is_final() => Ok(Frozen::unreadable()),
        other => other,
    }
}

pub(super) fn run(row: &SqliteRow) -> Stored<RunRow> {
    let status = word(row, "status", RunStatus::from_word)?;
    let error = match maybe_word(row, "error_kind", ErrorKind::from_word)? {
        Some(kind) => {
            let message: Option<String> = row.try_get("error_message").db()?;
            Some(RunError::new(kind, message.unwrap_or_default()))
        }
        None => None,
    };
    Ok(RunRow {
        id: uuid_of(row, "id")?.into(),
        suite_id: uuid_of(row, "suite_id")?.into(),
        space_id: uuid_of(row, "space_id")?.into(),
        user_id: uuid_of(row, "user_id")?.into(),
        agent: AgentRef {
            id: uuid_of(row, "agent_id")?.into(),
            revision: u32_of(row, "agent_revision")?,
            name: row.try_get("agent_name").db()?,
        },
        scenario: ScenarioRef {
            id: uuid_of(row, "scenario_id")?.into(),
            revision: u32_of(row, "scenario_revision")?,
            name: row.try_get("scenario_name").db()?,
        },
        repetition: u32_of(row, "repetition")?,
        position: u32_of(row, "position")?,
        source_run_id: row.try_get::<Option<Uuid>, _>("source_run_id").db()?.map(Into::into),
        frozen: frozen(row, status)?,
        timeout_ms: u64_of(row, "timeout_ms")?,
        user_turns_planned: u32_of(row, "user_turns_planned")?,
        status,
        stage: maybe_word(row, "stage", Stage::from_word)?,
        waiting: maybe_json(row, "waiting")?,
        parked: row.try_get("parked").db()?,
        score: row.try_get("score").db()?,
        error,
        end_reason: maybe_word(row, "end_reason", EndReason::from_word)?,
        attempt: u32_of(row, "attempt")?,
        recoveries: u32_of(row, "recoveries")?,
        stalled: u32_of(row, "stalled")?,
        lease_owner: row.try_get("lease_owner").db()?,
        lease_until: maybe_time(row, "lease_until")?,
        deadline_at: maybe_time(row, "deadline_at")?,
        active_ms: u64_of(row, "active_ms")?,
        parked_ms: u64_of(row, "parked_ms")?,
        circuit_ms: u64_of(row, "circuit_ms")?,
        cancel_requested_at: maybe_time(row, "cancel_requested_at")?,
        created_at: time_of(row, "created_at")?,
        started_at: maybe_time(row, "started_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        usage: json(row, "usage")?,
        user_turns: u32_of(row, "user_turns")?,
        turns: u32_of(row, "turns")?,
    })
}

pub(super) fn suite(row: &SqliteRow) -> Stored<SuiteRow> {
    Ok(SuiteRow {
        id: uuid_of(row, "id")?.into(),
        space_id: uuid_of(row, "space_id")?.into(),
        user_id: uuid_of(row, "user_id")?.into(),
        agent: AgentRef {
            id: uuid_of(row, "agent_id")?.into(),
            revision: u32_of(row, "agent_revision")?,
            name: row.try_get("agent_name").db()?,
        },
        status: word(row, "status", SuiteStatus::from_word)?,
        total: u32_of(row, "total")?,
        concurrency: u32_of(row, "concurrency")?,
        repeats: u32_of(row, "repeats")?,
        parent_id: row.try_get::<Option<Uuid>, _>("parent_id").db()?.map(Into::into),
        note: row.try_get("note").db()?,
        seq: row.try_get("seq").db()?,
        created_at: time_of(row, "created_at")?,
        started_at: maybe_time(row, "started_at")?,
        finished_at: maybe_time(row, "finished_at")?,
        cancel_requested_at: maybe_time(row, "cancel_requested_at")?,
    })
}

/// Counts from columns named after the statuses.
pub(super) fn counts(row: &SqliteRow) -> Stored<Counts> {
    let mut counts = Counts::default();
    for (word, status) in RunStatus::ALL {
        *counts.of(*status) = u32_of(row, &format!("n_{word}"))?;
    }
    Ok(counts)
}

pub(super) fn turn(row: &SqliteRow) -> Stored<Turn> {
    Ok(Turn {
        index: u32_of(row, "idx")?,
        speaker: word(row, "speaker", Speaker::from_word)?,
        message: row.try_get("message").db()?,
        tool_calls: maybe_json(row, "tool_calls")?.unwrap_or_default(),
        tool: maybe_json(row, "tool")?,
        finish: maybe_word(row, "finish", Finish::from_word)?,
        latency_ms: row
            .try_get::<Option<i64>, _>("latency_ms").db()?
            .and_then(|n| u32::try_from(n).ok()),
        input_tokens: row
            .try_get::<Option<i64>, _>("input_tokens").db()?
            .and_then(|n| n.try_into().ok()),
        output_tokens: row
            .try_get::<Option<i64>, _>("output_tokens").db()?
            .and_then(|n| n.try_into().ok()),
        at: time_of(row, "at")?,
    })
}

pub(super) fn evaluation(row: &SqliteRow) -> Stored<EvaluationRow> {
    let mut view: Evaluation = json(row, "body")?;
    view.raw_reply = row.try_get("raw_reply").db()?;
    view.status = word(row, "status", EvaluationStatus::from_word)?;
    Ok(EvaluationRow {
        run_id: uuid_of(row, "run_id")?.into(),
        suite_id: uuid_of(row, "suite_id")?.into(),
        space_id: uuid_of(row, "space_id")?.into(),
        user_id: uuid_of(row, "user_id")?.into(),
        judge: json(row, "judge")?,
        view,
        attempt: u32_of(row, "attempt")?,
        recoveries: u32_of(row, "recoveries")?,
        stalled: u32_of(row, "stalled")?,
        lease_owner: row.try_get("lease_owner").db()?,
        lease_until: maybe_time(row, "lease_until")?,
        deadline_at: maybe_time(row, "deadline_at")?,
    })
}

/// Writes what can change of a run, if it is still at the epoch `was`.
pub(super) async fn save_run(c: &mut SqliteConnection, run: &RunRow, was: &Lease) -> Stored<()> {
    let waiting = run.waiting.as_ref().map(text).transpose()?;
    let done = sqlx::query(
        "UPDATE runs SET status = ?, stage = ?, waiting = ?, parked = ?, score = ?, error_kind = ?, \
         error_message = ?, end_reason = ?, attempt = ?, recoveries = ?, stalled = ?, lease_owner = ?, \
         lease_until = ?, deadline_at = ?, active_ms = ?, parked_ms = ?, circuit_ms = ?, cancel_requested_at = ?, \
         started_at = ?, finished_at = ?, usage = ?, user_turns = ?, turns = ? \
         WHERE id = ? AND attempt = ? AND status IN ('pending', 'running')",
    )
    .bind(run.status.as_str())
    .bind(run.stage.map(Stage::as_str))
    .bind(waiting)
    .bind(run.parked)
    .bind(run.score)
    .bind(run.error.as_ref().map(|error| error.kind.as_str()))
    .bind(run.error.as_ref().map(|error| error.message.as_str()))
    .bind(run.end_reason.map(EndReason::as_str))
    .bind(run.attempt)
    .bind(run.recoveries)
    .bind(run.stalled)
    .bind(run.lease_owner.as_deref())
    .bind(run.lease_until.map(|at| at.0))
    .bind(run.deadline_at.map(|at| at.0))
    .bind(i64::try_from(run.active_ms).unwrap_or(i64::MAX))
    .bind(i64::try_from(run.parked_ms).unwrap_or(i64::MAX))
    .bind(i64::try_from(run.circuit_ms).unwrap_or(i64::MAX))
    .bind(run.cancel_requested_at.map(|at| at.0))
    .bind(run.started_at.map(|at| at.0))
    .bind(run.finished_at.map(|at| at.0))
    .bind(text(&run.usage)?)
    .bind(run.user_turns)
    .bind(run.turns)
    .bind(run.id.0)
    .bind(was.attempt)
    .execute(c)
    .await.db()?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
}

pub(super) async fn insert_turn(c: &mut SqliteConnection, run: Uuid, turn: &Turn) -> Stored<()> {
    let calls = (!turn.tool_calls.is_empty()).then(|| text(&turn.tool_calls)).transpose()?;
    sqlx::query(
        "INSERT INTO turns (run_id, idx, speaker, message, tool_calls, tool, finish, latency_ms, \
         input_tokens, output_tokens, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(run)
    .bind(turn.index)
    .bind(turn.speaker.as_str())
    .bind(turn.message.as_str())
    .bind(calls)
    .bind(turn.tool.as_ref().map(text).transpose()?)
    .bind(turn.finish.map(Finish::as_str))
    .bind(turn.latency_ms)
    .bind(turn.input_tokens.and_then(|n| i64::try_from(n).ok()))
    .bind(turn.output_tokens.and_then(|n| i64::try_from(n).ok()))
    .bind(turn.at.0)
    .execute(c)
    .await.db()?;
    Ok(())
}

/// Writes an evaluation, new or known.
pub(super) async fn save_evaluation(c: &mut SqliteConnection, row: &EvaluationRow) -> Stored<()> {
    let mut body = row.view.clone();
    let raw = body.raw_reply.take();
    sqlx::query(
        "INSERT INTO evaluations (id, run_id, suite_id, space_id, user_id, is_first, status, judge, \
         body, raw_reply, attempt, recoveries, stalled, lease_owner, lease_until, deadline_at, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, body = excluded.body, \
         raw_reply = excluded.raw_reply, attempt = excluded.attempt, recoveries = excluded.recoveries, \
         stalled = excluded.stalled, lease_owner = excluded.lease_owner, \
         lease_until = excluded.lease_until, deadline_at = excluded.deadline_at",
    )
    .bind(row.view.id.0)
    .bind(row.run_id.0)
    .bind(row.suite_id.0)
    .bind(row.space_id.0)
    .bind(row.user_id.0)
    .bind(row.view.is_first)
    .bind(row.view.status.as_str())
    .bind(text(&row.judge)?)
    .bind(text(&body)?)
    .bind(raw)
    .bind(row.attempt)
    .bind(row.recoveries)
    .bind(row.stalled)
    .bind(row.lease_owner.as_deref())
    .bind(row.lease_until.map(|at| at.0))
    .bind(row.deadline_at.map(|at| at.0))
    .bind(row.view.created_at.0)
    .execute(c)
    .await.db()?;
    Ok(())
}
