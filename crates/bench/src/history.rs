//! Lists, pages, claims and retention with a long history.

use crate::fixtures::{agent_turn, claim, create_suite, create_user};
use crate::generate::generate;
use crate::table::{Table, ms};
use anyhow::{Context, Result};
use clock::{Clock, SystemClock};
use domain::services::HistoryFilter;
use domain::{AgentId, ScenarioId, SpaceId, UserId};
use std::ops::Range;
use std::path::Path;
use std::time::Instant;
use store::queue::QueueStore;
use store::retention::{Expired, RetentionStore};
use store::suites::{SuiteStore, TimeCursor};
use store_sqlite::SqliteStore;
use uuid::Uuid;

/// The required p95 of lists and the suite page.
const MAX_MS: f64 = 20.0;
/// The required p95 of a claim, however many runs are unfinished.
const MAX_CLAIM_MS: f64 = 5.0;
/// Repetitions of each measurement.
const REPEATS: usize = 200;
/// Other users with pending runs: 10,000 runs, and 50,000 for the second measurement.
const USERS: u128 = 20;
const MANY_USERS: u128 = 100;
const SUITES_PER_USER: u32 = 5;
const RUNS_PER_SUITE: u32 = 100;

/// Evaluates an expression repeatedly and adds its times to the table.
macro_rules! measure {
    ($table:expr, $check:expr, $body:expr) => {
        measure!($table, $check, $body, REPEATS, Some(MAX_MS))
    };
    ($table:expr, $check:expr, $body:expr, $repeats:expr, $max:expr) => {{
        let mut times = Vec::new();
        for _ in 0..$repeats {
            let start = Instant::now();
            $body;
            times.push(ms(start.elapsed()));
        }
        $table.times($check, times, $max);
    }};
}

pub(crate) async fn measure(folder: &Path, turns: u32, table: &mut Table) -> Result<()> {
    let file = folder.join("history.db");
    let store = SqliteStore::open(&file).await?;
    let owner = create_user(&store, 1).await?;
    let start = Instant::now();
    generate(&store, &file, owner, turns).await?;
    table.record("generated in", &format!("{:.0} s", start.elapsed().as_secs_f64()));
    let start = Instant::now();
    store.optimize().await?;
    table.record("statistics (PRAGMA optimize)", &format!("{:.1} ms", ms(start.elapsed())));
    create_pending_runs(&store, 0..USERS).await?;
    // Reopens the store so that every connection loads the statistics.
    store.close().await;
    let store = SqliteStore::open(&file).await?;
    lists(&store, owner.1, table).await?;
    pages(&store, owner.1, table).await?;
    queue(&store, owner, table).await?;
    create_pending_runs(&store, USERS..MANY_USERS).await?;
    // The schedule is read again.
    store.close().await;
    let store = SqliteStore::open(&file).await?;
    let start = Instant::now();
    let runs = store.claim(claim(1, 8)).await?;
    let first = format!("{:.1} ms", ms(start.elapsed()));
    table.record("first claim after a start, 50,000 pending", &first);
    for run in runs {
        store.release(&run.lease(), SystemClock.now()).await?;
    }
    claims(&store, "50,000", table).await?;
    store.close().await;
    let bytes = std::fs::metadata(&file)?.len() as f64;
    let per_turn = bytes / f64::from(turns);
    table.record(
        "size of the file",
        &format!("{:.0} MB, {per_turn:.0} bytes per turn", bytes / 1e6),
    );
    let store = SqliteStore::open(&file).await?;
    retention(&store, owner.1, table).await?;
    store.close().await;
    Ok(())
}

/// Creates pending runs of other users.
async fn create_pending_runs(store: &SqliteStore, users: Range<u128>) -> Result<()> {
    for n in users.map(|n| n + 2) {
        let owner = create_user(store, n).await?;
        for _ in 0..SUITES_PER_USER {
            create_suite(store, owner, RUNS_PER_SUITE, SystemClock.now()).await?;
        }
    }
    Ok(())
}

async fn lists(store: &SqliteStore, space: SpaceId, table: &mut Table) -> Result<()> {
    let all = HistoryFilter::default();
    let agent = HistoryFilter { agent: Some(AgentId(Uuid::from_u128(5))), ..all.clone() };
    let scenario =
        HistoryFilter { scenario: Some(ScenarioId(Uuid::from_u128(50_007))), ..all.clone() };
    let status =
        |word: &str| HistoryFilter { status: Some(word.into()), ..HistoryFilter::default() };
    let kind = HistoryFilter { error_kind: Some("circuit_open".into()), ..all.clone() };
    let both = HistoryFilter { status: Some("failed".into()), ..agent.clone() };
    let first = store.suites(space, &all, None, 1).await?;
    let newest = first.first().context("no suite")?.0.created_at;
    // The middle of the history.
    let middle = {
        let oldest = store.suites(space, &all, None, 1_000_000).await?;
        let oldest = oldest.last().context("no suite")?.0.created_at;
        Some(TimeCursor { at: oldest.plus(newest.since(oldest) / 2), id: Uuid::nil() })
    };
    for (check, filter, before) in [
        ("suites, first page", &all, None),
        ("suites, middle page", &all, middle),
        ("suites of an agent", &agent, None),
        ("cancelled suites (none)", &status("cancelled"), None),
    ] {
        measure!(table, check, store.suites(space, filter, before, 51).await?);
    }
    measure!(table, "unfinished suites", store.unfinished_suites(space).await?);
    for (check, filter, before) in [
        ("runs, first page", &all, None),
        ("runs, middle page", &all, middle),
        ("runs of an agent", &agent, None),
        ("runs of a scenario", &scenario, None),
        ("passed runs", &status("passed"), None),
        ("failed runs (none)", &status("failed"), None),
        ("runs with one kind of error (none)", &kind, None),
        ("failed runs of an agent (none)", &both, None),
    ] {
        measure!(table, check, store.runs(space, filter, before, 51).await?);
    }
    Ok(())
}

async fn pages(store: &SqliteStore, space: SpaceId, table: &mut Table) -> Result<()> {
    let newest = store.suites(space, &HistoryFilter::default(), None, 1).await?;
    let suite = newest.first().context("no suite")?.0.id;
    let (row, runs) = store.suite(space, suite).await?.context("no suite")?;
    let run = runs.first().context("no run")?.id;
    let scenarios: Vec<_> = runs.iter().map(|run| run.scenario.id).collect();
    measure!(table, "suite with its 50 runs", store.suite(space, suite).await?);
    measure!(table, "run with transcript and evaluations", {
        store.run(space, run).await?;
        store.transcript(run).await?;
        store.evaluations(run).await?
    });
    measure!(table, "first 256 events", store.events_after(suite, 0, 256).await?);
    measure!(table, "latest event", store.events_after(suite, row.seq - 1, 256).await?);
    measure!(
        table,
        "duration of earlier runs",
        store.mean_run_duration_ms(space, &scenarios).await?
    );
    Ok(())
}

/// Claims a run and stores a turn of it, repeatedly.
async fn claims(store: &SqliteStore, pending: &str, table: &mut Table) -> Result<()> {
    let mut claims = Vec::new();
    let mut commits = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        let runs = store.claim(claim(1, 8)).await?;
        claims.push(ms(start.elapsed()));
        let run = runs.first().context("nothing to claim")?;
        let lease = run.lease();
        let start = Instant::now();
        let change = agent_turn(Uuid::nil(), SystemClock.uuid(), 0, false);
        store.commit(&lease, change, SystemClock.now()).await?;
        commits.push(ms(start.elapsed()));
        store.release(&lease, SystemClock.now()).await?;
    }
    table.times(&format!("claim of one run, {pending} pending"), claims, Some(MAX_CLAIM_MS));
    table.times("commit of one turn", commits, Some(MAX_MS));
    Ok(())
}

async fn queue(store: &SqliteStore, owner: (UserId, SpaceId), table: &mut Table) -> Result<()> {
    claims(store, "10,000", table).await?;
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let runs = store.claim(claim(64, 8)).await?;
        times.push(ms(start.elapsed()));
        for run in runs {
            let lease = run.lease();
            store.release(&lease, SystemClock.now()).await?;
        }
    }
    table.times("claim of 64 runs", times, None);
    store.claim(claim(64, 8)).await?;
    measure!(table, "claim without free slots", store.claim(claim(64, 0)).await?);
    measure!(
        table,
        "claim of evaluations, none pending",
        store.claim_rejudges(claim(64, 8)).await?
    );
    measure!(table, "heartbeat of 64 runs", store.heartbeat("bench", SystemClock.now()).await?);
    measure!(table, "reaper pass", store.reap(SystemClock.now()).await?);
    measure!(
        table,
        "start of 100 runs",
        create_suite(store, owner, 100, SystemClock.now()).await?,
        20,
        None
    );
    Ok(())
}

async fn retention(store: &SqliteStore, space: SpaceId, table: &mut Table) -> Result<()> {
    let all = store.suites(space, &HistoryFilter::default(), None, 1_000_000).await?;
    let middle = all.get(all.len() / 2).context("no suite")?;
    let before = middle.0.state.finished_at().unwrap_or(middle.0.created_at);
    for (check, old) in [
        ("retention batch: 250 events", Expired::Events),
        ("retention batch: 250 rows of suites", Expired::Suites),
    ] {
        measure!(table, check, store.delete_expired(old, before, 250).await?);
    }
    Ok(())
}
