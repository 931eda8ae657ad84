//! A hiccup of the network, a second click, and there were two identical runs;
//! looking before inserting did not help. Here the key is stored with what it
//! started, in one transaction, and answers the same bytes ever after: also
//! when the process dies between the commit and the answer.

use super::outside::{SOON, assert_endings, binary, of_role, scenarios, start_of, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Action, Role, Script};

/// Posts with a key; answers the status, whether it says that it is a replay,
/// and the body.
async fn keyed(user: &User, path: &str, key: &str, body: &Value) -> (StatusCode, bool, String) {
    let request = user.ask(Method::POST, path).header("Idempotency-Key", key).json(body);
    let answer = request.send().await.unwrap();
    let replayed = answer.headers().get("idempotency-replayed").is_some_and(|v| v == "true");
    (answer.status(), replayed, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_key_is_one_suite_across_a_kill_between_commit_and_answer() {
    let stand = mock_provider::start(Script { latency_ms: 50, ..Script::default() }).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("twice@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", 3, 2).await;
    let body = start_of(&agent, &all, json!({}));
    // Nobody hears the answer: the process dies as soon as the provider is
    // asked, that is after the commit.
    let lost = tokio::spawn({
        let (user, body) = (user.clone(), body.clone());
        async move {
            let request = user.ask(Method::POST, "/suites").header("Idempotency-Key", "k");
            let _ = request.json(&body).send().await;
        }
    });
    until("the suite is at work", SOON, async || !stand.journal().is_empty()).await;
    house.kill();
    lost.abort();
    house.start().await;
    let (status, replayed, first) = keyed(&user, "/suites", "k", &body).await;
    assert_eq!((status, replayed), (StatusCode::ACCEPTED, true), "{first}");
    for _ in 0..3 {
        let (status, replayed, again) = keyed(&user, "/suites", "\"k\"", &body).await;
        assert_eq!((status, replayed, &again), (StatusCode::ACCEPTED, true, &first));
    }
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 1);
    let suite: Value = serde_json::from_str(&first).unwrap();
    assert_endings(&user.finished(&id(&suite)).await, &[("passed", 3)]);
    let (needed, made) = (3 * 3, stand.journal().len());
    assert!(made <= needed + 3, "{made} calls for {needed}: twice at most those in flight");
}

#[tokio::test]
async fn every_door_that_starts_something_does_so_once() {
    let away = Script::of([of_role(Role::Judge, Action::status(404))]);
    let stand = mock_provider::start(away).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("twice@example.org");
    let agent = user.agent("anthropic", &stand.anthropic_url()).await;
    let one = scenarios(&user, "S", 1, 1).await;
    let single = json!({"agent_id": agent["id"], "scenario_id": one[0]});
    let suite = twenty_times(&user, "/runs", &single).await;
    let suite = user.finished(&id(&suite)).await;
    assert_endings(&suite, &[("error/evaluation_unavailable", 1)]);
    stand.play(Script::default());
    stand.forget();
    let run = id(&suite["runs"][0]);
    twenty_times(&user, &format!("/runs/{run}/evaluate"), &json!({})).await;
    let rerun = json!({"which": "errors"});
    let again = twenty_times(&user, &format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    assert_endings(&user.finished(&id(&again)).await, &[("passed", 1)]);
    until("it is judged again", SOON, async || {
        user.get(&format!("/runs/{run}")).await["evaluations"][0]["status"] == "done"
    })
    .await;
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 2);
    assert_eq!(stand.journal().len(), 2, "judged once again, and once in the rerun");
}

/// Twenty posts at once with one key: one starts something, all hear the same.
async fn twenty_times(user: &User, path: &str, body: &Value) -> Value {
    let posts = (0..20).map(|_| keyed(user, path, "once", body));
    let answers = futures::future::join_all(posts).await;
    let (_, _, first) = &answers[0];
    for (status, _, text) in &answers {
        assert_eq!((*status, text), (StatusCode::ACCEPTED, first), "POST {path}");
    }
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1, "POST {path}");
    serde_json::from_str(first).unwrap()
}
