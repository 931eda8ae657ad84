//! Events: appended in the transaction of their change, joined with their
//! turns when read.

use crate::trouble::DbResult;
use super::rows::{text, turn};
use super::{SqliteStore, rows};
use store::rows::EventRow;
use store::{StoreError, Stored, ended};
use domain::{RunStatus, SuiteId, SuiteStatus, Timestamp, Turn};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

/// Appends `events` and, where the last run of the suite just became final,
/// ends the suite. Answers the newest seq.
pub(super) async fn append(
    c: &mut SqliteConnection,
    suite: SuiteId,
    mut events: Vec<EventRow>,
    now: Timestamp,
) -> Stored<i64> {
    if events.iter().any(|event| matches!(event, EventRow::Run(run) if run.status.is_final()))
        && let Some(finished) = finish_suite(c, suite, now).await?
    {
        events.push(finished);
    }
    ended::note(suite, &events);
    let count = i64::try_from(events.len()).unwrap_or(0);
    let newest: i64 =
        sqlx::query_scalar("UPDATE suites SET seq = seq + ? WHERE id = ? RETURNING seq")
            .bind(count)
            .bind(suite.0)
            .fetch_one(&mut *c)
            .await.db()?;
    for (event, seq) in events.iter().zip(newest - count + 1..) {
        insert(c, suite, seq, event, now).await?;
    }
    Ok(newest)
}

async fn insert(
    c: &mut SqliteConnection,
    suite: SuiteId,
    seq: i64,
    event: &EventRow,
    now: Timestamp,
) -> Stored<()> {
    let (kind, run, turn, payload) = match event {
        EventRow::Run(run) => ("run", Some(run.id.0), None, Some(text(run)?)),
        EventRow::Turn { run_id, index } => ("turn", Some(run_id.0), Some(*index), None),
        EventRow::Finished(finished) => ("finished", None, None, Some(text(finished)?)),
    };
    sqlx::query(
        "INSERT INTO events (suite_id, seq, kind, run_id, turn, payload, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(suite.0)
    .bind(seq)
    .bind(kind)
    .bind(run)
    .bind(turn)
    .bind(payload)
    .bind(now.0)
    .execute(c)
    .await.db()?;
    Ok(())
}

/// Ends the suite if none of its runs is unfinished.
async fn finish_suite(
    c: &mut SqliteConnection,
    suite: SuiteId,
    now: Timestamp,
) -> Stored<Option<EventRow>> {
    let ended = sqlx::query_scalar::<_, String>(
        "UPDATE suites SET finished_at = ?1, \
         status = CASE WHEN cancel_requested_at IS NULL THEN 'finished' ELSE 'cancelled' END \
         WHERE id = ?2 AND status IN ('pending', 'running') AND NOT EXISTS \
         (SELECT 1 FROM runs WHERE suite_id = ?2 AND status IN ('pending', 'running')) \
         RETURNING status",
    )
    .bind(now.0)
    .bind(suite.0)
    .fetch_optional(&mut *c)
    .await.db()?;
    let Some(status) = ended.and_then(|word| SuiteStatus::from_word(&word)) else {
        return Ok(None);
    };
    let statuses: Vec<String> = sqlx::query_scalar("SELECT status FROM runs WHERE suite_id = ?")
        .bind(suite.0)
        .fetch_all(c)
        .await.db()?;
    let statuses = statuses.iter().filter_map(|word| RunStatus::from_word(word));
    let counts = domain::Counts::from_statuses(statuses);
    Ok(Some(EventRow::Finished(domain::Finished { status, counts })))
}

impl SqliteStore {
    pub(super) async fn read_events(
        &self,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> Stored<Vec<(i64, EventRow, Option<Turn>)>> {
        let rows = sqlx::query(
            "SELECT e.seq, e.kind, e.run_id AS event_run, e.payload, t.idx, t.speaker, t.message, \
             t.tool_calls, t.tool, t.finish, t.latency_ms, t.input_tokens, t.output_tokens, t.at \
             FROM events e LEFT JOIN turns t ON t.run_id = e.run_id AND t.idx = e.turn \
             WHERE e.suite_id = ?1 AND e.seq > ?2 \
             AND (SELECT events_state FROM suites WHERE id = ?1) = 0 ORDER BY e.seq LIMIT ?3",
        )
        .bind(suite.0)
        .bind(seq)
        .bind(limit)
        .fetch_all(&self.read)
        .await.db()?;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let seq: i64 = row.try_get("seq").db()?;
            let kind: String = row.try_get("kind").db()?;
            let payload: Option<String> = row.try_get("payload").db()?;
            let damaged = |what: String| StoreError::Damaged(format!("event {seq}: {what}"));
            let payload = payload.as_deref().unwrap_or("null");
            let event = match kind.as_str() {
                "run" => EventRow::Run(
                    serde_json::from_str(payload).map_err(|error| damaged(error.to_string()))?,
                ),
                "finished" => EventRow::Finished(
                    serde_json::from_str(payload).map_err(|error| damaged(error.to_string()))?,
                ),
                "turn" => {
                    let turn = turn(&row)?;
                    let run_id: Uuid = row.try_get("event_run").db()?;
                    let event = EventRow::Turn { run_id: run_id.into(), index: turn.index };
                    events.push((seq, event, Some(turn)));
                    continue;
                }
                other => return Err(damaged(format!("kind {other:?}"))),
            };
            events.push((seq, event, None));
        }
        Ok(events)
    }

    /// Turns of a run, in order.
    pub(super) async fn read_turns(&self, run: Uuid) -> Stored<Vec<Turn>> {
        let rows = sqlx::query("SELECT * FROM turns WHERE run_id = ? ORDER BY idx")
            .bind(run)
            .fetch_all(&self.read)
            .await.db()?;
        rows.iter().map(rows::turn).collect()
    }
}
