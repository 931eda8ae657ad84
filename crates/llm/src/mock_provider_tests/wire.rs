//! The requests of both protocols.

use super::{PROTOCOLS, env};
use crate::testing::chat_request;
use domain::{ConnectionKind, FinishReason, ToolCall};
use llm_types::{ChatRequest, Message, Progress, ToolSpec};
use mock_provider::{Action, RejectedField, Rule, Script};
use rstest::rstest;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

fn request_with_tool_result() -> ChatRequest {
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: json!({ "id": 7 }) };
    let mut request = chat_request("Where is my order 7?");
    request.messages.extend([
        Message::Assistant {
            text: "One moment.".into(),
            tool_calls: vec![call],
            provider_state: None,
        },
        Message::Tool { call_id: "c1".into(), content: "shipped".into(), is_error: false },
    ]);
    request.tools = vec![ToolSpec {
        name: "look_up".into(),
        description: "An order".into(),
        parameters: json!({ "type": "object", "properties": {} }),
    }];
    request.temperature = Some(0.25);
    request
}

#[tokio::test]
async fn anthropic_request_format() {
    let mut env = env(ConnectionKind::Anthropic, Script::default()).await;
    env.endpoint.headers.insert("anthropic-beta".into(), "x-1".into());
    let reply = env.chat_request(&request_with_tool_result()).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("I can help with that: Where is my order 7?", FinishReason::Stop)
    );
    assert!(reply.input_tokens > 0 && reply.output_tokens > 0);
    let entry = env.mock.request_log().remove(0);
    let header =
        |name: &str| entry.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!((entry.path.as_str(), entry.call_id.as_str()), ("/v1/messages", "call-1"));
    assert_eq!(
        (header("anthropic-version"), header("anthropic-beta")),
        (Some("2023-06-01"), Some("x-1"))
    );
    assert_eq!(header("accept-encoding"), None, "no compression is requested");
    assert!(!entry.key_hash.is_empty(), "the key came as x-api-key");
    let text = |text: &str| json!({ "type": "text", "text": text });
    let expected = json!({
        "model": "m-1", "max_tokens": 256, "system": "You help.", "temperature": 0.25,
        "tools": [{ "name": "look_up", "description": "An order", "input_schema": { "type": "object", "properties": {} } }],
        "messages": [
            { "role": "user", "content": [text("Where is my order 7?")] },
            { "role": "assistant", "content": [text("One moment."), { "type": "tool_use", "id": "c1", "name": "look_up", "input": { "id": 7 } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": "shipped", "is_error": false }] },
        ],
    });
    assert_eq!(entry.body, expected);
}

#[tokio::test]
async fn openai_request_format() {
    let env = env(ConnectionKind::OpenAi, Script::default()).await;
    let reply = env.chat_request(&request_with_tool_result()).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("I can help with that: Where is my order 7?", FinishReason::Stop)
    );
    let entry = env.mock.request_log().remove(0);
    assert_eq!((entry.path.as_str(), entry.call_id.as_str()), ("/v1/chat/completions", "call-1"));
    assert!(!entry.key_hash.is_empty(), "the key came as a bearer token");
    let expected = json!({
        "model": "m-1", "max_tokens": 256, "temperature": 0.25,
        "tools": [{ "type": "function", "function": { "name": "look_up", "description": "An order", "parameters": { "type": "object", "properties": {} } } }],
        "messages": [
            { "role": "system", "content": "You help." },
            { "role": "user", "content": "Where is my order 7?" },
            { "role": "assistant", "content": "One moment.", "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "look_up", "arguments": "{\"id\":7}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": "shipped" },
        ],
    });
    assert_eq!(entry.body, expected);
}

#[tokio::test]
async fn no_key_is_sent_if_none_is_configured() {
    for kind in PROTOCOLS {
        let mut env = env(kind, Script::default()).await;
        env.endpoint.key = None;
        env.chat_request(&chat_request("hi")).await.expect("a reply");
        assert_eq!(env.mock.request_log()[0].key_hash, "", "{kind:?}");
    }
}

#[tokio::test]
async fn tool_calls_work_with_all_protocols() {
    let calls = vec![
        mock_provider::ToolCall {
            name: "look_up".into(),
            arguments: json!({ "b": [1, { "c": null }], "a": "ü" }),
        },
        mock_provider::ToolCall { name: "look_up".into(), arguments: json!({}) },
    ];
    for kind in PROTOCOLS {
        let env = env(kind, Script::of([Rule::always(Action::ToolCalls(calls.clone()))])).await;
        let reply = env.chat_request(&request_with_tool_result()).await.expect("a reply");
        assert_eq!(
            (reply.finish, reply.tool_calls.len()),
            (FinishReason::ToolCalls, 2),
            "{kind:?}"
        );
        assert_eq!(reply.tool_calls[0].arguments, calls[0].arguments);
        assert_ne!(reply.tool_calls[0].id, reply.tool_calls[1].id);
    }
}

#[rstest]
#[case(ConnectionKind::Anthropic, "max_tokens", FinishReason::Length)]
#[case(ConnectionKind::Anthropic, "refusal", FinishReason::Refusal)]
#[case(ConnectionKind::OpenAi, "length", FinishReason::Length)]
#[case(ConnectionKind::OpenAi, "content_filter", FinishReason::ContentFilter)]
#[tokio::test]
async fn finish_reasons_are_distinguished(
    #[case] kind: ConnectionKind,
    #[case] reason: &str,
    #[case] finish: FinishReason,
) {
    let action = Action::Finish { text: "So".into(), reason: reason.into() };
    let reply = env(kind, Script::of([Rule::always(action)]))
        .await
        .chat_request(&chat_request("hi"))
        .await
        .expect("a reply");
    assert_eq!((reply.text.as_str(), reply.finish), ("So", finish));
}

/// Counts the parts of an answer.
#[derive(Default)]
struct Parts(AtomicUsize);

impl Progress for Parts {
    fn received(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn streamed_answer_equals_the_whole_one() {
    let calls = vec![mock_provider::ToolCall {
        name: "look_up".into(),
        arguments: json!({ "text": "ü and much more than one part can carry", "n": [1, null] }),
    }];
    let tools = Rule::first(2, Action::ToolCalls(calls));
    for kind in PROTOCOLS {
        let env = env(kind, Script::of([tools.clone()])).await;
        for request in [request_with_tool_result(), chat_request("Tell me a long story, please.")] {
            let whole = env.chat_request(&request).await.expect("a reply");
            let parts = Parts::default();
            let streamed = env.provider.stream(&env.endpoint, &request, &parts).await;
            let streamed = streamed.expect("a reply");
            assert_eq!((&streamed.text, streamed.finish), (&whole.text, whole.finish), "{kind:?}");
            let arguments = |reply: &llm_types::ChatReply| {
                reply.tool_calls.iter().map(|call| call.arguments.clone()).collect::<Vec<_>>()
            };
            assert_eq!(arguments(&streamed), arguments(&whole));
            assert_eq!(streamed.output_tokens, whole.output_tokens);
            assert!(parts.0.load(Ordering::SeqCst) > 0);
        }
        let log = env.mock.request_log();
        assert_eq!((log[0].body.get("stream"), &log[1].body["stream"]), (None, &json!(true)));
    }
}

#[tokio::test]
async fn server_that_does_not_stream_answers_at_once() {
    let body = json!({ "error": { "message": "Your organization must be verified to stream this model.", "param": "stream" } });
    let rejected = RejectedField { field: "/stream".into(), status: 400, body };
    let script = Script { rejects: vec![rejected], ..Script::default() };
    let env = env(ConnectionKind::OpenAi, script).await;
    for requests in [2, 3] {
        let parts = Parts::default();
        let reply = env.provider.stream(&env.endpoint, &chat_request("hi"), &parts).await;
        assert!(reply.is_ok_and(|reply| reply.adjustments.is_empty()), "nothing is lost by it");
        assert_eq!(parts.0.load(Ordering::SeqCst), 0);
        assert_eq!(env.mock.request_log().len(), requests);
    }
}
