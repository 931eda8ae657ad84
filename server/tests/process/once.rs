//! One click, one suite: a hundred posts at once, replays, and other bodies.

use super::binary;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use fault_injection::house::{House, id};
use mock_provider::Script;
use std::collections::HashSet;

#[tokio::test]
async fn a_hundred_posts_at_once_make_one_suite() {
    let stand = mock_provider::start(Script { latency_ms: 200, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("once@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let scenario = user.scenario("S", 12).await;
    let body = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});

    let posts = (0..100).map(|_| {
        let request =
            user.ask(Method::POST, "/suites").header("Idempotency-Key", "\"k1\"").json(&body);
        async move {
            let answer = request.send().await.unwrap();
            let replayed = answer.headers().contains_key("idempotency-replayed");
            (answer.status(), replayed, answer.text().await.unwrap())
        }
    });
    let answers = futures::future::join_all(posts).await;
    let bodies: HashSet<_> = answers.iter().map(|(_, _, text)| text).collect();
    assert_eq!(bodies.len(), 1, "byte for byte the same");
    assert!(answers.iter().all(|(status, ..)| *status == StatusCode::ACCEPTED));
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1);
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 1);

    // The same key, another body.
    let other = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]], "repeats": 2});
    let request = user.ask(Method::POST, "/suites").header("Idempotency-Key", "k1").json(&other);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);

    // Without a key: refused while the first is unfinished, with a link to it.
    let refused = user.post("/suites", &body).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let suite: Value = serde_json::from_str(&answers[0].2).unwrap();
    let text = refused.text().await.unwrap();
    assert!(text.contains(&format!("/suites/{}", id(&suite))), "{text}");
    user.finished(&id(&suite)).await;
}

#[tokio::test]
async fn a_hundred_posts_without_a_key_make_one_suite() {
    let stand = mock_provider::start(Script { latency_ms: 300, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("once@example.org");
    let agent = user.agent("anthropic", &stand.anthropic_url()).await;
    let scenario = user.scenario("S", 12).await;
    let body = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let posts = (0..100).map(|_| async { user.post("/suites", &body).await.status() });
    let answers = futures::future::join_all(posts).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::ACCEPTED).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::CONFLICT).count(), 99);
}
