//! Failure mode: with a limit of fifty requests per minute and a demand of two hundred,
//! every call is retried into the limit, runs wait for hours, and 429s open the
//! circuit. A limit stops all calls of its bucket, waiting is not a failure,
//! and a 429 does not count against the circuit.

use super::simulation::{
    Boot, Simulation, T0, helpful_reply, rate_limited_until, scripted_scenario,
};
use super::support::{assert_outcomes, new_server};
use clock::Clock;
use domain::RunStatus;
use fault_injection::TestServer;
use mock_provider::{LimitHeaders, Outcome, RetryAfter, Script, WindowLimit};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Runs 20 concurrent runs with 3 calls each against a limit of 15 requests per
/// second. Returns the number of 429s.
async fn count_rejections(server: &TestServer, headers: LimitHeaders) -> usize {
    let limit = WindowLimit { max: 15, window_ms: 1000, retry_after: RetryAfter::Millis };
    let script = Script { rate_limit: Some(limit), limit_headers: headers, ..Script::default() };
    let provider = mock_provider::start(script).await.unwrap();
    let user = server.create_user(&format!("limits{}@example.org", provider.addr.port()));
    let agent = user.create_agent("openai", &provider.openai_url()).await;
    let all = user.create_scenarios("S", RUNS, 2).await;
    let suite = user.start_suite(&agent, &all, json!({"concurrency": RUNS})).await;
    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("passed", RUNS)]);
    let path = format!("/connections/{}", agent["connection_id"].as_str().unwrap());
    assert_eq!(user.get(&path).await["breaker"]["state"], "closed", "a 429 is not a failure");
    let requests = provider.request_log();
    let is_rejection =
        |entry: &&mock_provider::LoggedRequest| entry.outcome == Outcome::Answered(429);
    let rejections = requests.iter().filter(is_rejection).count();
    assert_eq!(requests.len() - rejections, CALLS, "each call got one reply");
    rejections
}

const RUNS: usize = 20;
const CALLS: usize = RUNS * 3;

#[tokio::test]
async fn fourfold_demand_passes_with_few_rejections() {
    let server = new_server().with_env("REHEARSAL_RUNS_PER_USER", RUNS).started().await;
    let (with_headers, without_headers) = tokio::join!(
        count_rejections(&server, LimitHeaders::OpenAi),
        count_rejections(&server, LimitHeaders::None),
    );
    assert!(with_headers <= CALLS / 10, "{with_headers} rejections despite headers");
    // Without headers, the calls in flight when a window is full are rejected, up
    // to 15 in each of four windows. The others obey the `Retry-After` of those.
    assert!((1..=CALLS).contains(&without_headers), "{without_headers} rejections");
}

#[test]
fn five_hundred_runs_finish_at_fifty_requests_per_minute() {
    const RUNS: usize = 500;
    const MINUTE: Duration = Duration::from_secs(60);
    let accepted: Arc<Mutex<VecDeque<_>>> = Arc::default();
    let simulation = Simulation::new(move |clock, request| {
        let now = clock.now();
        let mut accepted = accepted.lock();
        while accepted.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            accepted.pop_front();
        }
        if accepted.len() < 50 {
            accepted.push_back(now);
            return helpful_reply(Duration::from_secs(2), request);
        }
        // The provider sends no other information about its limit.
        rate_limited_until(accepted.front().map_or(now, |first| first.plus(MINUTE)))
    });
    let all: Vec<_> = (0..RUNS).map(|_| scripted_scenario(1, 300)).collect();
    let suite = simulation.create_suite(T0, 64, &all);
    let runs = simulation.run_server(T0, Boot::Single, async |server| {
        server.wait_for_suite(suite, Duration::from_secs(3600)).await
    });
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    let errors: Vec<_> = runs.iter().filter_map(|run| run.error.as_ref()).take(3).collect();
    assert_eq!(passed, RUNS, "{errors:#?}");
    let (needed, requests) = (RUNS * 2, simulation.request_times().len());
    assert!(requests <= needed * 7 / 5, "{requests} requests for {needed} replies");
    let duration = runs.iter().filter_map(|run| run.finished_at).max().unwrap().since(T0);
    assert!(duration <= MINUTE * 25, "the limit allows twenty minutes: {duration:?}");
}
