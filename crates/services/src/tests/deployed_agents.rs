//! Agents that are called over HTTP, and their connections.

use super::{Fixture, agent, connection, fixture, paths};
use crate::suites::preflight::incompatible;
use domain::services::{AgentService, ConnectionService, ImportService, SettingsService};
use domain::{
    Agent, ConnectionId, Draft, ModelChoice, Scenario, ScenarioSpec, Settings, Timestamp,
};
use serde_json::{Value, json};

pub(super) fn deployed(connection: Option<ConnectionId>, parts: Value) -> Draft {
    let mut http = json!({"purpose": "Helps.", "request": {"body": {"m": "{{messages}}"}},
        "response": {"text": "/reply"}});
    for (key, value) in parts.as_object().into_iter().flatten() {
        http[key] = value.clone();
    }
    Draft(json!({"kind": "agent", "name": "Deployed", "connection_id": connection, "http": http}))
}

impl Fixture {
    pub(super) async fn endpoint(&self) -> ConnectionId {
        let mut draft = connection("Endpoint", "https://agent.example.org", "");
        draft.0["kind"] = json!("http_agent");
        self.catalog.create_connection(&self.anna, &draft).await.unwrap().id
    }
}

#[tokio::test]
async fn agent_and_connection_must_be_of_the_same_kind() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let (model, endpoint) = (fixture.connect(anna, "").await, fixture.endpoint().await);
    let made = it.create_agent(anna, &deployed(Some(endpoint), json!({}))).await.unwrap();
    assert_eq!(made.spec.instructions(), "Helps.");
    let prompt_at_endpoint = it.create_agent(anna, &agent("Desk", endpoint)).await;
    assert_eq!(paths(prompt_at_endpoint), ["connection_id"]);
    let deployed_at_model = it.create_agent(anna, &deployed(Some(model), json!({}))).await;
    assert_eq!(paths(deployed_at_model), ["connection_id"]);
}

#[tokio::test]
async fn deployed_agent_never_judges_or_simulates() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let connection_id = fixture.endpoint().await;
    let options = Default::default();
    let choice = ModelChoice { connection_id, model: "m".into(), options };
    let settings = Settings { judge: Some(choice.clone()), simulated_user: Some(choice) };
    let refused = it.update_settings(anna, &settings).await;
    assert_eq!(paths(refused), ["judge.connection_id", "simulated_user.connection_id"]);
}

#[tokio::test]
async fn import_gives_each_agent_a_connection_of_its_kind() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let (endpoint, model) = (fixture.endpoint().await, fixture.connect(anna, "").await);
    let prompt = Draft(json!({"kind": "agent", "name": "Prompt", "system_prompt": "Help.",
        "model": "m"}));
    let documents = vec![deployed(None, json!({})), prompt];
    let report = it.import(anna, documents, false).await.unwrap();
    let mut connections = Vec::new();
    for document in report.documents {
        let id = document.id.unwrap_or_else(|| panic!("{:?}", document.problems));
        connections.push(it.agent(anna, domain::AgentId(id)).await.unwrap().spec.connection_id);
    }
    assert_eq!(connections, [endpoint, model]);
}

#[tokio::test]
async fn test_of_an_endpoint_sends_nothing() {
    let fixture = fixture().await;
    let endpoint = fixture.endpoint().await;
    let tested = fixture.catalog.test_connection(&fixture.anna, endpoint, None).await.unwrap();
    assert!(tested.ok && tested.message.contains("Nothing was sent"), "{}", tested.message);
}

#[test]
fn scenario_that_needs_tool_calls_does_not_fit_an_agent_without_visible_calls() {
    let connection = Some(ConnectionId(uuid::Uuid::from_u128(1)));
    let agent = |parts| Agent {
        id: uuid::Uuid::from_u128(2).into(),
        revision: 1,
        updated_at: Timestamp(0),
        spec: domain::AgentSpec::parse(&deployed(connection, parts)).unwrap(),
    };
    let scenario = |parts: Value| {
        let mut draft = json!({"name": "S", "category": "support",
            "conversation_flow": [{"speaker": "user", "message": "Hi"}]});
        draft.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        Scenario {
            id: uuid::Uuid::from_u128(3).into(),
            revision: 1,
            updated_at: Timestamp(0),
            slug: None,
            is_built_in: false,
            spec: ScenarioSpec::parse(&Draft(draft)).unwrap(),
        }
    };
    let visible = json!({"tools": "in_response", "response": {"text": "/reply",
        "tool_calls": {"list": "/calls", "name": "/name"}}});
    let calls = json!({"success_criteria": {"must_call_tools": ["book"]}});
    let results = json!({"expected_behaviors": [{"text": "Books", "evidence": "tool"}]});
    let plain = json!({"required_tools": ["book"]});
    for (needs, hidden) in [(&calls, true), (&results, true), (&plain, false)] {
        let scenario = scenario(needs.clone());
        assert_eq!(incompatible(&agent(json!({})), &scenario).is_some(), hidden, "{needs}");
        assert_eq!(incompatible(&agent(visible.clone()), &scenario), None, "{needs}");
    }
}
