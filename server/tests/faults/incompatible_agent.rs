//! Failure mode: a support scenario "fails" against a sales agent. The start checks tools
//! and categories of all pairs. With `skip_incompatible`, runs of incompatible
//! pairs are recorded without a call and do not count as failures.

use super::support::{assert_outcomes, new_server, outcome, runs, validation_errors};
use fault_injection::{Setup, id, suite_request};
use mock_provider::Script;
use serde_json::json;

/// Returns four scenarios, the first two of which are incompatible with the agent.
async fn setup() -> (Setup, Vec<String>) {
    let mut setup = Setup::start(new_server(), Script::default()).await;
    let user = &setup.user;
    let connection = &setup.agent["connection_id"];
    let agent = json!({"name": "Sales", "category": "sales", "system_prompt": "You sell.",
        "model": "m", "connection_id": connection, "tools": [{"name": "price", "description": "d",
        "parameters": {"type": "object", "properties": {}}}]});
    let agent = user.create("/agents", &agent).await;
    let needs = [
        ("Other category", json!({"agent_category": "Support"})),
        ("Missing tool", json!({"required_tools": ["refund", "price"]})),
        ("Same category", json!({"agent_category": " SALES "})),
        ("Present tool", json!({"required_tools": ["price"]})),
    ];
    let mut scenarios = Vec::new();
    for (name, needs) in needs {
        let mut scenario = json!({"name": name, "category": "support",
            "conversation_flow": [{"speaker": "user", "message": format!("About: {name}")}],
            "expected_behaviors": [{"text": "Offers help"}]});
        scenario.as_object_mut().unwrap().extend(needs.as_object().unwrap().clone());
        scenarios.push(id(&user.create("/scenarios", &scenario).await));
    }
    setup.agent = agent;
    (setup, scenarios)
}

#[tokio::test]
async fn start_reports_every_incompatible_pair() {
    let (Setup { provider, server: _server, user, agent }, scenarios) = setup().await;
    let body = suite_request(&agent, &scenarios, json!({}));
    let preflight = user.create("/suites/preflight", &body).await;
    assert_eq!(preflight["incompatible"].as_array().unwrap().len(), 2, "{preflight}");
    let refused = validation_errors(user.post("/suites", &body).await).await;
    let messages: Vec<_> = refused.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(messages.len(), 2, "one error per pair: {messages:?}");
    let (category, tool) = (messages[0], messages[1]);
    assert!(category.contains("Other category") && category.contains("Support"), "{category}");
    assert!(tool.contains("Missing tool") && tool.contains("refund"), "{tool}");
    assert_eq!(user.get("/suites").await["items"], json!([]), "nothing was started");
    assert!(provider.request_log().is_empty());
}

#[tokio::test]
async fn skipped_pairs_are_recorded_and_do_not_count_as_failures() {
    let (Setup { provider, server: _server, user, agent }, scenarios) = setup().await;
    let suite = user.start_suite(&agent, &scenarios, json!({"skip_incompatible": true})).await;
    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("error/incompatible", 2), ("passed", 2)]);
    assert_eq!((&suite["counts"]["failed"], &suite["judged_pass_rate"]), (&json!(0), &json!(1.0)));
    assert!(suite["pass_rate"].is_null(), "not every run was judged");
    for run in &runs(&suite)[..2] {
        assert_eq!(outcome(run), "error/incompatible");
        assert!(run["score"].is_null() && run["passed"].is_null() && run["started_at"].is_null());
    }
    let requests = provider.request_log();
    assert_eq!(requests.len(), 4, "two compatible pairs, each with a judge");
    let was_called =
        |name: &str| requests.iter().any(|entry| entry.body.to_string().contains(name));
    assert!(!was_called("Other category") && !was_called("Missing tool"));
}
