//! The circuit opened after five failures, the loop swallowed the exception,
//! and five of ten runs never appeared anywhere. Here all rows are there
//! before anything starts; while the circuit is open runs wait and say so;
//! then each ends as `circuit_open`, and one click runs them again.

use super::outside::{SOON, assert_endings, binary, runs, scenarios, start, until};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Action, Rule, Script};

const RUNS: usize = 10;

async fn breaker(user: &User, agent: &Value) -> Value {
    let connection = agent["connection_id"].as_str().unwrap();
    user.get(&format!("/connections/{connection}")).await["breaker"].clone()
}

/// "Try now": one call whatever the circuit says; its success closes it.
async fn try_now(user: &User, agent: &Value) -> Value {
    let connection = agent["connection_id"].as_str().unwrap();
    user.make(&format!("/connections/{connection}/test"), &json!({"model": "m"})).await
}

#[tokio::test]
async fn every_run_that_was_asked_for_is_there_and_says_why() {
    let stand = mock_provider::start(Script::of([Rule::always(Action::status(503))])).await.unwrap();
    let house = House::of(&binary())
        .with("REHEARSAL_CIRCUIT_WAIT", "1s")
        .with("REHEARSAL_RUNS_PER_USER", RUNS)
        .started()
        .await;
    let user = house.user("circuit@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", RUNS, 2).await;
    let suite = start(&user, &agent, &all, json!({"concurrency": RUNS})).await;
    let suite = user.finished_within(&suite, SOON).await;
    assert_eq!((runs(&suite).len(), &suite["counts"]["error"]), (RUNS, &json!(RUNS)));
    for run in runs(&suite) {
        let kind = run["error"]["kind"].as_str().unwrap();
        assert!(["circuit_open", "provider_unavailable"].contains(&kind), "{run}");
        assert_eq!(run["error"]["retryable"], true, "{run}");
        assert!((run["score"].is_null(), run["passed"].is_null()) == (true, true), "{run}");
    }
    let open = runs(&suite).iter().filter(|run| run["error"]["kind"] == "circuit_open").count();
    assert!(open >= RUNS / 2, "an open circuit is not called: {suite:#}");
    let asked = stand.journal().len();
    assert!(asked < RUNS * 2, "{asked} requests at a provider that is down");
    let shown = breaker(&user, &agent).await;
    assert_eq!(shown["state"], "open", "{shown}");
    assert!(shown["reason"].as_str().is_some_and(|reason| reason.contains("503")), "{shown}");
    assert!(shown["until"].is_string(), "{shown}");

    // It is well again: one click, and all of them come out.
    stand.play(Script::default());
    assert_eq!(try_now(&user, &agent).await["ok"], true);
    assert_eq!(breaker(&user, &agent).await["state"], "closed");
    let rerun = json!({"which": "errors"});
    let again = user.make(&format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    let again = user.finished(&id(&again)).await;
    assert_endings(&again, &[("passed", RUNS)]);
    assert_eq!(again["parent_id"], suite["id"]);
}

#[tokio::test]
async fn while_it_is_open_runs_wait_and_say_for_what() {
    const AT_ONCE: usize = 5;
    let stand = mock_provider::start(Script::of([Rule::always(Action::status(500))])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("circuit@example.org");
    let agent = user.agent("anthropic", &stand.anthropic_url()).await;
    let all = scenarios(&user, "S", AT_ONCE, 1).await;
    let suite = start(&user, &agent, &all, json!({"concurrency": AT_ONCE})).await;
    let waits = |run: &Value| {
        run["waiting_on"]["what"] == "circuit" && run["waiting_on"]["until"].is_string()
    };
    until("some wait for the circuit, and until when", SOON, async || {
        let suite = user.get(&format!("/suites/{suite}")).await;
        runs(&suite).iter().any(waits)
    })
    .await;
    stand.play(Script::default());
    assert_eq!(try_now(&user, &agent).await["ok"], true);
    let suite = user.finished_within(&suite, SOON).await;
    assert_endings(&suite, &[("passed", AT_ONCE)]);
}
