//! The event log: events are appended in the transaction of their change and
//! joined with their turns when they are read.

use crate::SqliteStore;
use crate::cell::{Cell, ItemKey, RowReader};
use crate::rows::{RawTurn, document};
use crate::sqlite_error::DbResult;
use crate::suites::transition_suite;
use crate::writer::WriteTransaction;
use domain::{Counts, RunId, RunStatus, SuiteId, Timestamp, Turn};
use serde_json::json;
use sqlx::SqliteConnection;
use store::StoreResult;
use store::rows::{EventRow, StoredEvent};
use store::transition::SuiteTransition;

/// Appends the events of a run to the log of its suite, and finishes the suite
/// with its last run.
pub(super) async fn append(
    tx: &mut WriteTransaction,
    suite: SuiteId,
    mut events: Vec<EventRow>,
    now: Timestamp,
) -> StoreResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    if events.iter().any(EventRow::is_completion) {
        events.extend(finish_suite(tx, suite, now).await?);
    }
    let count = i64::try_from(events.len()).unwrap_or(0);
    let list = event_list(&events)?;
    let newest = sqlx::query_scalar!(
        r#"UPDATE suites SET seq = seq + ? WHERE id = ? RETURNING seq AS "seq: i64";
           INSERT INTO events (suite_id, seq, kind, run_id, turn, payload, at)
           SELECT s.id, s.seq - ? + e.key + 1, e.value ->> 0, unhex(e.value ->> 1),
           e.value ->> 2, e.value ->> 3, ? FROM suites s JOIN json_each(?) e WHERE s.id = ?"#,
        count,
        suite.0,
        count,
        now.0,
        list,
        suite.0,
    );
    // Not `fetch_one`, which would stop after the first row.
    let newest = newest.fetch_all(&mut **tx).await.db()?.pop();
    let newest = newest.ok_or_else(|| RowReader::new("suites", &suite).corrupt("id"))?;
    tx.effects.add_events(suite, newest, events, Vec::new());
    Ok(())
}

/// The kind, run, turn and payload of events as a list in JSON.
pub(super) fn event_list(events: &[EventRow]) -> StoreResult<String> {
    let columns = |event: &EventRow| {
        Ok(match event {
            EventRow::Run(run) => json!(["run", run.id.0.simple(), null, document(run)?]),
            EventRow::Turn { run_id, index } => json!(["turn", run_id.0.simple(), index]),
            EventRow::Finished(finished) => json!(["finished", null, null, document(finished)?]),
        })
    };
    document(&events.iter().map(columns).collect::<StoreResult<Vec<_>>>()?)
}

/// Finishes the suite unless a run is unfinished. Returns its event.
pub(super) async fn finish_suite(
    c: &mut SqliteConnection,
    suite: SuiteId,
    now: Timestamp,
) -> StoreResult<Option<EventRow>> {
    let has_unfinished_runs = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM runs WHERE suite_id = ?
           AND status IN ('pending', 'running')) AS "exists!: bool""#,
        suite.0,
    );
    if has_unfinished_runs.fetch_one(&mut *c).await.db()? {
        return Ok(None);
    }
    let statuses = sqlx::query_scalar!("SELECT status FROM runs WHERE suite_id = ?", suite.0)
        .fetch_all(&mut *c)
        .await
        .db()?;
    let statuses = statuses.into_iter().filter_map(|word| RunStatus::parse(&word.value()?));
    let counts = Counts::from_statuses(statuses);
    let finished = transition_suite(c, suite, SuiteTransition::Finish { counts }, now).await?;
    Ok(finished.ok().flatten())
}

/// An event with its turn, if it has one.
struct RawEvent {
    seq: Cell<i64>,
    kind: Cell<String>,
    run_id: Option<Cell<Vec<u8>>>,
    turn: Option<Cell<i64>>,
    payload: Option<Cell<String>>,
    speaker: Option<Cell<String>>,
    message: Option<Cell<String>>,
    tool_calls: Option<Cell<String>>,
    tool: Option<Cell<String>>,
    finish: Option<Cell<String>>,
    latency_ms: Option<Cell<i64>>,
    input_tokens: Option<Cell<i64>>,
    output_tokens: Option<Cell<i64>>,
    reply: Option<Cell<String>>,
    at: Option<Cell<i64>>,
}

impl RawEvent {
    fn read(self, suite: SuiteId) -> StoreResult<(i64, EventRow, Option<Turn>)> {
        let key = ItemKey(&suite, self.seq.clone().value());
        let row = RowReader::new("events", &key);
        let seq = row.get("seq", self.seq)?;
        let kind: String = row.get("kind", self.kind)?;
        let event = match kind.as_str() {
            "run" => EventRow::Run(row.json("payload", self.payload)?),
            "finished" => EventRow::Finished(row.json("payload", self.payload)?),
            "turn" => {
                let run_id: RunId = row.get("run_id", self.run_id)?;
                let missing = || row.corrupt("turn");
                let turn = RawTurn {
                    idx: self.turn.ok_or_else(missing)?,
                    speaker: self.speaker.ok_or_else(missing)?,
                    message: self.message.ok_or_else(missing)?,
                    tool_calls: self.tool_calls,
                    tool: self.tool,
                    finish: self.finish,
                    latency_ms: self.latency_ms,
                    input_tokens: self.input_tokens,
                    output_tokens: self.output_tokens,
                    reply: self.reply,
                    at: self.at.ok_or_else(missing)?,
                };
                let turn = turn.read(run_id)?;
                return Ok((seq, EventRow::Turn { run_id, index: turn.index }, Some(turn)));
            }
            _ => return Err(row.corrupt("kind")),
        };
        Ok((seq, event, None))
    }
}

impl SqliteStore {
    /// Events in order, from memory if they are the newest of a suite that is being read. A
    /// corrupt event is an error, because readers rely on numbers without gaps.
    pub(super) async fn read_events(
        &self,
        suite: SuiteId,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<StoredEvent>> {
        match self.event_notifier.events_after(suite, after, limit) {
            Some(events) => Ok(events),
            None => self.read_stored_events(suite, after, limit).await,
        }
    }

    pub(super) async fn read_stored_events(
        &self,
        suite: SuiteId,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<StoredEvent>> {
        let events = sqlx::query_as!(
            RawEvent,
            r#"SELECT e.seq, e.kind, e.run_id, e.turn, e.payload, t.speaker AS "speaker?",
               t.message AS "message?", t.tool_calls AS "tool_calls?", t.tool AS "tool?",
               t.finish AS "finish?", t.latency_ms AS "latency_ms?",
               t.input_tokens AS "input_tokens?", t.output_tokens AS "output_tokens?",
               t.reply AS "reply?", t.at AS "at?"
               FROM events e LEFT JOIN turns t ON t.run_id = e.run_id AND t.idx = e.turn
               WHERE e.suite_id = ?1 AND e.seq > ?2
               AND (SELECT events_state FROM suites WHERE id = ?1) = 0 ORDER BY e.seq LIMIT ?3"#,
            suite.0,
            after,
            limit,
        );
        let events = events.fetch_all(&self.read).await.db()?;
        events.into_iter().map(|event| event.read(suite)).collect()
    }
}

/// The turns of a run, in order.
pub(super) async fn read_turns(c: &mut SqliteConnection, run: RunId) -> StoreResult<Vec<Turn>> {
    let turns = sqlx::query_as!(
        RawTurn,
        "SELECT idx, speaker, message, tool_calls, tool, finish, latency_ms, input_tokens, \
         output_tokens, reply, at FROM turns WHERE run_id = ? ORDER BY idx",
        run.0,
    );
    let turns = turns.fetch_all(c).await.db()?;
    turns.into_iter().map(|turn| turn.read(run)).collect()
}
