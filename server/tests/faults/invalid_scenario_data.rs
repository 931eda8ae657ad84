//! A flow with `role` and `text` in place of `speaker` and `message` crashed
//! the runner, and with it the runs beside it. Here one validation serves the
//! API, import and the claim of a run, names every problem with its path, and
//! what is damaged in the database ends alone.

use super::outside::{
    assert_endings, binary, database, ending, problems, runs, scenarios, start, until,
};
use serde_json::{Value, json};
use fault_injection::house::House;
use sqlx::Connection as _;
use mock_provider::{Action, Rule, Script, When};
use uuid::Uuid;

/// A flow of another runner.
fn foreign() -> Value {
    json!({"name": "Foreign", "category": "support",
        "conversation_flow": [{"role": "user", "text": "Hello?"}, {"role": "assistant", "text": "Hi"}]})
}

#[tokio::test]
async fn a_flow_of_another_shape_is_refused_with_every_path() {
    let house = House::new(&binary()).await;
    let user = house.user("shape@example.org");
    let expected = ["conversation_flow[0].speaker", "conversation_flow[0].message"];
    let refused = problems(user.post("/scenarios", &foreign()).await).await;
    let validated = user.make("/scenarios/validate", &foreign()).await.to_string();
    let import = json!([{"kind": "scenario", "name": "F", "category": "support",
        "conversation_flow": foreign()["conversation_flow"]}]);
    let imported = user.post("/import", &import).await.text().await.unwrap();
    for path in expected {
        assert!(refused.iter().any(|(of, _)| of == path), "{path} in {refused:?}");
        assert!(validated.contains(path), "{path} in {validated}");
        assert!(imported.contains(path), "{path} in {imported}");
    }
    let kept = user.get("/scenarios?built_in=false").await;
    assert_eq!(kept["items"], json!([]), "nothing half-read is kept");
}

#[tokio::test]
async fn what_is_damaged_in_the_database_ends_alone() {
    let hold = Rule {
        when: When { contains: Some("Hold".into()), ..When::default() },
        times: Some(1),
        ..Rule::always(Action::Hang)
    };
    let stand = mock_provider::start(Script::of([hold])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("damage@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    // One run goes first and holds the suite's only place meanwhile.
    let mut all = scenarios(&user, "Hold", 1, 1).await;
    all.extend(scenarios(&user, "Broken", 5, 1).await);
    all.extend(scenarios(&user, "Sound", 3, 1).await);
    let suite = start(&user, &agent, &all, json!({"concurrency": 1})).await;
    until("the first call", super::outside::SOON, async || stand.journal().len() == 1).await;
    let bodies = [
        foreign().to_string(),
        "{}".to_owned(),
        "no JSON at all".to_owned(),
        json!({"name": 7, "category": ["x"], "conversation_flow": "none"}).to_string(),
        json!({"name": "Empty", "category": "support", "conversation_flow": []}).to_string(),
    ];
    let mut database = database(&house).await;
    for (scenario, body) in all[1..6].iter().zip(&bodies) {
        let damaged = sqlx::query("UPDATE scenario_revisions SET body = ? WHERE scenario_id = ?")
            .bind(body)
            .bind(scenario.parse::<Uuid>().unwrap())
            .execute(&mut database);
        assert_eq!(damaged.await.unwrap().rows_affected(), 1);
    }
    database.close().await.unwrap();
    let first = runs(&user.get(&format!("/suites/{suite}")).await)[0]["id"].clone();
    user.make(&format!("/runs/{}/cancel", first.as_str().unwrap()), &json!({})).await;

    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("cancelled", 1), ("error/invalid_scenario", 5), ("passed", 3)]);
    let broken = &runs(&suite)[1];
    assert_eq!(ending(broken), "error/invalid_scenario");
    let message = broken["error"]["message"].as_str().unwrap();
    assert!(message.contains("conversation_flow[0].speaker"), "it says what to mend: {message}");
    let journal = stand.journal();
    assert!(journal.iter().all(|entry| !entry.body.to_string().contains("Broken")));
    assert_eq!(journal.len(), 1 + 3 * 2, "the sound ones were asked and judged, nothing else");
}
