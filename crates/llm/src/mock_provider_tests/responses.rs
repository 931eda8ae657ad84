//! The Responses API, and when it is used.

use super::{OPTIONS, TestEnv, env, http};
use crate::Connector;
use crate::testing::chat_request;
use domain::{ConnectionKind, FinishReason, ToolCall};
use llm_types::{ChatRequest, Message, Provider, ToolSpec};
use mock_provider::{Action, Protocol, RejectedField, Rule, Script};
use rstest::rstest;
use serde_json::json;
use std::sync::Arc;

fn tool() -> ToolSpec {
    let parameters = json!({ "type": "object", "properties": {} });
    ToolSpec { name: "look_up".into(), description: "An order".into(), parameters }
}

fn paths(env: &TestEnv) -> Vec<String> {
    env.mock.request_log().into_iter().map(|entry| entry.path).collect()
}

/// A provider that offers its models in the Responses API only.
fn responses_only() -> Script {
    let message = "This model is only supported in v1/responses and not in v1/chat/completions.";
    let body = json!({ "error": { "message": message, "type": "invalid_request_error", "param": "model", "code": null } });
    let rejected = RejectedField { field: "/messages".into(), status: 404, body };
    Script { rejects: vec![rejected], ..Script::default() }
}

#[tokio::test]
async fn model_of_the_responses_api_is_called_there_and_this_is_remembered() {
    let env = env(ConnectionKind::OpenAi, responses_only()).await;
    for known in [false, true] {
        let reply = env.chat_request(&chat_request("Hello there")).await.expect("a reply");
        assert_eq!(reply.text, "I can help with that: Hello there");
        assert_eq!(reply.adjustments, ["sent to the Responses API"]);
        let expected: &[&str] =
            if known { &["/v1/responses"] } else { &["/v1/chat/completions", "/v1/responses"] };
        assert_eq!(paths(&env), expected);
        env.mock.clear_request_log();
    }
    let other = ChatRequest { model: "m-2".into(), ..chat_request("hi") };
    env.chat_request(&other).await.expect("a reply");
    assert_eq!(paths(&env).len(), 2, "per model");
}

#[tokio::test]
async fn model_that_no_api_offers_is_not_remembered() {
    let mut script = responses_only();
    let rejected = RejectedField { field: "/input".into(), status: 404, body: json!({}) };
    script.rejects.push(rejected);
    let env = env(ConnectionKind::OpenAi, script).await;
    env.error().await;
    env.error().await;
    let both = ["/v1/chat/completions", "/v1/responses"];
    assert_eq!(paths(&env), [both, both].concat());
}

#[rstest]
#[case::whole(false)]
#[case::streamed(true)]
#[tokio::test]
async fn reasoning_is_sent_back_with_tool_calls_and_results(#[case] streamed: bool) {
    struct Ignored;
    impl llm_types::Progress for Ignored {
        fn received(&self) {}
    }
    let call = mock_provider::ToolCall { name: "look_up".into(), arguments: json!({ "id": 7 }) };
    let script = Script::of([Rule::first(1, Action::ToolCalls(vec![call]))]);
    let env = env(ConnectionKind::OpenAiResponses, script).await;
    let mut request = ChatRequest { tools: vec![tool()], ..chat_request("Where is order 7?") };
    let said = match streamed {
        true => env.provider.stream(&env.endpoint, &request, &Ignored).await,
        false => env.chat_request(&request).await,
    };
    let said = said.expect("a reply");
    assert_eq!((said.finish, said.tool_calls.len()), (FinishReason::ToolCalls, 1));
    let call_id = said.tool_calls[0].id.clone();
    request.messages.extend([
        Message::Assistant {
            text: said.text,
            tool_calls: said.tool_calls,
            provider_state: said.provider_state,
        },
        Message::Tool { call_id: call_id.clone(), content: "shipped".into(), is_error: false },
    ]);
    let reply = env.chat_request(&request).await.expect("a reply");
    assert_eq!(reply.finish, FinishReason::Stop);
    let sent = env.mock.request_log().remove(1);
    assert_eq!((sent.protocol, sent.body["store"].clone()), (Protocol::Responses, json!(false)));
    let expected = json!([{ "role": "user", "content": "Where is order 7?" },
        { "type": "reasoning", "summary": [], "encrypted_content": "encrypted-1" },
        { "type": "function_call", "call_id": call_id, "name": "look_up", "arguments": "{\"id\":7}" },
        { "type": "function_call_output", "call_id": call_id, "output": "shipped" }]);
    assert_eq!(sent.body["input"], expected);
}

#[tokio::test]
async fn conversation_of_the_other_api_continues_without_its_state() {
    let env = env(ConnectionKind::OpenAiResponses, Script::default()).await;
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: json!({}) };
    let mut request = ChatRequest { tools: vec![tool()], ..chat_request("hi") };
    request.messages.extend([
        Message::Assistant {
            text: "One moment.".into(),
            tool_calls: vec![call],
            provider_state: Some(json!({ "openai": { "reasoning_details": [] } })),
        },
        Message::Tool { call_id: "c1".into(), content: "shipped".into(), is_error: false },
    ]);
    env.chat_request(&request).await.expect("a reply");
    let sent = env.mock.request_log().remove(0).body;
    assert_eq!(sent["input"].as_array().map(Vec::len), Some(4));
}

#[rstest]
#[case("max_output_tokens", FinishReason::Length)]
#[case("content_filter", FinishReason::ContentFilter)]
#[tokio::test]
async fn incomplete_answers_say_why(#[case] reason: &str, #[case] finish: FinishReason) {
    let action = Action::Finish { text: "So".into(), reason: reason.into() };
    let env = env(ConnectionKind::OpenAiResponses, Script::of([Rule::always(action)])).await;
    let reply = env.chat_request(&chat_request("hi")).await.expect("a reply");
    assert_eq!((reply.text.as_str(), reply.finish), ("So", finish));
}

#[tokio::test]
async fn kind_of_the_connection_selects_the_api() {
    let env = env(ConnectionKind::OpenAiResponses, Script::default()).await;
    let connector = Connector::new(http(OPTIONS), Arc::clone(&env.provider));
    let reply = connector.complete(&env.endpoint, &chat_request("hi")).await.expect("a reply");
    assert_eq!((paths(&env), reply.adjustments), (vec!["/v1/responses".into()], vec![]));
}
