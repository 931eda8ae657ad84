//! Saves a changed run together with its events, turns and calls in one query, because
//! each query is handed over to the thread of SQLite and back.

use crate::events::{append, event_list, finish_suite};
use crate::rows::{document, integer, turn_list};
use crate::spending::stored;
use crate::sqlite_error::DbResult;
use crate::writer::WriteTransaction;
use domain::{EndReason, Stage, Timestamp, Turn};
use store::rows::{CallDone, EventRow, Intent, RunRow};
use store::transition::Lease;
use store::{StoreError, StoreResult};

/// What a change stores besides the state of the run and its events.
#[derive(Default)]
pub(super) struct CommitRows {
    /// With their indices.
    pub(super) turns: Vec<Turn>,
    pub(super) calls_done: Vec<CallDone>,
    pub(super) intents: Vec<Intent>,
}

/// The rows of a change as lists in JSON, for `json_each`.
struct Lists {
    events: String,
    turns: String,
    calls_done: String,
    intents: String,
}

impl Lists {
    fn new(events: &[EventRow], rows: &CommitRows) -> StoreResult<Self> {
        let calls_done = rows.calls_done.iter().map(|call| {
            let cost = call.cost.map(stored);
            (call.id.simple().to_string(), &call.outcome, call.attempts, call.latency_ms, cost)
        });
        let intents = rows
            .intents
            .iter()
            .map(|intent| (intent.id.simple().to_string(), intent.role.as_str(), intent.turn));
        Ok(Self {
            events: event_list(events)?,
            turns: turn_list(&rows.turns)?,
            calls_done: document(&calls_done.collect::<Vec<_>>())?,
            intents: document(&intents.collect::<Vec<_>>())?,
        })
    }
}

/// Saves the columns of a run that can change, and everything that belongs to the same
/// change. Finishes the suite with its last run.
///
/// # Errors
/// `LeaseLost` if the run is final or no longer at this epoch.
pub(super) async fn save_run(
    tx: &mut WriteTransaction,
    run: &RunRow,
    previous: &Lease,
    (events, rows): (Vec<EventRow>, CommitRows),
    now: Timestamp,
) -> StoreResult<()> {
    let status = run.status.as_str();
    let stage = run.stage.map(Stage::as_str);
    let waiting = run.waiting.as_ref().map(document).transpose()?;
    let error_kind = run.error.as_ref().map(|error| error.kind.as_str());
    let error_message = run.error.as_ref().map(|error| &*error.message);
    let end_reason = run.end_reason.map(EndReason::as_str);
    let lease_until = run.lease_until.map(|at| at.0);
    let deadline_at = run.deadline_at.map(|at| at.0);
    let deadline_paused_at = run.deadline_paused_at.map(|at| at.0);
    let (active_ms, waited_ms) = (integer(run.active_ms)?, integer(run.waited_ms)?);
    let circuit_ms = integer(run.circuit_ms)?;
    let cancel_requested_at = run.cancel_requested_at.map(|at| at.0);
    let started_at = run.started_at.map(|at| at.0);
    let finished_at = run.finished_at.map(|at| at.0);
    let usage = document(&run.usage)?;
    let event_count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let lists = Lists::new(&events, &rows)?;
    let has_completion = events.iter().any(EventRow::is_completion);
    // The condition `changes() = 1` ties a statement to the one before it. Calls are found
    // by the hexadecimal form of their ids, because JSON has no bytes.
    macro_rules! save {
        ($savepoint:literal) => {
            sqlx::query!(
                $savepoint
                    + "UPDATE runs SET status = ?, stage = ?, waiting = ?, parked = ?, score = ?, \
                 error_kind = ?, error_message = ?, end_reason = ?, lease_epoch = ?, \
                 recoveries = ?, recoveries_without_progress = ?, lease_owner = ?, \
                 lease_until = ?, deadline_at = ?, deadline_paused_at = ?, active_ms = ?, \
                 parked_ms = ?, circuit_ms = ?, cancel_requested_at = ?, started_at = ?, \
                 finished_at = ?, usage = ?, user_turns = ?, turns = ?, session_id = ?, \
                 unconfirmed_call = ? \
                 WHERE id = ? AND lease_epoch = ? AND status IN ('pending', 'running'); \
                 UPDATE suites SET seq = seq + ? WHERE id = ? AND changes() = 1 RETURNING \
                 seq AS \"seq!: i64\", EXISTS (SELECT 1 FROM runs WHERE suite_id = suites.id AND \
                 status IN ('pending', 'running')) AS \"has_unfinished_runs!: bool\"; \
                 INSERT INTO events (suite_id, seq, kind, run_id, turn, payload, at) \
                 SELECT s.id, s.seq - ? + e.key + 1, e.value ->> 0, unhex(e.value ->> 1), \
                 e.value ->> 2, e.value ->> 3, ? \
                 FROM suites s JOIN json_each(?) e WHERE s.id = ? AND changes() = 1; \
                 INSERT INTO turns (run_id, idx, speaker, message, tool_calls, tool, finish, \
                 latency_ms, input_tokens, output_tokens, reply, at) SELECT ?, value ->> 0, \
                 value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
                 value ->> 7, value ->> 8, value ->> 9, value ->> 10 FROM json_each(?); \
                 UPDATE calls SET outcome = d.value ->> 1, attempts = d.value ->> 2, \
                 latency_ms = d.value ->> 3, cost_nano_usd = d.value ->> 4, done_at = ? FROM json_each(?) d \
                 WHERE calls.id = unhex(d.value ->> 0); \
                 INSERT INTO calls (id, run_id, lease_epoch, role, turn, created_at) \
                 SELECT unhex(value ->> 0), ?, ?, value ->> 1, value ->> 2, ? FROM json_each(?)",
                status,
                stage,
                waiting,
                run.parked,
                run.score,
                error_kind,
                error_message,
                end_reason,
                run.lease_epoch,
                run.recoveries,
                run.recoveries_without_progress,
                run.lease_owner,
                lease_until,
                deadline_at,
                deadline_paused_at,
                active_ms,
                waited_ms,
                circuit_ms,
                cancel_requested_at,
                started_at,
                finished_at,
                usage,
                run.user_turns,
                run.turns,
                run.session_id,
                run.unconfirmed_call,
                run.id.0,
                previous.lease_epoch,
                event_count,
                run.suite_id.0,
                event_count,
                now.0,
                lists.events,
                run.suite_id.0,
                run.id.0,
                lists.turns,
                now.0,
                lists.calls_done,
                run.id.0,
                run.lease_epoch,
                now.0,
                lists.intents,
            )
            // Not `fetch_one`, which would stop after the first row.
            .fetch_all(&mut **tx)
            .await
            .db()?
            .pop()
            .map(|suite| (suite.seq, suite.has_unfinished_runs))
        };
    }
    let saved = if tx.take_needs_savepoint() {
        save!("RELEASE change; SAVEPOINT change; ")
    } else {
        save!("")
    };
    let (newest, has_unfinished_runs) = saved.ok_or(StoreError::LeaseLost)?;
    if !events.is_empty() {
        tx.effects.add_events(run.suite_id, newest, events, rows.turns);
    }
    if has_completion && !has_unfinished_runs {
        let finished = finish_suite(tx, run.suite_id, now).await?;
        append(tx, run.suite_id, finished.into_iter().collect(), now).await?;
    }
    Ok(())
}
