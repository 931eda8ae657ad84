//! There was one circuit for all users: one broken prompt or key stopped
//! everybody. Here a circuit is one user's on one connection, also where the
//! connection is the server's and its key everybody's.

use super::outside::{SOON, about, assert_endings, binary, runs, scenarios, start, until};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Action, Outcome, Script};

/// An agent over the connection that the server offers.
async fn agent(user: &User) -> Value {
    let connections = user.get("/connections").await;
    let offered = connections["items"].as_array().unwrap().iter();
    let offered = offered.clone().find(|one| one["server_wide"] == true).expect("is offered");
    let agent = json!({"name": "Desk", "system_prompt": "You help.", "model": "m",
        "connection_id": offered["id"]});
    user.make("/agents", &agent).await
}

async fn breaker(user: &User) -> Value {
    let connections = user.get("/connections").await;
    let all = connections["items"].as_array().unwrap().iter();
    all.clone().find(|one| one["server_wide"] == true).expect("is offered")["breaker"].clone()
}

#[tokio::test]
async fn one_users_failures_stop_nobody_else() {
    const RUNS: usize = 6;
    let stand = mock_provider::start(Script::of([about("Ada", Action::status(503))])).await.unwrap();
    let house = House::of(&binary())
        .with("OPENAI_API_KEY", "sk-of-the-server-123456")
        .with("OPENAI_BASE_URL", stand.openai_url())
        .with("REHEARSAL_CIRCUIT_WAIT", "5m")
        .started()
        .await;
    let (ada, eve) = (house.user("ada@example.org"), house.user("eve@example.org"));
    let broken = scenarios(&ada, "Ada", RUNS, 1).await;
    let hers = scenarios(&eve, "Eve", RUNS, 2).await;
    let (of_ada, of_eve) = (agent(&ada).await, agent(&eve).await);
    let more = json!({"concurrency": RUNS});
    let failing = start(&ada, &of_ada, &broken, more.clone()).await;
    until("Ada's circuit is open", SOON, async || breaker(&ada).await["state"] == "open").await;

    let suite = start(&eve, &of_eve, &hers, more).await;
    let mut waited = false;
    until("Eve's suite is through", SOON, async || {
        let suite = eve.get(&format!("/suites/{suite}")).await;
        waited |= runs(&suite).iter().any(|run| run["waiting_on"]["what"] == "circuit");
        suite["status"] == "finished"
    })
    .await;
    assert!(!waited, "Eve waited for a circuit that is not hers");
    assert_endings(&eve.finished(&suite).await, &[("passed", RUNS)]);
    assert_eq!(breaker(&eve).await["state"], "closed");
    assert_ne!(breaker(&ada).await["state"], "closed", "Ada's is open all the while");
    let of_eve = |entry: &&mock_provider::Entry| entry.body.to_string().contains("Eve");
    let journal = stand.journal();
    assert_eq!(journal.iter().filter(of_eve).count(), RUNS * 3);
    let well = |entry: &mock_provider::Entry| entry.outcome == Outcome::Answered(200);
    assert!(journal.iter().filter(of_eve).all(well));
    let keys: std::collections::HashSet<_> = journal.iter().map(|entry| &entry.key_hash).collect();
    assert_eq!(keys.len(), 1, "over the very same key");

    let suite = ada.make(&format!("/suites/{failing}/cancel"), &json!({})).await;
    ada.finished_within(&id(&suite), SOON).await;
}
