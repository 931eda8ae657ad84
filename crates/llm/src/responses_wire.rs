//! The request and response format of OpenAI's Responses API. Pure.
//!
//! Requests store nothing at the provider (`store: false`). The reasoning of a model comes
//! back encrypted instead and is sent again with the conversation.

use super::adjusted_call::merge;
use super::adjustment::{Adjustments, Field};
use super::openai_wire::{arguments, arguments_string};
use domain::{FinishReason, ToolCall};
use llm_types::reply::{assemble, token_parts};
use llm_types::{ChatReply, ChatRequest, Message, OutputSchema};
use serde_json::{Map, Value, json};

/// The name of this protocol in the state of a reply.
const STATE: &str = "openai_responses";

/// The least token limit that the API accepts.
const MIN_TOKENS: u32 = 16;

/// What asks for the reasoning that is sent back.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

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
    body.insert("store".into(), json!(false));
    body.insert("max_output_tokens".into(), json!(request.max_tokens.max(MIN_TOKENS)));
    if !request.system.trim().is_empty() {
        body.insert("instructions".into(), json!(request.system));
    }
    body.insert("input".into(), request.messages.iter().flat_map(input_items).collect());
    if !adjustments.dropped.contains(&Field::EncryptedReasoning) {
        body.insert("include".into(), json!([ENCRYPTED_REASONING]));
    }
    if let Some(temperature) = request.temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    if let Some(effort) = request.reasoning_effort {
        body.insert("reasoning".into(), json!({ "effort": effort }));
    }
    match &request.output {
        Some(OutputSchema { name, schema }) => {
            let format =
                json!({ "type": "json_schema", "name": name, "strict": true, "schema": schema });
            body.insert("text".into(), json!({ "format": format }));
        }
        None if !request.tools.is_empty() => {
            let tools = request.tools.iter().map(|tool| {
                // Tools are strict by default, and a strict schema must require every field.
                json!({ "type": "function", "name": tool.name, "description": tool.description,
                    "parameters": tool.parameters, "strict": false })
            });
            body.insert("tools".into(), tools.collect());
            if request.no_tool_calls {
                body.insert("tool_choice".into(), "none".into());
            }
        }
        None => {}
    }
    if let Some(key) = request.cache_key.as_ref().filter(|_| knows_cache_key) {
        body.insert("prompt_cache_key".into(), json!(key));
    }
    if let Some(extra) = &request.extra_body {
        merge(&mut body, extra);
    }
    Value::Object(body)
}

/// A message is one item, and each tool call and each result is another.
fn input_items(message: &Message) -> Vec<Value> {
    match message {
        Message::User(text) => vec![json!({ "role": "user", "content": text })],
        Message::Assistant { text, tool_calls, provider_state } => {
            stored_items(provider_state.as_ref()).unwrap_or_else(|| said(text, tool_calls))
        }
        Message::Tool { call_id, content, .. } => {
            vec![json!({ "type": "function_call_output", "call_id": call_id, "output": content })]
        }
    }
}

fn said(text: &str, tool_calls: &[ToolCall]) -> Vec<Value> {
    let mut items = Vec::new();
    if !text.is_empty() || tool_calls.is_empty() {
        items.push(json!({ "role": "assistant", "content": text }));
    }
    items.extend(tool_calls.iter().map(|call| {
        json!({ "type": "function_call", "call_id": call.id, "name": call.name,
            "arguments": arguments_string(&call.arguments) })
    }));
    items
}

fn stored_items(state: Option<&Value>) -> Option<Vec<Value>> {
    state?.get(STATE)?.as_array().cloned()
}

/// The items to send back with the next request, if some of them are reasoning.
///
/// Without the field `id`, because the provider would look up an id that it did not store.
/// Reasoning that is not encrypted is left out for the same reason.
fn items_to_store(output: &[Value]) -> Option<Value> {
    let is_encrypted = |item: &Value| item["encrypted_content"].is_string();
    let is_reasoning = |item: &Value| item["type"] == "reasoning";
    if !output.iter().any(|item| is_reasoning(item) && is_encrypted(item)) {
        return None;
    }
    let kept = output.iter().filter(|item| !is_reasoning(item) || is_encrypted(item));
    let items: Vec<Value> = kept
        .cloned()
        .map(|mut item| {
            if let Value::Object(fields) = &mut item {
                fields.remove("id");
                fields.remove("status");
            }
            item
        })
        .collect();
    Some(json!({ STATE: items }))
}

/// Parses a reply. The error describes the unexpected structure.
pub(super) fn read(json: &Value, request: &ChatRequest) -> Result<ChatReply, &'static str> {
    let output = json.get("output").and_then(Value::as_array).ok_or("it has no output")?;
    if matches!(json["status"].as_str(), Some("failed" | "cancelled" | "queued" | "in_progress")) {
        return Err("the provider ended the answer without completing it");
    }
    let (text, refusal) =
        (texts(output, "output_text", "text"), texts(output, "refusal", "refusal"));
    let finish = match json.pointer("/incomplete_details/reason").and_then(Value::as_str) {
        Some("content_filter") => FinishReason::ContentFilter,
        Some(_) => FinishReason::Length,
        None if json["status"] == "incomplete" => FinishReason::Length,
        None if !refusal.is_empty() => FinishReason::Refusal,
        None => FinishReason::Stop,
    };
    let text = if text.is_empty() { refusal } else { text };
    let calls = if request.output.is_some() { Vec::new() } else { calls(output) };
    let count =
        |name: &str| json.pointer(&format!("/usage/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let parts = token_parts(
        count("input_tokens_details/cached_tokens"),
        count("input_tokens_details/cache_write_tokens"),
        count("output_tokens_details/reasoning_tokens"),
    );
    let tokens = (count("input_tokens"), count("output_tokens"));
    let reply = assemble(text, calls, finish, tokens);
    Ok(ChatReply { token_parts: parts, provider_state: items_to_store(output), ..reply })
}

/// The joined texts of all parts of this type in all messages.
fn texts(output: &[Value], part_type: &str, field: &str) -> String {
    let messages = output.iter().filter(|item| item["type"] == "message");
    let parts = messages.filter_map(|item| item["content"].as_array()).flatten();
    let parts = parts.filter(|part| part["type"] == part_type);
    parts.filter_map(|part| part[field].as_str()).collect()
}

fn calls(output: &[Value]) -> Vec<ToolCall> {
    let calls = output.iter().filter(|item| item["type"] == "function_call");
    let read = |call: &Value| {
        Some(ToolCall {
            id: call["call_id"].as_str()?.to_owned(),
            name: call["name"].as_str()?.to_owned(),
            arguments: arguments(call.get("arguments")),
        })
    };
    calls.filter_map(read).collect()
}

#[cfg(test)]
#[path = "responses_wire_tests.rs"]
mod tests;
