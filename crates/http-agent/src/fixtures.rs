//! An agent, a scenario and turns for tests.

use domain::http_agent::HttpAgent;
use domain::{AgentSpec, Draft, ScenarioSpec, Speaker, Timestamp, Turn};
use serde_json::{Value, json};

/// A valid agent with these parts.
pub(crate) fn agent(parts: &Value) -> HttpAgent {
    let mut http = json!({
        "purpose": "Helps.",
        "request": {"body": {"id": "{{session_id}}", "m": "{{messages}}"}},
        "session": {"mode": "client"},
        "response": {"text": "/reply"},
    });
    for (key, value) in parts.as_object().into_iter().flatten() {
        match (&mut http[key], value) {
            (Value::Object(known), Value::Object(new)) => known.extend(new.clone()),
            (slot, value) => *slot = value.clone(),
        }
    }
    // A session is not needed by every request of the tests.
    if http["request"]["body"].get("id").is_none() {
        http["request"]["headers"]["X-Session"] = json!("{{session_id}}");
    }
    let mut agent: HttpAgent = parse(&http);
    agent.request.headers.remove("X-Session");
    agent
}

fn parse(http: &Value) -> HttpAgent {
    let draft = json!({"name": "A", "connection_id": "018f2f1e-0000-7000-8000-000000000001",
        "http": http});
    let spec = AgentSpec::parse(&Draft(draft)).expect("a valid agent");
    *spec.http.expect("a deployed agent")
}

pub(crate) fn scenario() -> ScenarioSpec {
    let draft = json!({"name": "S", "category": "support", "known_facts": ["Born 1990", "Lives in Bonn"],
        "conversation_flow": [{"speaker": "user", "message": "Hi"}]});
    ScenarioSpec::parse(&Draft(draft)).expect("a valid scenario")
}

pub(crate) fn turns(messages: &[(&str, &str)]) -> Vec<Turn> {
    let turn = |(speaker, message): &(&str, &str)| {
        let speaker = Speaker::parse(speaker).expect("a speaker");
        Turn::text(speaker, *message, Timestamp(0))
    };
    messages.iter().map(turn).collect()
}
