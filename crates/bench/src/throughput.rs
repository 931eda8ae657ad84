//! How many turns a second become durable, and how long a commit takes.

use crate::furniture::{answer, claim, suite, user};
use crate::numbers::{Table, ms, percentile, sorted};
use crate::recorder::Kept;
use anyhow::{Result, ensure};
use clock::{Clock, SystemClock};
use store::queue::QueueStore;
use store::rows::RunRow;
use store_sqlite::SqliteStore;
use store::transition::Lease;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Runs at once.
const RUNS: u32 = 64;
/// How long each kind is measured.
const SPAN: Duration = Duration::from_secs(8);
/// Turns a second that are promised.
const PROMISED: f64 = 2000.0;

pub(crate) async fn measure(folder: &Path, kept: &Kept, table: &mut Table) -> Result<()> {
    table.times("the disk itself: 4 KiB and fdatasync", disk(folder)?, None);
    let store = Arc::new(SqliteStore::open(&folder.join("turns.db")).await?);
    let owner = user(&store, 1).await?;
    suite(&store, owner, RUNS, SystemClock.now()).await?;
    let runs = store.claim(claim(RUNS, RUNS)).await?;
    ensure!(runs.len() == RUNS as usize, "only {} runs were claimed", runs.len());
    for (what, user_too, turns) in [
        ("one agent turn a commit, 64 runs", false, 1.0),
        ("agent and user turn a commit, 64 runs", true, 2.0),
    ] {
        let (rate, times) = together(&store, &runs, user_too).await?;
        let rate = rate * turns;
        let measured = format!("{rate:.0} turns/s");
        table.promised(what, &measured, &format!("≥ {PROMISED:.0} turns/s"), rate >= PROMISED);
        let (p50, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
        table.told("  a run waits for its commit", &format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
        transactions(kept, table);
    }
    let (rate, times) = together(&store, &runs[..1], false).await?;
    let (p50, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
    table.told("one run alone: a transaction a commit", &format!("{rate:.0} turns/s"));
    table.told("  it waits for its commit", &format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
    transactions(kept, table);
    store.close().await;
    Ok(())
}

/// What the store recorded of its transactions.
fn transactions(kept: &Kept, table: &mut Table) {
    let times = sorted(kept.take("rehearsal_store_commit_seconds"));
    let sizes = sorted(kept.take("rehearsal_store_batch_size"));
    let (p50, p99) = (percentile(&times, 0.5) * 1000.0, percentile(&times, 0.99) * 1000.0);
    table.told("  a transaction takes", &format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
    let (s50, s99) = (percentile(&sizes, 0.5), percentile(&sizes, 0.99));
    let all = times.len();
    table.told("  changes in a transaction", &format!("p50 {s50:.0}, p99 {s99:.0}, of {all}"));
}

/// Commits from all of these runs at once; commits a second, and how long each
/// waited.
async fn together(
    store: &Arc<SqliteStore>,
    runs: &[RunRow],
    user_too: bool,
) -> Result<(f64, Vec<f64>)> {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for run in runs {
        let (store, run) = (store.clone(), run.clone());
        tasks.spawn(async move { one(&store, &run, user_too, began).await });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    let wall = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // some ten thousand
    let rate = times.len() as f64 / wall;
    Ok((rate, sorted(times)))
}

async fn one(
    store: &SqliteStore,
    run: &RunRow,
    user_too: bool,
    began: Instant,
) -> Result<Vec<f64>> {
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let mut times = Vec::new();
    let mut call = Uuid::nil();
    let mut turn = run.turns;
    while began.elapsed() < SPAN {
        let next = SystemClock.uuid();
        let change = answer(call, next, turn, user_too);
        let asked = Instant::now();
        turn = store.commit(&lease, change, SystemClock.now()).await?.turns;
        times.push(ms(asked.elapsed()));
        call = next;
    }
    Ok(times)
}

/// What one durable write costs here at the least: over blocks that are there
/// already, as those of the log mostly are.
fn disk(folder: &Path) -> Result<Vec<f64>> {
    const WRITES: usize = 300;
    let mut file = File::create(folder.join("disk"))?;
    file.write_all(&vec![1; 4096 * WRITES])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(ms(began.elapsed()));
    }
    Ok(times)
}
