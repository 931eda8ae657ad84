//! Concurrent and repeated starts create one suite.

use super::new_server;
use fault_injection::{Setup, id};
use mock_provider::Script;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::HashSet;

#[tokio::test]
async fn hundred_concurrent_posts_with_a_key_create_one_suite() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 200, ..Script::default() }).await;
    let scenario = user.create_scenario("S", 12).await;
    let body = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});

    let posts = (0..100).map(|_| {
        let request =
            user.request(Method::POST, "/suites").header("Idempotency-Key", "\"k1\"").json(&body);
        async move {
            let answer = request.send().await.unwrap();
            let replayed = answer.headers().contains_key("idempotency-replayed");
            (answer.status(), replayed, answer.text().await.unwrap())
        }
    });
    let answers = futures::future::join_all(posts).await;
    let bodies: HashSet<_> = answers.iter().map(|(_, _, text)| text).collect();
    assert_eq!(bodies.len(), 1, "identical bytes");
    assert!(answers.iter().all(|(status, ..)| *status == StatusCode::ACCEPTED));
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1);
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 1);

    // The same key with another body is an error.
    let other = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]], "repeats": 2});
    let request =
        user.request(Method::POST, "/suites").header("Idempotency-Key", "k1").json(&other);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);

    // Without a key, the error links to the unfinished suite.
    let refused = user.post("/suites", &body).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let suite: Value = serde_json::from_str(&answers[0].2).unwrap();
    let text = refused.text().await.unwrap();
    assert!(text.contains(&format!("/suites/{}", id(&suite))), "{text}");
    user.wait_for_suite(&id(&suite)).await;
}

#[tokio::test]
async fn hundred_concurrent_posts_without_a_key_create_one_suite() {
    let Setup { provider: _provider, server: _server, user, agent } = Setup::start_with(
        "anthropic",
        new_server(),
        Script { latency_ms: 300, ..Script::default() },
    )
    .await;
    let scenario = user.create_scenario("S", 12).await;
    let body = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let posts = (0..100).map(|_| async { user.post("/suites", &body).await.status() });
    let answers = futures::future::join_all(posts).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::ACCEPTED).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::CONFLICT).count(), 99);
}
