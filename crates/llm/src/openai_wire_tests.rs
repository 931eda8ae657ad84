use super::adjustment::{Adjustments, OutputForm};
use super::openai_wire::{body, read};
use crate::testing::chat_request;
use domain::{FinishReason, ToolCall};
use llm_types::reply::token_parts;
use llm_types::{ChatReply, ChatRequest, Message, OutputSchema, ToolSpec};
use rstest::rstest;
use serde_json::{Value, json};

fn form() -> OutputSchema {
    OutputSchema { name: "judgment".into(), schema: json!({ "type": "object" }) }
}

fn reply(message: Value, finish: &str) -> ChatReply {
    let json = json!({ "choices": [{ "message": message, "finish_reason": finish }] });
    read(&json, &chat_request("hi")).expect("a reply")
}

#[test]
fn plain_request() {
    let expected = json!({ "model": "m-1", "max_tokens": 256, "messages": [
        { "role": "system", "content": "You help." }, { "role": "user", "content": "hi" } ] });
    assert_eq!(body(&chat_request("hi"), &Adjustments::default(), false), expected);
}

#[test]
fn tool_calls_and_results_round_trip() {
    let call = |arguments| ToolCall { id: "c1".into(), name: "look".into(), arguments };
    let mut request = chat_request("hi");
    request.messages.push(Message::Assistant {
        text: String::new(),
        tool_calls: vec![call(json!({ "q": 1 })), call(json!("{oops"))],
        provider_state: None,
    });
    request.messages.push(Message::Tool {
        call_id: "c1".into(),
        content: "r".into(),
        is_error: true,
    });
    request.tools = vec![ToolSpec {
        name: "look".into(),
        description: "d".into(),
        parameters: json!({ "type": "object" }),
    }];
    let sent = body(&request, &Adjustments::default(), false);
    assert_eq!(
        sent["messages"][2],
        json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{\"q\":1}" } },
        { "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{oops" } } ] })
    );
    assert_eq!(
        sent["messages"][3],
        json!({ "role": "tool", "tool_call_id": "c1", "content": "r" })
    );
    assert_eq!(sent["tools"][0]["function"]["name"], "look");
}

#[test]
fn output_schema_is_sent_as_response_format_or_prompt() {
    let request = ChatRequest { output: Some(form()), ..chat_request("hi") };
    let sent = body(&request, &Adjustments::default(), false);
    assert_eq!(sent["response_format"]["json_schema"]["strict"], true);
    let adjustments = Adjustments {
        output: OutputForm::Prompt,
        other_limit_name: true,
        ..Adjustments::default()
    };
    let sent = body(&adjustments.apply(&request), &adjustments, false);
    assert_eq!(sent.get("response_format"), None);
    assert!(
        sent["messages"][0]["content"].as_str().is_some_and(|s| s.contains(r#"{"type":"object"}"#))
    );
    assert_eq!((sent.get("max_tokens"), &sent["max_completion_tokens"]), (None, &json!(256)));
}

#[rstest]
#[case(json!("text"), "text")]
#[case(json!(null), "")]
#[case(json!([{ "type": "text", "text": "a" }, { "type": "image" }, { "type": "text", "text": "b" }]), "ab")]
fn text_content_formats(#[case] content: Value, #[case] text: &str) {
    assert_eq!(reply(json!({ "content": content }), "stop").text, text);
}

#[rstest]
#[case("stop", FinishReason::Stop)]
#[case("length", FinishReason::Length)]
#[case("content_filter", FinishReason::ContentFilter)]
#[case("tool_calls", FinishReason::Stop)] // without tool calls
#[case("eos", FinishReason::Stop)]
fn finish_reasons(#[case] reason: &str, #[case] finish: FinishReason) {
    assert_eq!(reply(json!({ "content": "x" }), reason).finish, finish);
}

#[rstest]
#[case::blank(json!(""))]
#[case::none(json!(null))]
#[case::words(json!("I would sug"))]
fn answer_that_ended_with_an_error_is_no_reply(#[case] content: Value) {
    let json =
        json!({ "choices": [{ "message": { "content": content }, "finish_reason": "error" }] });
    let failed = read(&json, &chat_request("hi"));
    assert_eq!(failed.err(), Some("the provider ended the answer with an error"));
}

#[test]
fn refusal_is_distinguished() {
    let refused = reply(json!({ "content": null, "refusal": "I cannot." }), "stop");
    assert_eq!((refused.text.as_str(), refused.finish), ("I cannot.", FinishReason::Refusal));
    assert_eq!((refused.input_tokens, refused.output_tokens), (0, 0));
}

#[rstest]
#[case(json!("{\"a\":1}"), json!({ "a": 1 }))]
#[case(json!({ "a": 1 }), json!({ "a": 1 }))]
#[case(json!("{oops"), json!("{oops"))]
#[case(json!(""), json!({}))]
#[case(json!(null), json!({}))]
fn tool_call_argument_formats(#[case] sent: Value, #[case] expected: Value) {
    let message = json!({ "tool_calls": [{ "function": { "name": "look", "arguments": sent } }] });
    let reply = reply(message, "stop");
    assert_eq!(reply.tool_calls[0].arguments, expected);
    assert_eq!(reply.finish, FinishReason::ToolCalls);
}

#[test]
fn missing_ids_are_unique_in_the_conversation() {
    let mut request = chat_request("hi");
    let call = ToolCall { id: "call_0".into(), name: "look".into(), arguments: json!({}) };
    request.messages.push(Message::Assistant {
        text: String::new(),
        tool_calls: vec![call],
        provider_state: None,
    });
    let function = json!({ "function": { "name": "look", "arguments": "{}" } });
    let json = json!({ "choices": [{ "message": { "tool_calls": [function, function] } }] });
    let reply = read(&json, &request).expect("a reply");
    let ids: Vec<&str> = reply.tool_calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["call_1", "call_2"]);
}

#[test]
fn reasoning_state_is_sent_back_unchanged() {
    let signature = json!({ "google": { "thought_signature": "sig==" } });
    let call = |extra: Value| {
        let function = json!({ "name": "look", "arguments": "{}" });
        let mut call = json!({ "id": "c1", "type": "function", "function": function });
        if !extra.is_null() {
            call["extra_content"] = extra;
        }
        call
    };
    let details = json!([{ "type": "reasoning.encrypted", "data": "x" }]);
    let message = json!({ "role": "assistant", "content": null, "reasoning_details": details,
        "tool_calls": [call(signature), call(Value::Null)] });
    let said = reply(message.clone(), "tool_calls");
    let mut request = chat_request("hi");
    request.messages.push(Message::Assistant {
        text: said.text,
        tool_calls: said.tool_calls,
        provider_state: said.provider_state,
    });
    let sent = body(&request, &Adjustments::default(), false);
    assert_eq!(sent["messages"][2], message);
    assert_eq!(reply(json!({ "content": "x" }), "stop").provider_state, None);
}

#[test]
fn parts_of_tokens_are_read() {
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 50,
        "prompt_tokens_details": { "cached_tokens": 80, "cache_write_tokens": 7 },
        "completion_tokens_details": { "reasoning_tokens": 40 } });
    let json = json!({ "choices": [{ "message": { "content": "x" } }], "usage": usage });
    let reply = read(&json, &chat_request("hi")).expect("a reply");
    assert_eq!(reply.token_parts, token_parts(80, 7, 40));
    assert_eq!((reply.input_tokens, reply.output_tokens), (100, 50));
}

#[test]
fn cache_key_is_sent_to_openai_only() {
    let request = ChatRequest { cache_key: Some("agent-1".into()), ..chat_request("hi") };
    let sent =
        |knows| body(&request, &Adjustments::default(), knows).get("prompt_cache_key").cloned();
    assert_eq!((sent(true), sent(false)), (Some(json!("agent-1")), None));
}

#[test]
fn unexpected_json_is_an_error() {
    assert!(read(&json!({ "choices": [] }), &chat_request("hi")).is_err());
    assert!(read(&json!("ok"), &chat_request("hi")).is_err());
}
