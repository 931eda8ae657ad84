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
pub(super) fn arguments_string(arguments: &Value) -> String {
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
pub(super) fn arguments(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => json!({}),
        Some(Value::String(text)) if text.trim().is_empty() => json!({}),
        Some(Value::String(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        Some(other) => other.clone(),
    }
}
