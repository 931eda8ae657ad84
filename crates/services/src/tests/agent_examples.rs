//! The examples of `docs/agents.md` are the presets of the form, and their responses are
//! read as they say.

use domain::http_agent::{AgentPreset, HttpAgent, ResponseFormat};
use domain::{AgentSpec, Draft, ScenarioSpec, Speaker, Timestamp, Turn};
use http_agent::{Context, ReadReply, StreamReader, message_request, read_message, start_request};
use serde_json::{Value, json};
use std::sync::Arc;

const PAGE: &str = include_str!("../../../../docs/agents.md");

/// The documents of the examples, each with the response below it.
fn examples() -> Vec<(&'static str, &'static str)> {
    let block = |text: &'static str| text.split_once("\n```");
    let example = |rest: &'static str| {
        let (agent, rest) = block(rest)?;
        let (_language, rest) = rest.split_once("```")?.1.split_once('\n')?;
        Some((agent, block(rest)?.0))
    };
    PAGE.split("```yaml\n").skip(1).filter_map(example).collect()
}

fn read(http: &Arc<HttpAgent>, response: &str) -> ReadReply {
    if http.response.format == ResponseFormat::Json {
        return read_message(http, &serde_json::from_str(response).unwrap()).unwrap();
    }
    let mut reader = StreamReader::new(http.clone());
    reader.push(response.as_bytes()).unwrap();
    let (reply, session) = reader.finish().unwrap();
    assert!(session.is_some(), "the stream contains the session id");
    reply
}

#[test]
fn examples_are_the_presets_and_their_responses_are_read() {
    let examples = examples();
    assert_eq!(examples.len(), AgentPreset::ALL.len());
    for ((agent, response), (_, preset)) in examples.into_iter().zip(AgentPreset::ALL) {
        assert!(PAGE.contains(preset.source()), "{preset}");
        let mut document = Draft(serde_saphyr::from_str::<Value>(agent).unwrap());
        let mut shown = document.0["http"].clone();
        shown.as_object_mut().unwrap().remove("purpose");
        assert_eq!(shown, preset.http(), "{preset}");
        document.0["connection_id"] = json!("018f2f1e-0000-7000-8000-000000000001");
        let spec = AgentSpec::parse(&document).unwrap_or_else(|found| panic!("{agent}\n{found:?}"));
        let http = Arc::new(*spec.http.unwrap());
        let reply = read(&http, response);
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
