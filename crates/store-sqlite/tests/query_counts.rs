//! The number of queries that the writer hands over to the thread of SQLite. This is a
//! program of its own, because it counts the log lines of all threads.

use domain::{NanoUsd, RunId, Speaker, Turn};
use std::sync::atomic::{AtomicUsize, Ordering};
use store::accounts::AccountStore;
use store::contract::person;
use store::contract::queue::{T0, claim, id, suite};
use store::queue::{Claim, QueueStore};
use store::rows::{CallDone, Intent, Role, RunRow};
use store::suites::{NewSuite, SuiteStore};
use store::transition::RunChange;
use store_sqlite::SqliteStore;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use uuid::Uuid;

static QUERIES: AtomicUsize = AtomicUsize::new(0);

/// Counts the lines that sqlx logs per query.
struct CountQueries;

impl<S: Subscriber> Layer<S> for CountQueries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            QUERIES.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The commit after a reply: its turn, the next user turn, and both calls.
fn change(done: Uuid, next: Uuid) -> RunChange {
    let turn = |speaker, text: &str| Turn::text(speaker, text, T0);
    RunChange {
        turns: vec![turn(Speaker::Agent, "At nine."), turn(Speaker::User, "Thank you.")],
        calls_done: vec![CallDone {
            id: done,
            outcome: "ok".into(),
            attempts: 1,
            latency_ms: Some(5),
            cost: Some(NanoUsd(9)),
        }],
        intents: vec![Intent { id: next, role: Role::Agent, turn: 2 }],
        ..RunChange::default()
    }
}

#[tokio::test]
async fn commit_is_one_query_and_each_transaction_adds_two() {
    let log = tracing_subscriber::registry().with(
        CountQueries.with_filter(tracing_subscriber::filter::LevelFilter::from(Level::DEBUG)),
    );
    tracing::subscriber::set_global_default(log).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("test.db")).await.unwrap();
    store.create_user(&person(1, "anna@example.org"), true).await.unwrap();
    let runs = 32_u32;
    let new = NewSuite { concurrency: runs, ..suite(1, 1, runs.into()) };
    store.create_suite(new).await.unwrap();
    let all = || Claim { runs_per_user: runs, ..claim(runs, T0) };
    let leased = store.claim(all()).await.unwrap();
    assert_eq!(leased.len(), runs as usize);

    for round in 0..2 {
        let call = |run: &RunRow, round: u128| Uuid::from_u128(run.id.0.as_u128() << 8 | round);
        let before = QUERIES.load(Ordering::SeqCst);
        let commits = leased.iter().map(|run| {
            let lease = run.lease();
            let change = change(call(run, round), call(run, round + 1));
            let store = &store;
            async move { store.commit(&lease, change, T0).await }
        });
        for committed in futures::future::join_all(commits).await {
            assert_eq!(committed.unwrap().turns, 2 * (u32::try_from(round).unwrap() + 1));
        }
        let queries = QUERIES.load(Ordering::SeqCst) - before;
        // The first commit may be in a transaction of its own.
        assert!(queries <= leased.len() + 2 * 2, "{queries} queries for {runs} commits");
        assert!(queries >= leased.len(), "they are counted");
    }

    let before = QUERIES.load(Ordering::SeqCst);
    assert_eq!(store.claim(all()).await.unwrap(), []);
    assert_eq!(QUERIES.load(Ordering::SeqCst) - before, 2, "nothing is read: begin and commit");

    // Every row is there, in order.
    let run = RunId(id(100));
    let transcript = store.transcript(run).await.unwrap();
    let texts: Vec<_> = transcript.iter().map(|turn| (turn.index, &*turn.message)).collect();
    assert_eq!(texts, [(0, "At nine."), (1, "Thank you."), (2, "At nine."), (3, "Thank you.")]);
    let events = store.events_after(leased[0].suite_id, 0, 1000).await.unwrap();
    let numbers: Vec<_> = events.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=i64::from(runs) * 5).collect::<Vec<_>>());
}
