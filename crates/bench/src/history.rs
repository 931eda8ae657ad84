//! Lists, pages, claims and cleaning while a long history stands behind them.

use crate::fill;
use crate::furniture::{answer, claim, suite, user};
use crate::numbers::{Table, ms};
use anyhow::{Context, Result};
use domain::services::HistoryFilter;
use domain::{AgentId, ScenarioId, SpaceId, UserId};
use clock::{Clock, SystemClock};
use store::cleaning::{CleanStore, Old};
use store::queue::QueueStore;
use store_sqlite::SqliteStore;
use store::suites::{Before, SuiteStore};
use store::transition::Lease;
use std::path::Path;
use std::time::Instant;
use uuid::Uuid;

/// What is promised of lists, the suite page and a claim.
const QUICK: f64 = 20.0;
/// How often each is asked.
const TIMES: usize = 200;
/// Others who wait: users, their suites, and the runs of each.
const USERS: u128 = 20;
const WAITING: (u32, u32) = (5, 100);

/// Asks one thing again and again; how long each time took.
macro_rules! times {
    ($count:expr, $ask:expr) => {{
        let mut times = Vec::new();
        for _ in 0..$count {
            let began = Instant::now();
            $ask;
            times.push(ms(began.elapsed()));
        }
        times
    }};
}

pub(crate) async fn measure(folder: &Path, turns: u32, table: &mut Table) -> Result<()> {
    let file = folder.join("history.db");
    let store = SqliteStore::open(&file).await?;
    let owner = user(&store, 1).await?;
    let began = Instant::now();
    fill::history(&store, &file, owner, turns).await?;
    table.told("made in", &format!("{:.0} s", began.elapsed().as_secs_f64()));
    let began = Instant::now();
    store.tidy().await?;
    table.told("statistics (PRAGMA optimize)", &format!("{:.1} ms", ms(began.elapsed())));
    waiting(&store).await?;
    // As after a restart: every connection knows the statistics.
    store.close().await;
    let store = SqliteStore::open(&file).await?;
    lists(&store, owner.1, table).await?;
    pages(&store, owner.1, table).await?;
    queue(&store, owner, table).await?;
    store.close().await;
    #[allow(clippy::cast_precision_loss)] // some gigabytes
    let bytes = std::fs::metadata(&file)?.len() as f64;
    let per_turn = bytes / f64::from(turns);
    table.told("the file", &format!("{:.0} MB, {per_turn:.0} bytes a turn", bytes / 1e6));
    let store = SqliteStore::open(&file).await?;
    cleaning(&store, owner.1, table).await?;
    store.close().await;
    Ok(())
}

/// Runs of other users that wait.
async fn waiting(store: &SqliteStore) -> Result<()> {
    for n in 2..2 + USERS {
        let owner = user(store, n).await?;
        for _ in 0..WAITING.0 {
            suite(store, owner, WAITING.1, SystemClock.now()).await?;
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
    // Half of the way back.
    let deep = {
        let oldest = store.suites(space, &all, None, 1_000_000).await?;
        let oldest = oldest.last().context("no suite")?.0.created_at;
        Some(Before { at: oldest.plus(newest.since(oldest) / 2), id: Uuid::nil() })
    };
    for (what, filter, before) in [
        ("suites, first page", &all, None),
        ("suites, in the middle", &all, deep),
        ("suites of an agent", &agent, None),
        ("suites that were cancelled (none)", &status("cancelled"), None),
    ] {
        let times = times!(TIMES, store.suites(space, filter, before, 51).await?);
        table.times(what, times, Some(QUICK));
    }
    let times = times!(TIMES, store.unfinished(space).await?);
    table.times("suites that are not finished", times, Some(QUICK));
    for (what, filter, before) in [
        ("runs, first page", &all, None),
        ("runs, in the middle", &all, deep),
        ("runs of an agent", &agent, None),
        ("runs of a scenario", &scenario, None),
        ("runs that passed", &status("passed"), None),
        ("runs that failed (none)", &status("failed"), None),
        ("runs with an error of a kind (none)", &kind, None),
        ("runs of an agent that failed (none)", &both, None),
    ] {
        let times = times!(TIMES, store.runs(space, filter, before, 51).await?);
        table.times(what, times, Some(QUICK));
    }
    Ok(())
}

async fn pages(store: &SqliteStore, space: SpaceId, table: &mut Table) -> Result<()> {
    let newest = store.suites(space, &HistoryFilter::default(), None, 1).await?;
    let suite = newest.first().context("no suite")?.0.id;
    let (row, runs) = store.suite(space, suite).await?.context("no suite")?;
    let run = runs.first().context("no run")?.id;
    let scenarios: Vec<_> = runs.iter().map(|run| run.scenario.id).collect();
    let times = times!(TIMES, store.suite(space, suite).await?);
    table.times("a suite with its 50 runs", times, Some(QUICK));
    let times = times!(TIMES, {
        store.run(space, run).await?;
        store.transcript(run).await?;
        store.evaluations(run).await?
    });
    table.times("a run with transcript and judgings", times, Some(QUICK));
    let times = times!(TIMES, store.events_after(suite, 0, 256).await?);
    table.times("events from the start, 256", times, Some(QUICK));
    let times = times!(TIMES, store.events_after(suite, row.seq - 1, 256).await?);
    table.times("events, the newest", times, Some(QUICK));
    let times = times!(TIMES, store.past_duration_ms(space, &scenarios).await?);
    table.times("what earlier runs took", times, Some(QUICK));
    Ok(())
}

async fn queue(store: &SqliteStore, owner: (UserId, SpaceId), table: &mut Table) -> Result<()> {
    let mut claims = Vec::new();
    let mut commits = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        let runs = store.claim(claim(1, 8)).await?;
        claims.push(ms(began.elapsed()));
        let run = runs.first().context("nothing to claim")?;
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        let began = Instant::now();
        let change = answer(Uuid::nil(), SystemClock.uuid(), 0, false);
        store.commit(&lease, change, SystemClock.now()).await?;
        commits.push(ms(began.elapsed()));
        store.hand_back(&lease, SystemClock.now()).await?;
    }
    table.times("a claim of one, 10,000 wait", claims, Some(QUICK));
    table.times("a commit of one turn", commits, Some(QUICK));
    let mut claims = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let runs = store.claim(claim(64, 8)).await?;
        claims.push(ms(began.elapsed()));
        for run in runs {
            let lease = Lease { run_id: run.id, attempt: run.attempt };
            store.hand_back(&lease, SystemClock.now()).await?;
        }
    }
    table.times("a claim of 64", claims, None);
    store.claim(claim(64, 8)).await?;
    let times = times!(TIMES, store.claim(claim(0, 8)).await?);
    table.times("a look for work that finds none", times, Some(QUICK));
    let times = times!(TIMES, store.claim_evaluations(claim(64, 8)).await?);
    table.times("a look for judgings, none wait", times, Some(QUICK));
    let times = times!(TIMES, store.heartbeat("bench", SystemClock.now()).await?);
    table.times("a heartbeat over 64 runs", times, Some(QUICK));
    let times = times!(TIMES, store.reap(SystemClock.now()).await?);
    table.times("a look of the reaper", times, Some(QUICK));
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        suite(store, owner, 100, SystemClock.now()).await?;
        times.push(ms(began.elapsed()));
    }
    table.times("a start of 100 runs", times, None);
    Ok(())
}

async fn cleaning(store: &SqliteStore, space: SpaceId, table: &mut Table) -> Result<()> {
    let all = store.suites(space, &HistoryFilter::default(), None, 1_000_000).await?;
    let middle = all.get(all.len() / 2).context("no suite")?;
    let before = middle.0.finished_at.unwrap_or(middle.0.created_at);
    for (what, old) in [
        ("a step of the cleaner: 250 events", Old::Events),
        ("a step of the cleaner: 250 rows of suites", Old::Suites),
    ] {
        let times = times!(TIMES, store.clean(old, before, 250).await?);
        table.times(what, times, Some(QUICK));
    }
    Ok(())
}
