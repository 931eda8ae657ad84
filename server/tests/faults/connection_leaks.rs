//! Failure mode: a run holds a database connection during half an hour of calls. No
//! connection is held across a call: a hundred runs wait for their provider while
//! the pool of five serves pages, streams and starts. When the runs stop, every
//! connection to the provider is closed.

use super::support::{EventStream, TIMEOUT, assert_outcomes, metric_sum, new_server, wait_until};
use mock_provider::{Action, Outcome, Script};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A connection starts with a limit of four concurrent calls.
const CONNECTIONS: usize = 26;
const RUNS: usize = CONNECTIONS * 4;
/// Generous, so that a busy machine does not fail the test.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn hundred_runs_in_calls_do_not_block_pages() {
    let hold = super::support::rule_for_message("Hold", Action::Hang);
    let provider = mock_provider::start(Script::of([hold])).await.unwrap();
    let server = new_server()
        .with_env("REHEARSAL_RUNS_PER_USER", RUNS + 10)
        .with_env("REHEARSAL_MAX_CALLS", RUNS + 10)
        .started()
        .await;
    let user = server.create_user("held@example.org");
    let held = user.create_scenarios("Hold", 4, 1).await;
    let quick = user.create_scenarios("Quick", 2, 2).await;
    let mut suites = Vec::new();
    for _ in 0..CONNECTIONS {
        let agent = user.create_agent("openai", &provider.openai_url()).await;
        suites.push(user.start_suite(&agent, &held, json!({"concurrency": 4})).await);
    }
    let agent = user.create_agent("openai", &provider.openai_url()).await;
    let in_flight =
        || provider.request_log().iter().filter(|e| e.outcome == Outcome::InFlight).count();
    wait_until("a hundred calls hang", TIMEOUT, async || in_flight() == RUNS).await;
    let mut streams = Vec::new();
    for suite in suites.iter().cycle().take(20) {
        let mut stream = EventStream::open(&user, suite, None).await.expect("a live suite");
        assert_eq!(stream.next().await.expect("a snapshot").name, "snapshot");
        streams.push(stream);
    }
    assert_eq!(metric_sum(&server.metrics().await, "rehearsal_open_streams", &[]), Some(20.0));

    // Reads, starts and other runs work meanwhile.
    let start = Instant::now();
    let paths = ["/suites", "/runs", "/scenarios", "/agents", "/connections"];
    let reads = (0..100).map(|i| timeout(PAGE_TIMEOUT, user.get(paths[i % paths.len()])));
    let reads = futures::future::join_all(reads).await;
    assert!(reads.iter().all(Result::is_ok), "pages do not wait for runs");
    let suite_meanwhile = timeout(PAGE_TIMEOUT, user.start_suite(&agent, &quick, json!({})))
        .await
        .expect("the start succeeds");
    assert_outcomes(&user.wait_for_suite_within(&suite_meanwhile, TIMEOUT).await, &[("passed", 2)]);
    assert!(server.is_ready().await);
    assert!(start.elapsed() < TIMEOUT, "{:?}", start.elapsed());
    assert_eq!(in_flight(), RUNS, "the calls still hang");

    // After a cancel, all connections are closed.
    drop(streams);
    for suite in &suites {
        user.create(&format!("/suites/{suite}/cancel"), &json!({})).await;
    }
    for suite in &suites {
        let suite = user.wait_for_suite_within(suite, TIMEOUT).await;
        assert_outcomes(&suite, &[("cancelled", RUNS / CONNECTIONS)]);
    }
    wait_until("all requests are closed", TIMEOUT, async || in_flight() == 0).await;
    wait_until("every stream is closed", TIMEOUT, async || {
        metric_sum(&server.metrics().await, "rehearsal_open_streams", &[]) == Some(0.0)
    })
    .await;
}
