//! The examples of `docs/agents.md` are valid, and their responses are read as they say.

use domain::{AgentSpec, Draft, ScenarioSpec, Speaker, Timestamp, Turn};
use http_agent::{Context, message_request, read_message, start_request};
use serde_json::{Value, json};
use std::sync::Arc;

const PAGE: &str = include_str!("../../../../docs/agents.md");

/// The contents of the code blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn examples_are_valid_and_their_responses_are_read() {
    let (agents, responses) = (blocks("yaml"), blocks("json"));
    assert_eq!((agents.len(), responses.len()), (5, 5));
    for (agent, response) in agents.into_iter().zip(responses) {
        let mut document = Draft(serde_saphyr::from_str::<Value>(agent).unwrap());
        document.0["connection_id"] = json!("018f2f1e-0000-7000-8000-000000000001");
        let spec = AgentSpec::parse(&document).unwrap_or_else(|found| panic!("{agent}\n{found:?}"));
        let http = Arc::new(*spec.http.unwrap());
        let response: Value = serde_json::from_str(response).unwrap();
        let reply = read_message(&http, &response).unwrap();
        assert_eq!(reply.text, "The reply.", "{}", spec.name);
        let has_calls = http.response.tool_calls.is_some();
        assert_eq!(reply.tool_calls.len(), usize::from(has_calls), "{}", spec.name);
        let has_usage = http.response.input_tokens.is_some();
        assert_eq!(reply.input_tokens > 0, has_usage, "{}", spec.name);
        let transcript = [Turn::text(Speaker::User, "A question", Timestamp(0))];
        let scenario = json!({"name": "S", "category": "support",
            "conversation_flow": [{"speaker": "user", "message": "A question"}]});
        let scenario = ScenarioSpec::parse(&Draft(scenario)).unwrap();
        let context = Context {
            scenario: &scenario,
            variables: &domain::variables::Variables::default(),
            transcript: &transcript,
            session_id: "s-1",
            run_id: uuid::Uuid::from_u128(1).into(),
            call_id: "",
        };
        let request = message_request(&http, &context).request;
        let sent = format!("{} {}", request.path, request.body.unwrap());
        assert!(sent.contains("A question") && sent.contains("s-1"), "{sent}");
        assert!(!sent.contains("{{"), "{sent}");
        let start = start_request(&http, &context);
        assert_eq!(start.is_some(), http.session.start.is_some());
    }
}
