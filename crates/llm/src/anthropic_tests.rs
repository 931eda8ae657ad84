use super::adjustment::OutputForm;
use super::anthropic::{body, messages, read};
use crate::testing::chat_request;
use domain::{FinishReason, ReasoningEffort, ToolCall};
use llm_types::{ChatRequest, Message, OutputSchema, ToolSpec};
use rstest::rstest;
use serde_json::{Value, json};

fn call(id: &str, arguments: Value) -> ToolCall {
    ToolCall { id: id.into(), name: "look".into(), arguments }
}

fn result(id: &str, is_error: bool) -> Message {
    Message::Tool { call_id: id.into(), content: format!("r{id}"), is_error }
}

#[test]
fn consecutive_messages_of_one_role_are_merged() {
    let conversation = [
        Message::User("a".into()),
        Message::User("b".into()),
        Message::Assistant {
            text: String::new(),
            tool_calls: vec![call("1", json!({"q": 1})), call("2", json!("x"))],
            provider_state: None,
        },
        result("1", false),
        result("2", true),
        Message::User("c".into()),
        Message::assistant(" \n"),
    ];
    let expected = json!([
        { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
        { "role": "assistant", "content": [
            { "type": "tool_use", "id": "1", "name": "look", "input": { "q": 1 } },
            { "type": "tool_use", "id": "2", "name": "look", "input": { "arguments": "x" } } ] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "1", "content": "r1", "is_error": false },
            { "type": "tool_result", "tool_use_id": "2", "content": "r2", "is_error": true },
            { "type": "text", "text": "c" } ] },
        { "role": "assistant", "content": [{ "type": "text", "text": "(no answer)" }] },
    ]);
    assert_eq!(messages(&conversation), expected);
}

#[test]
fn plain_request_has_no_optional_fields() {
    let expected = json!({
        "model": "m-1", "max_tokens": 256, "system": "You help.",
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
    });
    assert_eq!(body(&chat_request("hi"), OutputForm::Native), expected);
}

#[test]
fn output_schema_is_native_or_a_forced_tool() {
    let output = OutputSchema { name: "judgment".into(), schema: json!({ "type": "object" }) };
    let request = ChatRequest { output: Some(output), ..chat_request("hi") };
    let sent = body(&request, OutputForm::Native);
    let format = json!({ "type": "json_schema", "schema": { "type": "object" } });
    assert_eq!(sent["output_config"]["format"], format);
    assert_eq!((sent.get("tools"), sent.get("tool_choice")), (None, None));
    let sent = body(&request, OutputForm::ForcedTool);
    assert_eq!(sent["tool_choice"]["name"], "judgment");
    assert_eq!(sent["tools"][0]["input_schema"], json!({ "type": "object" }));
    assert_eq!(sent.get("output_config"), None);
}

#[test]
fn tools_effort_and_extra_fields() {
    let tool = ToolSpec { name: "look".into(), description: "d".into(), parameters: json!({}) };
    let extra = json!({ "top_k": 5, "output_config": { "x": 1 } });
    let request = ChatRequest {
        tools: vec![tool],
        temperature: Some(0.5),
        reasoning_effort: Some(ReasoningEffort::Minimal),
        extra_body: extra.as_object().cloned(),
        ..chat_request("hi")
    };
    let sent = body(&request, OutputForm::Native);
    assert_eq!(
        sent["tools"],
        json!([{ "name": "look", "description": "d", "input_schema": { "type": "object" } }])
    );
    assert_eq!((&sent["temperature"], sent.get("tool_choice")), (&json!(0.5), None));
    assert_eq!(sent["output_config"], json!({ "effort": "low", "x": 1 }));
    assert_eq!(sent["top_k"], 5);
}

#[rstest]
#[case("end_turn", FinishReason::Stop)]
#[case("stop_sequence", FinishReason::Stop)]
#[case("max_tokens", FinishReason::Length)]
#[case("refusal", FinishReason::Refusal)]
#[case("something new", FinishReason::Stop)]
fn finish_reasons(#[case] reason: &str, #[case] finish: FinishReason) {
    let json = json!({ "content": [{ "type": "text", "text": "a" }, { "type": "thinking", "thinking": "…" },
        { "type": "text", "text": "b" }], "stop_reason": reason, "usage": { "input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5 } });
    let reply = read(&json, &chat_request("hi")).expect("a reply");
    assert_eq!((reply.text.as_str(), reply.finish), ("ab", finish));
    assert_eq!((reply.input_tokens, reply.output_tokens), (7, 5));
}

#[test]
fn forced_tool_call_becomes_reply_text() {
    let json = json!({ "content": [{ "type": "tool_use", "id": "t1", "name": "judgment", "input": { "b": 1, "a": [2] } }], "stop_reason": "tool_use" });
    let reply = read(&json, &chat_request("hi")).expect("a reply");
    assert_eq!(reply.tool_calls[0].arguments, json!({ "b": 1, "a": [2] }));
    assert_eq!((reply.finish, reply.input_tokens), (FinishReason::ToolCalls, 0));
    let output = OutputSchema { name: "judgment".into(), schema: json!({}) };
    let reply =
        read(&json, &ChatRequest { output: Some(output), ..chat_request("hi") }).expect("a reply");
    assert_eq!(
        serde_json::from_str::<Value>(&reply.text).expect("JSON"),
        json!({ "b": 1, "a": [2] })
    );
    assert_eq!((reply.finish, reply.tool_calls.len()), (FinishReason::Stop, 0));
}

#[test]
fn thinking_blocks_are_sent_back_unchanged() {
    let content = json!([
        { "type": "thinking", "thinking": "…", "signature": "sig==" },
        { "type": "text", "text": "One moment.  " },
        { "type": "tool_use", "id": "t1", "name": "look", "input": { "b": 1, "a": 2 } },
    ]);
    let json = json!({ "content": content, "stop_reason": "tool_use", "usage": {
        "input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5, "output_tokens": 6 } });
    let reply = read(&json, &chat_request("hi")).expect("a reply");
    let parts = reply.token_parts;
    assert_eq!(
        (reply.input_tokens, parts.cached_input_tokens, parts.cache_write_tokens),
        (12, 4, 5)
    );
    let said = Message::Assistant {
        text: reply.text,
        tool_calls: reply.tool_calls,
        provider_state: reply.provider_state,
    };
    let sent = messages(&[Message::User("hi".into()), said, result("t1", false)]);
    assert_eq!(sent[1]["content"], content);
    let other = Message::Assistant {
        text: "Hello".into(),
        tool_calls: vec![],
        provider_state: Some(json!({ "openai": { "x": 1 } })),
    };
    let sent = messages(&[other]);
    assert_eq!(sent[0]["content"], json!([{ "type": "text", "text": "Hello" }]));
    let plain = json!({ "content": [{ "type": "text", "text": "a" }] });
    assert_eq!(read(&plain, &chat_request("hi")).expect("a reply").provider_state, None);
}

#[test]
fn prompt_and_conversation_are_cached_if_they_repeat() {
    let request = ChatRequest { cache_key: Some("k".into()), ..chat_request("hi") };
    let sent = body(&request, OutputForm::Native);
    let cached =
        json!([{ "type": "text", "text": "You help.", "cache_control": { "type": "ephemeral" } }]);
    assert_eq!(sent["system"], cached);
    assert_eq!(sent["messages"][0]["content"][0]["cache_control"]["type"], "ephemeral");
    let once = body(&chat_request("hi"), OutputForm::Native).to_string();
    assert!(!once.contains("cache_control"), "writing a cache costs more: {once}");
}

#[test]
fn unexpected_json_is_an_error() {
    assert!(read(&json!({ "ok": true }), &chat_request("hi")).is_err());
}
