//! A history of so many turns: one suite that was made as the server makes
//! them, copied again and again with ids and times of its own.

use crate::furniture::{answer, claim, suite};
use anyhow::{Context, Result};
use domain::{Evaluation, EvaluationStatus, RunStatus, SpaceId, Timestamp, UserId};
use clock::{Clock, SystemClock};
use store::queue::QueueStore;
use store_sqlite::SqliteStore;
use store::transition::{Change, Final, Lease};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::path::Path;
use uuid::Uuid;

/// Runs of a suite, and turns of a run.
const RUNS: u32 = 50;
const TURNS: u32 = 10;
/// Between two suites, in ms: a million turns are some months.
const APART: i64 = 3_600_000;
/// Suites that one statement makes.
const CHUNK: u32 = 100;

/// Makes the first suite; then copies it until there are so many turns.
pub(crate) async fn history(
    store: &SqliteStore,
    file: &Path,
    owner: (UserId, SpaceId),
    turns: u32,
) -> Result<()> {
    let suites = (turns / (RUNS * TURNS)).max(1);
    let began = Timestamp(SystemClock.now().0 - i64::from(suites) * APART);
    let first = suite(store, owner, RUNS, began).await?;
    let runs = store.claim(claim(RUNS, RUNS)).await?;
    for run in &runs {
        talk(store, &Lease { run_id: run.id, attempt: run.attempt }).await?;
    }
    let options = SqliteConnectOptions::new().filename(file).synchronous(SqliteSynchronous::Off);
    let mut c = SqliteConnection::connect_with(&options).await?;
    for from in (1..suites).step_by(CHUNK as usize) {
        let to = (from + CHUNK).min(suites) - 1;
        for (table, of) in [
            ("suites", "id = ?1"),
            ("runs", "suite_id = ?1"),
            ("turns", "run_id IN (SELECT id FROM runs WHERE suite_id = ?1)"),
            ("calls", "run_id IN (SELECT id FROM runs WHERE suite_id = ?1)"),
            ("evaluations", "suite_id = ?1"),
            ("events", "suite_id = ?1"),
        ] {
            copy(&mut c, table, of, first.0, (from, to)).await?;
        }
    }
    c.close().await?;
    Ok(())
}

/// A conversation and its verdict.
async fn talk(store: &SqliteStore, lease: &Lease) -> Result<()> {
    let mut call = Uuid::nil();
    for turn in 0..TURNS / 2 {
        let next = SystemClock.uuid();
        store.commit(lease, answer(call, next, turn * 2, true), SystemClock.now()).await?;
        call = next;
    }
    let now = SystemClock.now();
    let asked = Evaluation::asked(SystemClock.uuid().into(), "a-judge-of-today", 1, now);
    let evaluation = Evaluation {
        is_first: true,
        status: EvaluationStatus::Done,
        raw_reply: Some("{\"items\": [\"a verdict in the judge's own words\"]}".repeat(20)),
        summary: "It was helpful and named the date. ".repeat(5),
        ..asked
    };
    let finish = Final { status: RunStatus::Passed, score: Some(90.0), error: None };
    let evaluation = Some(Box::new(evaluation));
    let change = Change { evaluation, finish: Some(finish), ..Change::default() };
    store.commit(lease, change, now).await?;
    Ok(())
}

/// Copies the rows of a table so many times, one copy a suite.
async fn copy(
    c: &mut SqliteConnection,
    table: &'static str,
    of: &'static str,
    first: Uuid,
    (from, to): (u32, u32),
) -> Result<()> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
        .bind(table)
        .fetch_all(&mut *c)
        .await?;
    let values = columns.iter().map(|column| match column.as_str() {
        // An id keeps its tail and gets the time of its copy.
        "id" | "suite_id" | "run_id" => {
            format!(
                "CAST(unhex(printf('%012x', ?4 + n.i * {APART})) || substr({column}, 7) AS BLOB)"
            )
        }
        "agent_id" => {
            "CAST(substr(agent_id, 1, 15) || unhex(printf('%02x', n.i % 20)) AS BLOB)".to_owned()
        }
        "created_at" | "started_at" | "finished_at" | "at" | "deadline_at" | "done_at" => {
            format!("{column} + n.i * {APART}")
        }
        other => other.to_owned(),
    });
    let values: Vec<String> = values.collect();
    let sql = format!(
        "WITH n(i) AS (SELECT ?2 UNION ALL SELECT i + 1 FROM n WHERE i < ?3) \
         INSERT INTO {table} ({}) SELECT {} FROM n CROSS JOIN {table} AS t WHERE {of}",
        columns.join(", "),
        values.join(", ")
    );
    let base = i64::try_from(first.as_u128() >> 80)?;
    sqlx::query(AssertSqlSafe(sql))
        .bind(first)
        .bind(from)
        .bind(to)
        .bind(base)
        .execute(c)
        .await
        .with_context(|| format!("copying {table}"))?;
    Ok(())
}
