//! Failure mode: a flow with `role` and `text` instead of `speaker` and `message` crashes
//! the runner and all other runs. API, import and the claim of a run share one
//! validation, which reports every error with its path. A corrupt scenario in the
//! database fails only its own run.

use super::support::{
    TIMEOUT, assert_outcomes, new_server, outcome, runs, validation_errors, wait_until,
};
use fault_injection::Setup;
use mock_provider::{Action, Rule, Script, When};
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

fn foreign() -> Value {
    json!({"name": "Foreign", "category": "support",
        "conversation_flow": [{"role": "user", "text": "Hello?"}, {"role": "assistant", "text": "Hi"}]})
}

#[tokio::test]
async fn foreign_flow_is_rejected_with_every_path() {
    let server = new_server().started().await;
    let user = server.create_user("shape@example.org");
    let expected = ["conversation_flow[0].speaker", "conversation_flow[0].message"];
    let refused = validation_errors(user.post("/scenarios", &foreign()).await).await;
    let validated = user.create("/scenarios/validate", &foreign()).await.to_string();
    let import = json!([{"kind": "scenario", "name": "F", "category": "support",
        "conversation_flow": foreign()["conversation_flow"]}]);
    let imported = user.post("/import", &import).await.text().await.unwrap();
    for path in expected {
        assert!(refused.iter().any(|(of, _)| of == path), "{path} in {refused:?}");
        assert!(validated.contains(path), "{path} in {validated}");
        assert!(imported.contains(path), "{path} in {imported}");
    }
    let kept = user.get("/scenarios?built_in=false").await;
    assert_eq!(kept["items"], json!([]), "nothing is stored");
}

#[tokio::test]
async fn corrupt_scenario_fails_only_its_own_run() {
    let hold = Rule {
        when: When { contains: Some("Hold".into()), ..When::default() },
        times: Some(1),
        ..Rule::always(Action::Hang)
    };
    let Setup { provider, server, user, agent } =
        Setup::start(new_server(), Script::of([hold])).await;
    // The first run uses the only slot of the suite meanwhile.
    let mut all = user.create_scenarios("Hold", 1, 1).await;
    all.extend(user.create_scenarios("Broken", 5, 1).await);
    all.extend(user.create_scenarios("Valid", 3, 1).await);
    let suite = user.start_suite(&agent, &all, json!({"concurrency": 1})).await;
    wait_until("the first call", TIMEOUT, async || provider.request_log().len() == 1).await;
    let bodies = [
        foreign().to_string(),
        "{}".to_owned(),
        "no JSON at all".to_owned(),
        json!({"name": 7, "category": ["x"], "conversation_flow": "none"}).to_string(),
        json!({"name": "Empty", "category": "support", "conversation_flow": []}).to_string(),
    ];
    let mut database = server.open_database().await;
    for (scenario, body) in all[1..6].iter().zip(&bodies) {
        let damaged = sqlx::query("UPDATE scenario_revisions SET body = ? WHERE scenario_id = ?")
            .bind(body)
            .bind(scenario.parse::<Uuid>().unwrap())
            .execute(&mut database);
        assert_eq!(damaged.await.unwrap().rows_affected(), 1);
    }
    database.close().await.unwrap();
    let first = runs(&user.get(&format!("/suites/{suite}")).await)[0]["id"].clone();
    user.create(&format!("/runs/{}/cancel", first.as_str().unwrap()), &json!({})).await;

    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("cancelled", 1), ("error/invalid_scenario", 5), ("passed", 3)]);
    let broken = &runs(&suite)[1];
    assert_eq!(outcome(broken), "error/invalid_scenario");
    let message = broken["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("conversation_flow[0].speaker"),
        "the message names the error: {message}"
    );
    let requests = provider.request_log();
    assert!(requests.iter().all(|entry| !entry.body.to_string().contains("Broken")));
    assert_eq!(requests.len(), 1 + 3 * 2, "only the valid scenarios make calls");
}
