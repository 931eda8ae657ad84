//! The request and response format of chat completions. Pure.

use super::adjusted_call::merge;
use super::adjustment::Adjustments;
use domain::{FinishReason, ToolCall};
use llm_types::reply::{assemble, token_parts};
use llm_types::{ChatReply, ChatRequest, Message, OutputSchema};
use serde_json::{Map, Value, json};

/// The name of this protocol in the state of a reply.
const STATE: &str = "openai";

/// The body of a request to which the adjustments are applied already.
///
/// `knows_cache_key` is whether the server is one of OpenAI: others may reject the field.
pub(super) fn body(
    request: &ChatRequest,
    adjustments: &Adjustments,
    knows_cache_key: bool,
) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    let other = adjustments.other_limit_name;
    let limit = if other { "max_completion_tokens" } else { "max_tokens" };
    body.insert(limit.into(), json!(request.max_tokens));
    if let Some(temperature) = request.temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    if let Some(effort) = request.reasoning_effort {
        body.insert("reasoning_effort".into(), json!(effort));
    }
    match &request.output {
        Some(OutputSchema { name, schema }) => {
            let format = json!({ "type": "json_schema", "json_schema": { "name": name, "strict": true, "schema": schema } });
            body.insert("response_format".into(), format);
        }
        None if !request.tools.is_empty() => {
            let tools = request.tools.iter().map(|tool| {
                json!({ "type": "function", "function": { "name": tool.name, "description": tool.description, "parameters": tool.parameters } })
            });
            body.insert("tools".into(), tools.collect());
            if request.no_tool_calls {
                body.insert("tool_choice".into(), "none".into());
            }
        }
        None => {}
    }
    let mut messages = Vec::new();
    if !request.system.trim().is_empty() {
        messages.push(json!({ "role": "system", "content": request.system }));
    }
    messages.extend(request.messages.iter().map(message));
    body.insert("messages".into(), Value::Array(messages));
    if let Some(key) = request.cache_key.as_ref().filter(|_| knows_cache_key) {
        body.insert("prompt_cache_key".into(), json!(key));
    }
    if let Some(extra) = &request.extra_body {
        merge(&mut body, extra);
    }
    Value::Object(body)
}

fn message(message: &Message) -> Value {
    match message {
        Message::User(text) => json!({ "role": "user", "content": text }),
        Message::Assistant { text, tool_calls, provider_state } => {
            let state = provider_state.as_ref().and_then(|state| state.get(STATE));
            let mut message = assistant_message(text, tool_calls);
            state.into_iter().for_each(|state| restore_state(&mut message, state));
            message
        }
        Message::Tool { call_id, content, .. } => {
            json!({ "role": "tool", "tool_call_id": call_id, "content": content })
        }
    }
}

fn assistant_message(text: &str, tool_calls: &[ToolCall]) -> Value {
    if tool_calls.is_empty() {
        return json!({ "role": "assistant", "content": text });
    }
    let calls: Vec<Value> = tool_calls
        .iter()
        .map(|call| json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments_string(&call.arguments) } }))
        .collect();
    let content = if text.is_empty() { Value::Null } else { json!(text) };
    json!({ "role": "assistant", "content": content, "tool_calls": calls })
}

/// The fields of a message that carry reasoning: Gemini's signatures and OpenRouter's
/// reasoning of any model.
const STATE_FIELDS: [&str; 2] = ["extra_content", "reasoning_details"];

/// What has to be sent back with this message, if there is anything.
fn state_of(message: &Value) -> Option<Value> {
    let mut state = Map::new();
    for field in STATE_FIELDS {
        if let Some(value) = message.get(field).filter(|value| !value.is_null()) {
            state.insert(field.to_owned(), value.clone());
        }
    }
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let extra: Vec<Value> = calls
        .into_iter()
        .flatten()
        .map(|call| call.get("extra_content").cloned().unwrap_or_default())
        .collect();
    if extra.iter().any(|extra| !extra.is_null()) {
        state.insert("tool_calls".to_owned(), Value::Array(extra));
    }
    (!state.is_empty()).then(|| json!({ STATE: state }))
}

/// Puts the fields of [`state_of`] back where they were.
fn restore_state(message: &mut Value, state: &Value) {
    for field in STATE_FIELDS {
        if let Some(value) = state.get(field) {
            message[field] = value.clone();
        }
    }
    let extra = state.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten();
    for (call, extra) in calls.zip(extra).filter(|(_, extra)| !extra.is_null()) {
        call["extra_content"] = extra.clone();
    }
}

/// The arguments as a JSON string. Arguments that were not JSON are sent back
/// unchanged.
fn arguments_string(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Parses a reply. The error describes the unexpected structure.
pub(super) fn read(json: &Value, request: &ChatRequest) -> Result<ChatReply, &'static str> {
    let choice = json.pointer("/choices/0").ok_or("it has no choices")?;
    let message = choice.get("message").filter(|message| message.is_object());
    let message = message.ok_or("its choice has no message")?;
    let finish_reason = choice.get("finish_reason").and_then(Value::as_str);
    if finish_reason == Some("error") {
        return Err("the provider ended the answer with an error");
    }
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut text = content(message.get("content"));
    if text.is_empty()
        && let Some(refusal) = refusal
    {
        refusal.clone_into(&mut text);
    }
    let finish = match finish_reason {
        _ if refusal.is_some() => FinishReason::Refusal,
        Some("tool_calls" | "function_call") => FinishReason::ToolCalls,
        Some("length" | "max_tokens") => FinishReason::Length,
        Some("content_filter") => FinishReason::ContentFilter,
        Some("refusal") => FinishReason::Refusal,
        _ => FinishReason::Stop,
    };
    let count =
        |name: &str| json.pointer(&format!("/usage/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let tokens = (count("prompt_tokens"), count("completion_tokens"));
    let calls = if request.output.is_some() { Vec::new() } else { calls(message, request) };
    let parts = token_parts(
        count("prompt_tokens_details/cached_tokens").max(count("prompt_cache_hit_tokens")),
        count("prompt_tokens_details/cache_write_tokens"),
        count("completion_tokens_details/reasoning_tokens"),
    );
    let reply = assemble(text, calls, finish, tokens);
    Ok(ChatReply { token_parts: parts, provider_state: state_of(message), ..reply })
}

/// The content is text, null, or a list of parts with or without text.
fn content(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
        }
        _ => String::new(),
    }
}

/// The tool calls. A missing id is generated: it is unique in the conversation, and the
/// same whenever the same reply is parsed, so that a result matches its call.
fn calls(message: &Value, request: &ChatRequest) -> Vec<ToolCall> {
    let earlier: usize = request
        .messages
        .iter()
        .map(|message| match message {
            Message::Assistant { tool_calls, .. } => tool_calls.len(),
            _ => 0,
        })
        .sum();
    let list = message.get("tool_calls").and_then(Value::as_array);
    let read = |(i, call): (usize, &Value)| {
        let id = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        Some(ToolCall {
            id: id.map_or_else(|| format!("call_{}", earlier + i), str::to_owned),
            name: call.pointer("/function/name")?.as_str()?.to_owned(),
            arguments: arguments(call.pointer("/function/arguments")),
        })
    };
    list.map(|list| list.iter().enumerate().filter_map(read).collect()).unwrap_or_default()
}

/// Arguments are a JSON string in the specification. Some servers send an object, others
/// send nothing for a tool without parameters. Text that is not JSON stays text.
fn arguments(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => json!({}),
        Some(Value::String(text)) if text.trim().is_empty() => json!({}),
        Some(Value::String(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        Some(other) => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adjustment::OutputForm;
    use crate::testing::chat_request;
    use llm_types::ToolSpec;
    use rstest::rstest;

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
            sent["messages"][0]["content"]
                .as_str()
                .is_some_and(|s| s.contains(r#"{"type":"object"}"#))
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
        let message =
            json!({ "tool_calls": [{ "function": { "name": "look", "arguments": sent } }] });
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
}
