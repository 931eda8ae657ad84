//! Failure mode: three clicks on "Run all" start everything three times in parallel and
//! exhaust connections and rate limits. Clicks on three pages start one suite.
//! With explicitly parallel suites, the limits of user and server hold and the
//! queue is fair.

use super::support::{TIMEOUT, assert_outcomes, new_server, outcomes, wait_until};
use fault_injection::{Setup, id, suite_request};
use mock_provider::{LoggedRequest, Script};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn clicks_on_three_pages_start_one_suite() {
    let Setup { provider, server: _server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 100, ..Script::default() }).await;
    let all = user.create_scenarios("S", 4, 2).await;
    let body = suite_request(&agent, &all, json!({}));
    // Each page generates its own key.
    let clicks = ["page-1", "page-2", "page-3"].map(|key| {
        user.request(Method::POST, "/suites").header("Idempotency-Key", key).json(&body).send()
    });
    let mut started = Vec::new();
    for answer in futures::future::join_all(clicks).await {
        let answer = answer.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let body: Value = serde_json::from_str(&text).unwrap();
        match status {
            202 => started.push(id(&body)),
            409 => assert!(text.contains("/suites/"), "the error links to the suite: {text}"),
            other => panic!("{other}: {text}"),
        }
    }
    assert_eq!(started.len(), 1, "only one click starts a suite");
    assert_outcomes(&user.wait_for_suite(&started[0]).await, &[("passed", 4)]);
    assert_eq!(provider.request_log().len(), 4 * 3, "every call was made once");
}

/// The maximum number of concurrent requests, given the minimum duration of each.
fn max_concurrency(requests: &[LoggedRequest], duration_ms: u64) -> usize {
    let during = |at: u64| {
        requests.iter().filter(|entry| entry.at_ms <= at && at < entry.at_ms + duration_ms).count()
    };
    requests.iter().map(|entry| during(entry.at_ms)).max().unwrap_or(0)
}

#[tokio::test]
async fn parallel_suites_keep_limits_and_fair_queue() {
    const CALLS: usize = 2;
    const LATENCY: u64 = 80;
    let provider =
        mock_provider::start(Script { latency_ms: LATENCY, ..Script::default() }).await.unwrap();
    let server = new_server()
        .with_env("REHEARSAL_MAX_CALLS", CALLS)
        .with_env("REHEARSAL_RUNS_PER_USER", 12)
        .started()
        .await;
    let ada = server.create_user("ada@example.org");
    let agent = ada.create_agent("openai", &provider.openai_url()).await;
    let all = ada.create_scenarios("Ada", 8, 2).await;
    let mut suites = Vec::new();
    for _ in 0..3 {
        let more = json!({"allow_parallel": true, "concurrency": 12});
        suites.push(ada.start_suite(&agent, &all, more).await);
    }
    let eve = server.create_user("eve@example.org");
    let eves_agent = eve.create_agent("openai", &provider.openai_url()).await;
    let one = eve.create_scenarios("Eve", 1, 3).await;
    wait_until("Ada's runs make calls", TIMEOUT, async || provider.request_log().len() >= 4).await;
    let asked_before = provider.request_log().len();
    let eves_suite = eve.start_suite(&eves_agent, &one, json!({})).await;
    assert_outcomes(&eve.wait_for_suite_within(&eves_suite, TIMEOUT).await, &[("passed", 1)]);
    let requests = provider.request_log();
    assert!(requests.len() < 3 * 8 * 3, "Eve's only run finishes before Ada's queue");
    let of_eve = |entry: &LoggedRequest| entry.body.to_string().contains("Eve0 question");
    let places: Vec<usize> =
        requests.iter().enumerate().filter(|(_, e)| of_eve(e)).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 4, "three replies and the judge");
    let first = places[0] - asked_before;
    assert!(first <= 6 * CALLS, "{first} of Ada's calls went before Eve's first");
    for pair in places.windows(2) {
        // During Eve's call and while it waits for a slot, each slot serves at
        // most two of Ada's calls, although a dozen wait.
        let between = pair[1] - pair[0] - 1;
        assert!(between <= 2 * CALLS + 1, "{between} of Ada's calls went first: {places:?}");
    }
    let mut passed = 0;
    for suite in suites {
        let suite = ada.wait_for_suite(&suite).await;
        passed += outcomes(&suite).get("passed").copied().unwrap_or(0);
    }
    assert_eq!(passed, 3 * 8);
    let concurrency = max_concurrency(&provider.request_log(), LATENCY - 5);
    assert_eq!(concurrency, CALLS, "concurrent calls at the provider");
}
