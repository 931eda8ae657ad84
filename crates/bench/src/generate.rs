//! Generates a long history: creates one suite as the server does, then copies
//! its rows with new ids and times.

use crate::fixtures::{agent_turn, claim, create_suite};
use anyhow::{Context, Result};
use clock::{Clock, SystemClock};
use domain::{Evaluation, EvaluationStatus, RunStatus, SpaceId, Timestamp, UserId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::path::Path;
use store::queue::QueueStore;
use store::transition::{Lease, RunChange, RunOutcome};
use store_sqlite::SqliteStore;
use uuid::Uuid;

const RUNS_PER_SUITE: u32 = 50;
const TURNS_PER_RUN: u32 = 10;
/// Milliseconds between two suites: a million turns cover some months.
const SUITE_INTERVAL_MS: i64 = 3_600_000;
/// Suites that one statement creates.
const BATCH: u32 = 100;

/// Generates `turns` turns.
pub(crate) async fn generate(
    store: &SqliteStore,
    file: &Path,
    owner: (UserId, SpaceId),
    turns: u32,
) -> Result<()> {
    let suites = (turns / (RUNS_PER_SUITE * TURNS_PER_RUN)).max(1);
    let start = Timestamp(SystemClock.now().0 - i64::from(suites) * SUITE_INTERVAL_MS);
    let first = create_suite(store, owner, RUNS_PER_SUITE, start).await?;
    let runs = store.claim(claim(RUNS_PER_SUITE, RUNS_PER_SUITE)).await?;
    for run in &runs {
        finish_run(store, &run.lease()).await?;
    }
    let options = SqliteConnectOptions::new().filename(file).synchronous(SqliteSynchronous::Off);
    let mut c = SqliteConnection::connect_with(&options).await?;
    for from in (1..suites).step_by(BATCH as usize) {
        let to = (from + BATCH).min(suites) - 1;
        for (table, condition) in [
            ("suites", "id = ?1"),
            ("runs", "suite_id = ?1"),
            ("turns", "run_id IN (SELECT id FROM runs WHERE suite_id = ?1)"),
            ("calls", "run_id IN (SELECT id FROM runs WHERE suite_id = ?1)"),
            ("evaluations", "suite_id = ?1"),
            ("events", "suite_id = ?1"),
        ] {
            copy_rows(&mut c, table, condition, first.0, (from, to)).await?;
        }
    }
    c.close().await?;
    Ok(())
}

/// Commits a conversation and its verdict.
async fn finish_run(store: &SqliteStore, lease: &Lease) -> Result<()> {
    let mut call = Uuid::nil();
    for turn in 0..TURNS_PER_RUN / 2 {
        let next = SystemClock.uuid();
        store.commit(lease, agent_turn(call, next, turn * 2, true), SystemClock.now()).await?;
        call = next;
    }
    let now = SystemClock.now();
    let pending = Evaluation::pending(SystemClock.uuid().into(), "provider-judge-1", 1, now);
    let evaluation = Evaluation {
        is_first: true,
        status: EvaluationStatus::Done,
        raw_reply: Some("{\"items\": [\"the raw reply that the judge wrote\"]}".repeat(20)),
        summary: "It was helpful and named the date. ".repeat(5),
        ..pending
    };
    let finish = RunOutcome { status: RunStatus::Passed, score: Some(90.0), error: None };
    let evaluation = Some(Box::new(evaluation));
    let change = RunChange { evaluation, finish: Some(finish), ..RunChange::default() };
    store.commit(lease, change, now).await?;
    Ok(())
}

/// Copies the rows of the first suite once for each suite in the range.
async fn copy_rows(
    c: &mut SqliteConnection,
    table: &'static str,
    condition: &'static str,
    first: Uuid,
    (from, to): (u32, u32),
) -> Result<()> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
        .bind(table)
        .fetch_all(&mut *c)
        .await?;
    let values = columns.iter().map(|column| match column.as_str() {
        // Replaces the time in the UUIDv7.
        "id" | "suite_id" | "run_id" => {
            format!(
                "CAST(unhex(printf('%012x', ?4 + n.i * {SUITE_INTERVAL_MS})) || substr({column}, 7) AS BLOB)"
            )
        }
        "agent_id" => {
            "CAST(substr(agent_id, 1, 15) || unhex(printf('%02x', n.i % 20)) AS BLOB)".to_owned()
        }
        "created_at" | "started_at" | "finished_at" | "at" | "deadline_at" | "done_at" => {
            format!("{column} + n.i * {SUITE_INTERVAL_MS}")
        }
        other => other.to_owned(),
    });
    let values: Vec<String> = values.collect();
    let sql = format!(
        "WITH n(i) AS (SELECT ?2 UNION ALL SELECT i + 1 FROM n WHERE i < ?3) \
         INSERT INTO {table} ({}) SELECT {} FROM n CROSS JOIN {table} AS t WHERE {condition}",
        columns.join(", "),
        values.join(", ")
    );
    let base = i64::try_from(first.as_u128() >> 80)?;
    let copy = sqlx::query(AssertSqlSafe(sql)).bind(first).bind(from).bind(to).bind(base);
    copy.execute(c).await.with_context(|| format!("copying {table}"))?;
    Ok(())
}
