//! Failure mode: a suite cannot be stopped. A cancel takes effect within a second: no call
//! starts, calls in flight are dropped, and the transcripts are kept. The cancel
//! is stored, so a kill does not undo it.

use super::support::{
    TIMEOUT, assert_outcomes, new_server, outcome, rule_for_message, runs, wait_until,
};
use fault_injection::{ApiClient, Setup};
use mock_provider::{Action, MockProvider, Outcome, Script};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RUNS: usize = 12;
const CONCURRENCY: usize = 4;

/// Starts a suite and waits until the second call of each active run hangs.
async fn hanging_suite() -> (Setup, String) {
    let script = Script::of([rule_for_message("question 1", Action::Hang)]);
    let setup = Setup::start(new_server(), script).await;
    let all = setup.user.create_scenarios("S", RUNS, 3).await;
    let more = json!({"concurrency": CONCURRENCY});
    let suite = setup.user.start_suite(&setup.agent, &all, more).await;
    let provider = &setup.provider;
    wait_until("hanging calls", TIMEOUT, async || in_flight(provider) == CONCURRENCY).await;
    (setup, suite)
}

fn count(provider: &MockProvider, outcome: Outcome) -> usize {
    provider.request_log().iter().filter(|entry| entry.outcome == outcome).count()
}

fn in_flight(provider: &MockProvider) -> usize {
    count(provider, Outcome::InFlight)
}

async fn cancel(user: &ApiClient, path: &str) -> (u16, Value) {
    let answer = user.post(&format!("{path}/cancel"), &json!({})).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn cancel_stops_calls_within_a_second_and_keeps_transcripts() {
    let (Setup { provider, server: _server, user, .. }, suite) = hanging_suite().await;
    let (cancelled_at, path) = (Instant::now(), format!("/suites/{suite}"));
    assert_eq!(cancel(&user, &path).await.0, 202);
    wait_until("the suite is canceled", Duration::from_secs(1), async || {
        user.get(&path).await["status"] == "cancelled" && in_flight(&provider) == 0
    })
    .await;
    assert!(cancelled_at.elapsed() <= Duration::from_millis(1500), "{:?}", cancelled_at.elapsed());
    let calls = provider.request_log().len();
    let suite = user.get(&path).await;
    assert_outcomes(&suite, &[("cancelled", RUNS)]);
    let started: Vec<_> = user
        .fetch_runs(&suite)
        .await
        .into_iter()
        .filter(|run| !run["transcript"].as_array().unwrap().is_empty())
        .collect();
    assert_eq!(started.len(), CONCURRENCY);
    assert!(started.iter().all(|run| run["transcript"].as_array().unwrap().len() == 3));
    assert!(started.iter().all(|run| run["passed"].is_null() && run["score"].is_null()));

    // A second cancel succeeds and changes nothing.
    assert_eq!(cancel(&user, &path).await.0, 202);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(provider.request_log().len(), calls, "no call after the cancel");
    let dropped = count(&provider, Outcome::Disconnected);
    assert_eq!(dropped, CONCURRENCY, "the calls in flight were dropped");
    assert_eq!(user.get(&path).await, suite, "a final suite never changes");
}

#[tokio::test]
async fn cancelled_run_does_not_affect_other_runs() {
    let Setup { provider: _provider, server: _server, user, agent } = Setup::start_with(
        "anthropic",
        new_server(),
        Script::of([rule_for_message("S0 question 1", Action::Hang)]),
    )
    .await;
    let all = user.create_scenarios("S", 3, 2).await;
    let suite = user.start_suite(&agent, &all, json!({})).await;
    wait_until("the other runs pass", TIMEOUT, async || {
        user.get(&format!("/suites/{suite}")).await["counts"]["passed"] == 2
    })
    .await;
    let run = user.get(&format!("/suites/{suite}")).await["runs"][0].clone();
    let path = format!("/runs/{}", run["id"].as_str().unwrap());
    assert_eq!(cancel(&user, &path).await.0, 202);
    let suite = user.wait_for_suite_within(&suite, Duration::from_secs(5)).await;
    assert_outcomes(&suite, &[("cancelled", 1), ("passed", 2)]);
    assert_eq!(suite["judged_pass_rate"], 1.0, "a canceled run does not count as failed");
    assert!(suite["pass_rate"].is_null(), "not every run was judged");
    // A run that passed cannot be canceled.
    let passed = runs(&suite)[1].clone();
    let path = format!("/runs/{}", passed["id"].as_str().unwrap());
    assert_eq!(cancel(&user, &path).await.0, 409);
    assert_eq!(outcome(&user.get(&path).await), "passed");
}

#[tokio::test]
async fn kill_does_not_undo_a_cancel() {
    let (Setup { provider, mut server, user, .. }, suite) = hanging_suite().await;
    assert_eq!(cancel(&user, &format!("/suites/{suite}")).await.0, 202);
    server.kill();
    provider.set_script(Script::default());
    let calls = provider.request_log().len();
    server.start().await;
    let suite = user.wait_for_suite_within(&suite, Duration::from_secs(5)).await;
    assert_eq!(suite["status"], "cancelled");
    assert_outcomes(&suite, &[("cancelled", RUNS)]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(provider.request_log().len(), calls, "the next process makes no calls for it");
}
