use super::*;
use crate::testing::chat_request;
use domain::ReasoningEffort;
use llm_types::ToolSpec;
use rstest::rstest;

fn sent(request: &ChatRequest) -> Value {
    body(request, &Adjustments::default(), false)
}

fn reply(json: Value) -> ChatReply {
    read(&json, &chat_request("hi")).expect("a reply")
}

fn message(part: Value) -> Value {
    json!({ "type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part] })
}

fn said_text(text: &str) -> Value {
    message(json!({ "type": "output_text", "text": text, "annotations": [] }))
}

#[test]
fn nothing_is_stored_at_the_provider() {
    let expected = json!({ "model": "m-1", "store": false, "max_output_tokens": 256,
        "instructions": "You help.", "input": [{ "role": "user", "content": "hi" }],
        "include": ["reasoning.encrypted_content"] });
    assert_eq!(sent(&chat_request("hi")), expected);
}

#[test]
fn options_output_schema_and_limits() {
    let output = OutputSchema { name: "judgment".into(), schema: json!({ "type": "object" }) };
    let request = ChatRequest {
        output: Some(output),
        reasoning_effort: Some(ReasoningEffort::Low),
        max_tokens: 5,
        cache_key: Some("k".into()),
        extra_body: json!({ "text": { "verbosity": "low" } }).as_object().cloned(),
        ..chat_request("hi")
    };
    let dropped = [Field::EncryptedReasoning].into();
    let body = body(&request, &Adjustments { dropped, ..Adjustments::default() }, true);
    let format = json!({ "type": "json_schema", "name": "judgment", "strict": true, "schema": { "type": "object" } });
    assert_eq!(body["text"], json!({ "format": format, "verbosity": "low" }));
    assert_eq!(
        (&body["reasoning"], &body["max_output_tokens"]),
        (&json!({ "effort": "low" }), &json!(16))
    );
    assert_eq!((body.get("include"), &body["prompt_cache_key"]), (None, &json!("k")));
}

#[test]
fn tool_calls_and_results_are_items() {
    let call = ToolCall { id: "c1".into(), name: "look".into(), arguments: json!({ "q": 1 }) };
    let mut request = chat_request("hi");
    request.messages.push(Message::Assistant {
        text: "One moment.".into(),
        tool_calls: vec![call],
        provider_state: Some(json!({ "openai": { "x": 1 } })),
    });
    let result = |content: &str| Message::Tool {
        call_id: "c1".into(),
        content: content.into(),
        is_error: false,
    };
    request.messages.push(result("found"));
    request.no_tool_calls = true;
    request.tools = vec![ToolSpec {
        name: "look".into(),
        description: "d".into(),
        parameters: json!({ "type": "object" }),
    }];
    let body = sent(&request);
    assert_eq!(
        body["input"],
        json!([{ "role": "user", "content": "hi" },
            { "role": "assistant", "content": "One moment." },
            { "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"q\":1}" },
            { "type": "function_call_output", "call_id": "c1", "output": "found" }])
    );
    let tool = json!({ "type": "function", "name": "look", "description": "d", "parameters": { "type": "object" }, "strict": false });
    assert_eq!((&body["tools"], &body["tool_choice"]), (&json!([tool]), &json!("none")));
}

#[test]
fn encrypted_reasoning_is_sent_back_without_ids() {
    let reasoning =
        json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA" });
    let call = json!({ "type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c1", "name": "look", "arguments": "{}" });
    let plain = json!({ "type": "reasoning", "id": "rs_2", "summary": [] });
    let said = reply(
        json!({ "status": "completed", "output": [reasoning, plain, said_text("Hm."), call] }),
    );
    assert_eq!((said.text.as_str(), said.finish), ("Hm.", FinishReason::ToolCalls));
    let mut request = chat_request("hi");
    request.messages.push(Message::Assistant {
        text: said.text,
        tool_calls: said.tool_calls,
        provider_state: said.provider_state,
    });
    let expected = json!([{ "role": "user", "content": "hi" },
        { "type": "reasoning", "summary": [], "encrypted_content": "gAAA" },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Hm.", "annotations": [] }] },
        { "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}" }]);
    assert_eq!(sent(&request)["input"], expected);
    let without = reply(json!({ "output": [plain, said_text("Hm.")] }));
    assert_eq!(without.provider_state, None, "an id alone cannot be sent back");
}

#[rstest]
#[case::completed(json!({ "status": "completed" }), FinishReason::Stop)]
#[case::limit(json!({ "status": "incomplete", "incomplete_details": { "reason": "max_output_tokens" } }), FinishReason::Length)]
#[case::filter(json!({ "status": "incomplete", "incomplete_details": { "reason": "content_filter" } }), FinishReason::ContentFilter)]
#[case::no_details(json!({ "status": "incomplete", "incomplete_details": null }), FinishReason::Length)]
#[case::no_status(json!({}), FinishReason::Stop)]
fn finish_reasons(#[case] json: Value, #[case] finish: FinishReason) {
    let mut json = json;
    json["output"] = json!([said_text("So")]);
    let reply = reply(json);
    assert_eq!((reply.text.as_str(), reply.finish), ("So", finish));
}

#[test]
fn refusal_is_distinguished_and_tokens_are_read() {
    let refusal = message(json!({ "type": "refusal", "refusal": "I cannot." }));
    let usage = json!({ "input_tokens": 100, "input_tokens_details": { "cached_tokens": 80 },
        "output_tokens": 50, "output_tokens_details": { "reasoning_tokens": 40 } });
    let refused = reply(json!({ "status": "completed", "output": [refusal], "usage": usage }));
    assert_eq!((refused.text.as_str(), refused.finish), ("I cannot.", FinishReason::Refusal));
    assert_eq!((refused.input_tokens, refused.output_tokens), (100, 50));
    assert_eq!(refused.token_parts, token_parts(80, 0, 40));
}

#[rstest]
#[case(json!({ "status": "failed", "output": [] }))]
#[case(json!({ "status": "in_progress", "output": [] }))]
#[case(json!({ "choices": [] }))]
#[case(json!("ok"))]
fn unexpected_json_is_an_error(#[case] json: Value) {
    assert!(read(&json, &chat_request("hi")).is_err());
}
