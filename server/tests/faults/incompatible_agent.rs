//! A support scenario run against a sales agent "failed". Here what an agent
//! must have (tools, category) is checked before the start, every pair at
//! once; with `skip_incompatible` such runs are on record as not run, which is
//! no failure, and nobody is called for them.

use super::outside::{assert_endings, binary, ending, problems, runs, start, start_of};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Script, Stand};

struct Rig {
    _house: House,
    user: User,
    stand: Stand,
    agent: Value,
    /// One for another category, one for a tool that is missing, two that fit.
    scenarios: Vec<String>,
}

async fn rig() -> Rig {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("sales@example.org");
    let over = user.agent("openai", &stand.openai_url()).await["connection_id"].clone();
    let agent = json!({"name": "Sales", "category": "sales", "system_prompt": "You sell.",
        "model": "m", "connection_id": over, "tools": [{"name": "price", "description": "d",
        "parameters": {"type": "object", "properties": {}}}]});
    let agent = user.make("/agents", &agent).await;
    let needs = [
        ("Other category", json!({"agent_category": "Support"})),
        ("Missing tool", json!({"required_tools": ["refund", "price"]})),
        ("Same category", json!({"agent_category": " SALES "})),
        ("Tool that is there", json!({"required_tools": ["price"]})),
    ];
    let mut scenarios = Vec::new();
    for (name, needs) in needs {
        let mut scenario = json!({"name": name, "category": "support",
            "conversation_flow": [{"speaker": "user", "message": format!("About: {name}")}],
            "expected_behaviors": [{"text": "Offers help"}]});
        scenario.as_object_mut().unwrap().extend(needs.as_object().unwrap().clone());
        scenarios.push(id(&user.make("/scenarios", &scenario).await));
    }
    Rig { _house: house, user, stand, agent, scenarios }
}

#[tokio::test]
async fn every_pair_that_cannot_work_is_told_before_anything_starts() {
    let Rig { _house, user, stand, agent, scenarios } = rig().await;
    let body = start_of(&agent, &scenarios, json!({}));
    let flight = user.make("/suites/preflight", &body).await;
    assert_eq!(flight["incompatible"].as_array().unwrap().len(), 2, "{flight}");
    let refused = problems(user.post("/suites", &body).await).await;
    let words: Vec<_> = refused.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(words.len(), 2, "each pair, and no more: {words:?}");
    let (category, tool) = (words[0], words[1]);
    assert!(category.contains("Other category") && category.contains("Support"), "{category}");
    assert!(tool.contains("Missing tool") && tool.contains("refund"), "{tool}");
    assert_eq!(user.get("/suites").await["items"], json!([]), "nothing was started");
    assert!(stand.journal().is_empty());
}

#[tokio::test]
async fn left_out_on_purpose_they_are_on_record_and_no_failures() {
    let Rig { _house, user, stand, agent, scenarios } = rig().await;
    let suite = start(&user, &agent, &scenarios, json!({"skip_incompatible": true})).await;
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("error/incompatible", 2), ("passed", 2)]);
    assert_eq!((&suite["counts"]["failed"], &suite["pass_rate"]), (&json!(0), &json!(1.0)));
    for run in &runs(&suite)[..2] {
        assert_eq!(ending(run), "error/incompatible");
        assert!(run["score"].is_null() && run["passed"].is_null() && run["started_at"].is_null());
    }
    let journal = stand.journal();
    assert_eq!(journal.len(), 4, "two that fit, each with its judge");
    let asked = |name: &str| journal.iter().any(|entry| entry.body.to_string().contains(name));
    assert!(!asked("Other category") && !asked("Missing tool"));
}
