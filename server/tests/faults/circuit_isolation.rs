//! Failure mode: all users share one circuit, so one broken prompt or key stops everybody.
//! Each pair of user and connection has its own circuit, also on a connection
//! that the server offers to all users.

use super::support::{TIMEOUT, assert_outcomes, new_server, rule_for_message, runs, wait_until};
use fault_injection::{ApiClient, id};
use mock_provider::{Action, Outcome, Script};
use serde_json::{Value, json};

/// The connection that the server offers to all users.
async fn server_wide_connection(user: &ApiClient) -> Value {
    let connections = user.get("/connections").await;
    let mut all = connections["items"].as_array().unwrap().iter();
    all.find(|connection| connection["server_wide"] == true).expect("is offered").clone()
}

async fn agent(user: &ApiClient) -> Value {
    let agent = json!({"name": "Desk", "system_prompt": "You help.", "model": "m",
        "connection_id": server_wide_connection(user).await["id"]});
    user.create("/agents", &agent).await
}

async fn breaker(user: &ApiClient) -> Value {
    server_wide_connection(user).await["breaker"].clone()
}

#[tokio::test]
async fn failures_of_one_user_do_not_affect_others() {
    const RUNS: usize = 6;
    let provider = mock_provider::start(Script::of([rule_for_message("Ada", Action::status(503))]))
        .await
        .unwrap();
    let server = new_server()
        .with_env("OPENAI_API_KEY", "sk-of-the-server-123456")
        .with_env("OPENAI_BASE_URL", provider.openai_url())
        .with_env("REHEARSAL_CIRCUIT_WAIT", "5m")
        .started()
        .await;
    let (ada, eve) = (server.create_user("ada@example.org"), server.create_user("eve@example.org"));
    let broken = ada.create_scenarios("Ada", RUNS, 1).await;
    let working = eve.create_scenarios("Eve", RUNS, 2).await;
    let (adas_agent, eves_agent) = (agent(&ada).await, agent(&eve).await);
    let more = json!({"concurrency": RUNS});
    let failing = ada.start_suite(&adas_agent, &broken, more.clone()).await;
    wait_until("Ada's circuit is open", TIMEOUT, async || breaker(&ada).await["state"] == "open")
        .await;

    let suite = eve.start_suite(&eves_agent, &working, more).await;
    let mut waited = false;
    wait_until("Eve's suite is finished", TIMEOUT, async || {
        let suite = eve.get(&format!("/suites/{suite}")).await;
        waited |= runs(&suite).iter().any(|run| run["waiting_on"]["what"] == "circuit");
        suite["status"] == "finished"
    })
    .await;
    assert!(!waited, "Eve waited for Ada's circuit");
    assert_outcomes(&eve.wait_for_suite(&suite).await, &[("passed", RUNS)]);
    assert_eq!(breaker(&eve).await["state"], "closed");
    assert_ne!(breaker(&ada).await["state"], "closed", "Ada's circuit stays open");
    let of_eve = |entry: &&mock_provider::LoggedRequest| entry.body.to_string().contains("Eve");
    let requests = provider.request_log();
    assert_eq!(requests.iter().filter(of_eve).count(), RUNS * 3);
    let is_ok = |entry: &mock_provider::LoggedRequest| entry.outcome == Outcome::Answered(200);
    assert!(requests.iter().filter(of_eve).all(is_ok));
    let keys: std::collections::HashSet<_> = requests.iter().map(|entry| &entry.key_hash).collect();
    assert_eq!(keys.len(), 1, "all calls use the same key");

    let suite = ada.create(&format!("/suites/{failing}/cancel"), &json!({})).await;
    ada.wait_for_suite_within(&id(&suite), TIMEOUT).await;
}
