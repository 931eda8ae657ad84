//! An agent without a system prompt ran, and its rubbish was graded. Here a
//! prompt of nothing visible is refused when it is written, when a suite is
//! started, and once more when a run is claimed.

use super::outside::{
    SOON, assert_endings, binary, database, problems, scenarios, start, start_of, until,
};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use sqlx::Connection as _;
use mock_provider::{Action, Rule, Script};
use uuid::Uuid;

/// What looks like nothing.
const BLANK: [&str; 5] = ["", "   ", "\n\t \r\n", "\u{200B}\u{FEFF}\u{2060}", "\u{00A0}\u{3000}"];

#[tokio::test]
async fn a_blank_prompt_is_refused_wherever_it_is_written() {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("prompt@example.org");
    let mut agent = user.agent("openai", &stand.openai_url()).await;
    let path = format!("/agents/{}", id(&agent));
    for blank in BLANK {
        agent["system_prompt"] = json!(blank);
        let put = user.ask(reqwest::Method::PUT, &path).json(&agent).send().await.unwrap();
        let new = json!({"name": "New", "system_prompt": blank, "model": "m",
            "connection_id": agent["connection_id"]});
        for answer in [put, user.post("/agents", &new).await] {
            let problems = problems(answer).await;
            assert!(
                problems.iter().any(|(of, _)| of == "system_prompt"),
                "{blank:?}: {problems:?}"
            );
        }
    }
}

/// Takes the prompt out of the stored agent.
async fn damage(house: &House, agent: &Value) {
    let mut database = database(house).await;
    let damaged = sqlx::query(
        "UPDATE agent_revisions SET body = json_set(body, '$.system_prompt', ?) WHERE agent_id = ?",
    )
    .bind("\u{200B} ")
    .bind(id(agent).parse::<Uuid>().unwrap())
    .execute(&mut database);
    assert_eq!(damaged.await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
}

async fn refused_start(user: &User, agent: &Value, scenarios: &[String]) -> Vec<(String, String)> {
    problems(user.post("/suites", &start_of(agent, scenarios, json!({}))).await).await
}

#[tokio::test]
async fn one_that_is_stored_all_the_same_neither_starts_nor_runs() {
    let stand = mock_provider::start(Script::of([Rule::first(1, Action::Hang)])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("prompt@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", 4, 1).await;
    // Damaged while the first run holds the suite's only place.
    let suite = start(&user, &agent, &all, json!({"concurrency": 1})).await;
    until("the first call", SOON, async || stand.journal().len() == 1).await;
    damage(&house, &agent).await;
    let begun = user.get(&format!("/suites/{suite}")).await["runs"][0]["id"].clone();
    user.make(&format!("/runs/{}/cancel", begun.as_str().unwrap()), &json!({})).await;
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("cancelled", 1), ("error/invalid_agent", 3)]);
    let message = suite["runs"][1]["error"]["message"].as_str().unwrap();
    assert!(message.contains("system_prompt"), "{message}");
    assert_eq!(stand.journal().len(), 1, "nothing is asked without a prompt");

    let problems = refused_start(&user, &agent, &all).await;
    assert!(problems.iter().any(|(path, _)| path.contains("system_prompt")), "{problems:?}");
    assert_eq!(user.get("/suites").await["items"].as_array().unwrap().len(), 1);
}
