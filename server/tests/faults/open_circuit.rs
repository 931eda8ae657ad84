//! Failure mode: the circuit opens after five failures, the loop swallows the exception,
//! and five of ten runs never appear. All runs are stored before the first call.
//! While the circuit is open, runs wait and show it; then they end as
//! `circuit_open`, and one click reruns them.

use super::support::{TIMEOUT, assert_outcomes, new_server, runs, wait_until};
use fault_injection::{ApiClient, Setup, id};
use mock_provider::{Action, Rule, Script};
use serde_json::{Value, json};

const RUNS: usize = 10;

async fn breaker(user: &ApiClient, agent: &Value) -> Value {
    let connection = agent["connection_id"].as_str().unwrap();
    user.get(&format!("/connections/{connection}")).await["breaker"].clone()
}

/// Tests the connection, also with an open circuit. A success closes the circuit.
async fn test_connection(user: &ApiClient, agent: &Value) -> Value {
    let connection = agent["connection_id"].as_str().unwrap();
    user.create(&format!("/connections/{connection}/test"), &json!({"model": "m"})).await
}

#[tokio::test]
async fn every_requested_run_exists_and_has_an_error() {
    let Setup { provider, server: _server, user, agent } = Setup::start(
        new_server()
            .with_env("REHEARSAL_CIRCUIT_WAIT", "1s")
            .with_env("REHEARSAL_RUNS_PER_USER", RUNS),
        Script::of([Rule::always(Action::status(503))]),
    )
    .await;
    let all = user.create_scenarios("S", RUNS, 2).await;
    let suite = user.start_suite(&agent, &all, json!({"concurrency": RUNS})).await;
    let suite = user.wait_for_suite_within(&suite, TIMEOUT).await;
    assert_eq!((runs(&suite).len(), &suite["counts"]["error"]), (RUNS, &json!(RUNS)));
    for run in runs(&suite) {
        let kind = run["error"]["kind"].as_str().unwrap();
        assert!(["circuit_open", "provider_unavailable"].contains(&kind), "{run}");
        assert_eq!(run["error"]["retryable"], true, "{run}");
        assert!((run["score"].is_null(), run["passed"].is_null()) == (true, true), "{run}");
    }
    let open = runs(&suite).iter().filter(|run| run["error"]["kind"] == "circuit_open").count();
    assert!(open >= RUNS / 2, "no calls with an open circuit: {suite:#}");
    let requests = provider.request_count();
    assert!(requests < RUNS * 2, "{requests} requests to a provider that is down");
    let shown = breaker(&user, &agent).await;
    assert_eq!(shown["state"], "open", "{shown}");
    assert!(shown["reason"].as_str().is_some_and(|reason| reason.contains("503")), "{shown}");
    assert!(shown["until"].is_string(), "{shown}");

    // After the outage, a rerun passes all runs.
    provider.set_script(Script::default());
    assert_eq!(test_connection(&user, &agent).await["ok"], true);
    assert_eq!(breaker(&user, &agent).await["state"], "closed");
    let rerun = json!({"which": "errors"});
    let rerun_suite = user.create(&format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    let rerun_suite = user.wait_for_suite(&id(&rerun_suite)).await;
    assert_outcomes(&rerun_suite, &[("passed", RUNS)]);
    assert_eq!(rerun_suite["parent_id"], suite["id"]);
}

#[tokio::test]
async fn runs_wait_for_open_circuit_and_show_it() {
    const CONCURRENCY: usize = 5;
    let Setup { provider, server: _server, user, agent } = Setup::start_with(
        "anthropic",
        new_server(),
        Script::of([Rule::always(Action::status(500))]),
    )
    .await;
    let all = user.create_scenarios("S", CONCURRENCY, 1).await;
    let suite = user.start_suite(&agent, &all, json!({"concurrency": CONCURRENCY})).await;
    let waits = |run: &Value| {
        run["waiting_on"]["what"] == "circuit" && run["waiting_on"]["until"].is_string()
    };
    wait_until("a run waits for the circuit", TIMEOUT, async || {
        let suite = user.get(&format!("/suites/{suite}")).await;
        runs(&suite).iter().any(waits)
    })
    .await;
    provider.set_script(Script::default());
    assert_eq!(test_connection(&user, &agent).await["ok"], true);
    let suite = user.wait_for_suite_within(&suite, TIMEOUT).await;
    assert_outcomes(&suite, &[("passed", CONCURRENCY)]);
}
