//! Failure mode: an agent without a system prompt runs and its useless replies are
//! graded. A blank prompt is rejected when it is saved, when a suite starts, and
//! when a run is claimed.

use super::support::{TIMEOUT, assert_outcomes, new_server, validation_errors, wait_until};
use fault_injection::{ApiClient, Setup, TestServer, id, suite_request};
use mock_provider::{Action, Rule, Script};
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

const BLANK: [&str; 5] = ["", "   ", "\n\t \r\n", "\u{200B}\u{FEFF}\u{2060}", "\u{00A0}\u{3000}"];

#[tokio::test]
async fn blank_prompt_is_rejected_on_create_and_update() {
    let Setup { provider: _provider, server: _server, user, mut agent } =
        Setup::start(new_server(), Script::default()).await;
    let path = format!("/agents/{}", id(&agent));
    for blank in BLANK {
        agent["system_prompt"] = json!(blank);
        let put = user.request(reqwest::Method::PUT, &path).json(&agent).send().await.unwrap();
        let new = json!({"name": "New", "system_prompt": blank, "model": "m",
            "connection_id": agent["connection_id"]});
        for answer in [put, user.post("/agents", &new).await] {
            let problems = validation_errors(answer).await;
            assert!(
                problems.iter().any(|(of, _)| of == "system_prompt"),
                "{blank:?}: {problems:?}"
            );
        }
    }
}

/// Blanks the prompt of the stored agent.
async fn blank_stored_prompt(server: &TestServer, agent: &Value) {
    let mut database = server.open_database().await;
    let damaged = sqlx::query(
        "UPDATE agent_revisions SET body = json_set(body, '$.system_prompt', ?) WHERE agent_id = ?",
    )
    .bind("\u{200B} ")
    .bind(id(agent).parse::<Uuid>().unwrap())
    .execute(&mut database);
    assert_eq!(damaged.await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
}

async fn refused_start(
    user: &ApiClient,
    agent: &Value,
    scenarios: &[String],
) -> Vec<(String, String)> {
    validation_errors(user.post("/suites", &suite_request(agent, scenarios, json!({}))).await).await
}

#[tokio::test]
async fn stored_blank_prompt_ends_runs_and_refuses_starts() {
    let Setup { provider, server, user, agent } =
        Setup::start(new_server(), Script::of([Rule::first(1, Action::Hang)])).await;
    let all = user.create_scenarios("S", 4, 1).await;
    // The first run uses the only slot of the suite meanwhile.
    let suite = user.start_suite(&agent, &all, json!({"concurrency": 1})).await;
    wait_until("the first call", TIMEOUT, async || provider.request_log().len() == 1).await;
    blank_stored_prompt(&server, &agent).await;
    let begun = user.get(&format!("/suites/{suite}")).await["runs"][0]["id"].clone();
    user.create(&format!("/runs/{}/cancel", begun.as_str().unwrap()), &json!({})).await;
    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("cancelled", 1), ("error/invalid_agent", 3)]);
    let message = suite["runs"][1]["error"]["message"].as_str().unwrap();
    assert!(message.contains("system_prompt"), "{message}");
    assert_eq!(provider.request_log().len(), 1, "no call without a prompt");

    let problems = refused_start(&user, &agent, &all).await;
    assert!(problems.iter().any(|(path, _)| path.contains("system_prompt")), "{problems:?}");
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 1);
}
