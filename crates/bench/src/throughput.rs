//! Durable turns per second and commit latency.

use crate::fixtures::{agent_turn, claim, create_suite, create_user};
use crate::recorder::HistogramRecorder;
use crate::table::{Table, ms, percentile, sorted};
use anyhow::{Result, ensure};
use clock::{Clock, SystemClock};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::queue::QueueStore;
use store::rows::RunRow;
use store_sqlite::SqliteStore;
use uuid::Uuid;

/// Concurrent runs.
const RUNS: u32 = 64;
/// The duration of each measurement.
const DURATION: Duration = Duration::from_secs(8);
/// The required number of turns per second.
const REQUIRED: f64 = 2000.0;

pub(crate) async fn measure(
    folder: &Path,
    recorder: &HistogramRecorder,
    table: &mut Table,
) -> Result<()> {
    table.times("write of 4 KiB and fdatasync", disk_write_times(folder)?, None);
    let store = Arc::new(SqliteStore::open(&folder.join("turns.db")).await?);
    let owner = create_user(&store, 1).await?;
    create_suite(&store, owner, RUNS, SystemClock.now()).await?;
    let runs = store.claim(claim(RUNS, RUNS)).await?;
    ensure!(runs.len() == RUNS as usize, "only {} runs were claimed", runs.len());
    for (check, with_user_turn, turns) in [
        ("one agent turn per commit, 64 runs", false, 1.0),
        ("agent and user turn per commit, 64 runs", true, 2.0),
    ] {
        let (rate, times) = commit_concurrently(&store, &runs, with_user_turn).await?;
        let rate = rate * turns;
        let measured = format!("{rate:.0} turns/s");
        let required = format!("≥ {REQUIRED:.0} turns/s");
        table.require(check, &measured, &required, rate >= REQUIRED);
        commit_times(&times, recorder, table);
    }
    let (rate, times) = commit_concurrently(&store, &runs[..1], false).await?;
    table.record("one run: one commit per transaction", &format!("{rate:.0} turns/s"));
    commit_times(&times, recorder, table);
    store.close().await;
    Ok(())
}

/// Records the commit latency that runs see, and the store's metrics.
fn commit_times(latencies: &[f64], recorder: &HistogramRecorder, table: &mut Table) {
    let (p50, p99) = (percentile(latencies, 0.5), percentile(latencies, 0.99));
    table.record("  commit latency of a run", &format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
    let times = sorted(recorder.take("rehearsal_store_commit_seconds"));
    let sizes = sorted(recorder.take("rehearsal_store_batch_size"));
    let (p50, p99) = (percentile(&times, 0.5) * 1000.0, percentile(&times, 0.99) * 1000.0);
    table.record("  transaction latency", &format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
    let (s50, s99) = (percentile(&sizes, 0.5), percentile(&sizes, 0.99));
    let all = times.len();
    table.record("  commits per transaction", &format!("p50 {s50:.0}, p99 {s99:.0}, of {all}"));
}

/// Commits turns of all runs concurrently. Returns the commits per second and
/// their sorted latencies.
async fn commit_concurrently(
    store: &Arc<SqliteStore>,
    runs: &[RunRow],
    with_user_turn: bool,
) -> Result<(f64, Vec<f64>)> {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for run in runs {
        let (store, run) = (store.clone(), run.clone());
        tasks.spawn(async move { commit_turns(&store, &run, with_user_turn, start).await });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    Ok((rate, sorted(times)))
}

async fn commit_turns(
    store: &SqliteStore,
    run: &RunRow,
    with_user_turn: bool,
    start: Instant,
) -> Result<Vec<f64>> {
    let lease = run.lease();
    let mut times = Vec::new();
    let mut call = Uuid::nil();
    let mut turn = run.turns;
    while start.elapsed() < DURATION {
        let next = SystemClock.uuid();
        let change = agent_turn(call, next, turn, with_user_turn);
        let started = Instant::now();
        turn = store.commit(&lease, change, SystemClock.now()).await?.turns;
        times.push(ms(started.elapsed()));
        call = next;
    }
    Ok(times)
}

/// The latency of durable writes to allocated blocks, which bounds the commit
/// latency from below: most writes to the WAL are such writes.
fn disk_write_times(folder: &Path) -> Result<Vec<f64>> {
    const WRITES: usize = 300;
    let mut file = File::create(folder.join("disk"))?;
    file.write_all(&vec![1; 4096 * WRITES])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(ms(start.elapsed()));
    }
    Ok(times)
}
