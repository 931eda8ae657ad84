//! Failure mode: a network error and a second click create two identical runs, although
//! the server looks before it inserts. The idempotency key is stored in the same
//! transaction as the suite and returns the same bytes afterwards, even when the
//! process dies between commit and response.

use super::support::{TIMEOUT, assert_outcomes, new_server, rule_for_role, wait_until};
use fault_injection::{ApiClient, Setup, id, suite_request};
use mock_provider::{Action, Role, Script};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Posts with a key. Returns the status, whether the response is a replay, and
/// the body.
async fn post_with_key(
    user: &ApiClient,
    path: &str,
    key: &str,
    body: &Value,
) -> (StatusCode, bool, String) {
    let request = user.request(Method::POST, path).header("Idempotency-Key", key).json(body);
    let answer = request.send().await.unwrap();
    let replayed = answer.headers().get("idempotency-replayed").is_some_and(|v| v == "true");
    (answer.status(), replayed, answer.text().await.unwrap())
}

#[tokio::test]
async fn key_starts_one_suite_across_a_kill_between_commit_and_response() {
    let Setup { provider, mut server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 50, ..Script::default() }).await;
    let all = user.create_scenarios("S", 3, 2).await;
    let body = suite_request(&agent, &all, json!({}));
    // The process dies at the first call, which is after the commit, so the
    // response is lost.
    let lost = tokio::spawn({
        let (user, body) = (user.clone(), body.clone());
        async move {
            let request = user.request(Method::POST, "/suites").header("Idempotency-Key", "k");
            let _ = request.json(&body).send().await;
        }
    });
    wait_until("the first call", TIMEOUT, async || !provider.request_log().is_empty()).await;
    server.kill();
    lost.abort();
    server.start().await;
    let (status, replayed, first) = post_with_key(&user, "/suites", "k", &body).await;
    assert_eq!((status, replayed), (StatusCode::ACCEPTED, true), "{first}");
    for _ in 0..3 {
        let (status, replayed, repeated) = post_with_key(&user, "/suites", "\"k\"", &body).await;
        assert_eq!((status, replayed, &repeated), (StatusCode::ACCEPTED, true, &first));
    }
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 1);
    let suite: Value = serde_json::from_str(&first).unwrap();
    assert_outcomes(&user.wait_for_suite(&id(&suite)).await, &[("passed", 3)]);
    let (needed, calls) = (3 * 3, provider.request_log().len());
    assert!(calls <= needed + 3, "{calls} calls for {needed}: only calls in flight are repeated");
}

#[tokio::test]
async fn key_works_on_every_route_that_starts_something() {
    let script = Script::of([rule_for_role(Role::Judge, Action::status(404))]);
    let Setup { provider, server: _server, user, agent } =
        Setup::start_with("anthropic", new_server(), script).await;
    let one = user.create_scenarios("S", 1, 1).await;
    let single = json!({"agent_id": agent["id"], "scenario_id": one[0]});
    let suite = post_twenty_times(&user, "/runs", &single).await;
    let suite = user.wait_for_suite(&id(&suite)).await;
    assert_outcomes(&suite, &[("error/evaluation_unavailable", 1)]);
    provider.set_script(Script::default());
    provider.clear_request_log();
    let run = id(&suite["runs"][0]);
    post_twenty_times(&user, &format!("/runs/{run}/evaluate"), &json!({})).await;
    let rerun = json!({"which": "errors"});
    let rerun_suite =
        post_twenty_times(&user, &format!("/suites/{}/rerun", id(&suite)), &rerun).await;
    assert_outcomes(&user.wait_for_suite(&id(&rerun_suite)).await, &[("passed", 1)]);
    wait_until("the new evaluation is done", TIMEOUT, async || {
        user.get(&format!("/runs/{run}")).await["evaluations"][0]["status"] == "done"
    })
    .await;
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 2);
    assert_eq!(provider.request_log().len(), 2, "one call of the evaluation, one of the rerun");
}

/// Posts twenty times concurrently with one key: one post starts something, and
/// all get the same response.
async fn post_twenty_times(user: &ApiClient, path: &str, body: &Value) -> Value {
    let posts = (0..20).map(|_| post_with_key(user, path, "once", body));
    let answers = futures::future::join_all(posts).await;
    let (_, _, first) = &answers[0];
    for (status, _, text) in &answers {
        assert_eq!((*status, text), (StatusCode::ACCEPTED, first), "POST {path}");
    }
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1, "POST {path}");
    serde_json::from_str(first).unwrap()
}
