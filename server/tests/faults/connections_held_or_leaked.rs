//! A database session was held through half an hour of calls, and lost with
//! the process. Here nothing is held across a call: a hundred runs wait for
//! their provider while the pool of five serves pages, streams and starts; and
//! when they stop, every connection to the provider is let go.

use super::outside::{
    SOON, Stream, assert_endings, binary, metric, metrics, scenarios, start, until,
};
use serde_json::json;
use fault_injection::house::House;
use mock_provider::{Action, Outcome, Script};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Eight calls at once are what a connection starts with.
const CONNECTIONS: usize = 13;
const RUNS: usize = CONNECTIONS * 8;
/// No page may take so long, on however busy a machine.
const PAGE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_hundred_runs_in_their_calls_hold_nothing_that_a_page_needs() {
    let hold = super::outside::about("Hold", Action::Hang);
    let stand = mock_provider::start(Script::of([hold])).await.unwrap();
    let house = House::of(&binary())
        .with("REHEARSAL_RUNS_PER_USER", RUNS + 10)
        .with("REHEARSAL_MAX_CALLS", RUNS + 10)
        .started()
        .await;
    let user = house.user("held@example.org");
    let held = scenarios(&user, "Hold", 8, 1).await;
    let quick = scenarios(&user, "Quick", 2, 2).await;
    let mut suites = Vec::new();
    for _ in 0..CONNECTIONS {
        let agent = user.agent("openai", &stand.openai_url()).await;
        suites.push(start(&user, &agent, &held, json!({"concurrency": 8})).await);
    }
    let agent = user.agent("openai", &stand.openai_url()).await;
    let in_flight = || stand.journal().iter().filter(|e| e.outcome == Outcome::Open).count();
    until("a hundred calls hang", SOON, async || in_flight() == RUNS).await;
    let mut streams = Vec::new();
    for suite in suites.iter().cycle().take(20) {
        let mut stream = Stream::open(&user, suite, None).await.expect("a live suite");
        assert_eq!(stream.next().await.expect("a snapshot").name, "snapshot");
        streams.push(stream);
    }
    assert_eq!(metric(&metrics(&house).await, "rehearsal_open_streams", &[]), Some(20.0));

    // Reading, starting and finishing go on beside them.
    let began = Instant::now();
    let paths = ["/suites", "/runs", "/scenarios", "/agents", "/connections"];
    let reads = (0..100).map(|i| timeout(PAGE, user.get(paths[i % paths.len()])));
    let reads = futures::future::join_all(reads).await;
    assert!(reads.iter().all(Result::is_ok), "pages wait for runs");
    let beside = timeout(PAGE, start(&user, &agent, &quick, json!({}))).await.expect("it starts");
    assert_endings(&user.finished_within(&beside, SOON).await, &[("passed", 2)]);
    assert!(house.is_ready().await);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(in_flight(), RUNS, "they hang all the while");

    // When they stop, nothing stays behind.
    drop(streams);
    for suite in &suites {
        user.make(&format!("/suites/{suite}/cancel"), &json!({})).await;
    }
    for suite in &suites {
        let suite = user.finished_within(suite, SOON).await;
        assert_endings(&suite, &[("cancelled", RUNS / CONNECTIONS)]);
    }
    until("the provider sees every connection go", SOON, async || in_flight() == 0).await;
    until("every stream is closed", SOON, async || {
        metric(&metrics(&house).await, "rehearsal_open_streams", &[]) == Some(0.0)
    })
    .await;
}
