//! What goes over the wire, in both protocols.

use super::{BOTH, rig};
use crate::testing::ask;
use llm_types::{ChatRequest, Message, ToolSpec};
use domain::{ConnectionKind, Finish, ToolCall};
use rstest::rstest;
use serde_json::json;
use mock_provider::{Action, Call, Rule, Script};

fn after_a_tool() -> ChatRequest {
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: json!({ "id": 7 }) };
    let mut request = ask("Where is my order 7?");
    request.messages.extend([
        Message::Assistant { text: "One moment.".into(), tool_calls: vec![call] },
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
async fn anthropic_on_the_wire() {
    let mut rig = rig(ConnectionKind::Anthropic, Script::default()).await;
    rig.endpoint.headers.insert("anthropic-beta".into(), "x-1".into());
    let reply = rig.ask(&after_a_tool()).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("I can help with that: Where is my order 7?", Finish::Stop)
    );
    assert!(reply.input_tokens > 0 && reply.output_tokens > 0);
    let entry = rig.stand.journal().remove(0);
    let header =
        |name: &str| entry.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!((entry.path.as_str(), entry.call_id.as_str()), ("/v1/messages", "call-1"));
    assert_eq!(
        (header("anthropic-version"), header("anthropic-beta")),
        (Some("2023-06-01"), Some("x-1"))
    );
    assert_eq!(header("accept-encoding"), None, "nothing is asked for compressed");
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
async fn openai_on_the_wire() {
    let rig = rig(ConnectionKind::OpenAi, Script::default()).await;
    let reply = rig.ask(&after_a_tool()).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("I can help with that: Where is my order 7?", Finish::Stop)
    );
    let entry = rig.stand.journal().remove(0);
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
async fn a_server_without_a_key_gets_none() {
    for kind in BOTH {
        let mut rig = rig(kind, Script::default()).await;
        rig.endpoint.key = None;
        rig.ask(&ask("hi")).await.expect("a reply");
        assert_eq!(rig.stand.journal()[0].key_hash, "", "{kind:?}");
    }
}

#[tokio::test]
async fn tools_are_called_over_both_protocols() {
    let calls = vec![
        Call { name: "look_up".into(), arguments: json!({ "b": [1, { "c": null }], "a": "ü" }) },
        Call { name: "look_up".into(), arguments: json!({}) },
    ];
    for kind in BOTH {
        let rig = rig(kind, Script::of([Rule::always(Action::ToolCalls(calls.clone()))])).await;
        let reply = rig.ask(&after_a_tool()).await.expect("a reply");
        assert_eq!((reply.finish, reply.tool_calls.len()), (Finish::ToolCalls, 2), "{kind:?}");
        assert_eq!(reply.tool_calls[0].arguments, calls[0].arguments);
        assert_ne!(reply.tool_calls[0].id, reply.tool_calls[1].id);
    }
}

#[rstest]
#[case(ConnectionKind::Anthropic, "max_tokens", Finish::Length)]
#[case(ConnectionKind::Anthropic, "refusal", Finish::Refusal)]
#[case(ConnectionKind::OpenAi, "length", Finish::Length)]
#[case(ConnectionKind::OpenAi, "content_filter", Finish::ContentFilter)]
#[tokio::test]
async fn endings_are_told_apart(
    #[case] kind: ConnectionKind,
    #[case] reason: &str,
    #[case] finish: Finish,
) {
    let action = Action::Ending { text: "So".into(), reason: reason.into() };
    let reply =
        rig(kind, Script::of([Rule::always(action)])).await.ask(&ask("hi")).await.expect("a reply");
    assert_eq!((reply.text.as_str(), reply.finish), ("So", finish));
}
