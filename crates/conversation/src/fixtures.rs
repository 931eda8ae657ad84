//! Test fixtures.
#![allow(clippy::unwrap_used)] // a broken fixture should stop the test

use domain::{
    AgentSpec, Draft, FinishReason, ScenarioSpec, Speaker, Timestamp, ToolCall, ToolResult, Turn,
};
use serde_json::{Value, json};

/// An agent with two tools; fields of `with` take precedence.
pub fn agent(with: Value) -> AgentSpec {
    let mut draft = json!({
        "name": "Clinic",
        "system_prompt": "You work for a dental clinic.\n# Rules\nNever give a diagnosis.",
        "connection_id": "018f2f1e-0000-7000-8000-000000000001",
        "model": "test-model",
        "tools": [
            {"name": "find_slot", "description": "Finds a free slot",
             "parameters": {"type": "object", "required": ["day"], "additionalProperties": false,
                            "properties": {"day": {"type": "string"}, "count": {"type": "integer"}}}},
            {"name": "transfer", "description": "Hands over to a human"}
        ]
    });
    merge(&mut draft, with);
    AgentSpec::parse(&Draft(draft)).unwrap()
}

/// A scripted scenario with two user turns; fields of `with` take precedence.
pub fn scenario(with: Value) -> ScenarioSpec {
    let mut draft = json!({
        "name": "Toothache", "category": "booking",
        "conversation_flow": [
            {"speaker": "user", "message": "Hello?"},
            {"speaker": "agent", "message": "Good morning, how can I help?"},
            {"speaker": "user", "message": "I need an appointment."}
        ]
    });
    merge(&mut draft, with);
    ScenarioSpec::parse(&Draft(draft)).unwrap()
}

/// A simulated scenario; fields of `with` take precedence.
pub fn simulated(with: Value) -> ScenarioSpec {
    let mut draft = json!({
        "name": "Toothache", "category": "booking", "mode": "simulated",
        "persona": {"name": "Ada", "mood": "worried"},
        "goal": "an appointment before noon", "known_facts": ["born 1980", "allergic to latex"]
    });
    merge(&mut draft, with);
    ScenarioSpec::parse(&Draft(draft)).unwrap()
}

fn merge(draft: &mut Value, with: Value) {
    for (key, value) in with.as_object().unwrap() {
        draft[key] = value.clone();
    }
}

fn turn(speaker: Speaker, message: &str) -> Turn {
    Turn::text(speaker, message, Timestamp(0))
}

pub fn user(message: &str) -> Turn {
    turn(Speaker::User, message)
}

pub fn says(message: &str) -> Turn {
    Turn {
        finish: Some(FinishReason::Stop),
        latency_ms: Some(800),
        ..turn(Speaker::Agent, message)
    }
}

/// An agent turn with tool calls, given as (id, name).
pub fn calls(message: &str, calls: &[(&str, &str)]) -> Turn {
    let call = |(id, name): &(&str, &str)| call(id, name, json!({}));
    Turn { tool_calls: calls.iter().map(call).collect(), ..says(message) }
}

pub fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments }
}

/// A tool turn that answers the call with this id.
pub fn answers(call_id: &str, message: &str) -> Turn {
    let tool = ToolResult {
        call_id: call_id.to_owned(),
        name: "find_slot".to_owned(),
        is_error: false,
        mocked: true,
        reported: false,
    };
    Turn { tool: Some(tool), ..turn(Speaker::Tool, message) }
}

/// Numbers the turns.
pub fn transcript(turns: Vec<Turn>) -> Vec<Turn> {
    (0..).zip(turns).map(|(index, turn)| Turn { index, ..turn }).collect()
}
