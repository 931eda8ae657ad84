//! The adapter of Anthropic's Messages API.

use super::adjusted_call::{Adapter, Api, Protocol, merge};
use super::adjustment::{Adjustments, OutputForm};
use super::stream;
use domain::{FinishReason, ReasoningEffort, ToolCall};
use llm_types::reply::{assemble, or_placeholder, token_parts};
use llm_types::{ChatReply, ChatRequest, Endpoint, Message};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

/// The API version, unless the connection sets the header `anthropic-version`.
const VERSION: &str = "2023-06-01";
/// The name of this protocol in the state of a reply.
const STATE: &str = "anthropic";

/// The adapter of this protocol.
pub type Anthropic = Adapter<Messages>;

/// The Messages API.
pub enum Messages {}

impl Protocol for Messages {
    fn headers(endpoint: &Endpoint) -> HeaderMap {
        version_header(endpoint)
    }

    fn api(_: &Endpoint, _: &Adjustments) -> &'static Api {
        &API
    }
}

const API: Api = Api {
    path: "/v1/messages",
    body: |_, request, form| {
        let mut body = body(request, form.adjustments.output);
        if form.streams() {
            body["stream"] = json!(true);
        }
        body
    },
    assemble: stream::messages,
    read,
};

/// The header that every request needs.
pub(super) fn version_header(endpoint: &Endpoint) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !endpoint.headers.keys().any(|name| name.eq_ignore_ascii_case("anthropic-version")) {
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
    }
    headers
}

pub(super) fn body(request: &ChatRequest, form: OutputForm) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    body.insert("max_tokens".into(), json!(request.max_tokens));
    body.insert("messages".into(), messages(&request.messages));
    if !request.system.trim().is_empty() {
        body.insert("system".into(), json!(request.system));
    }
    if let Some(temperature) = request.temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    let mut config = Map::new();
    if let Some(effort) = request.reasoning_effort {
        config.insert("effort".into(), json!(effort_name(effort)));
    }
    if let Some(output) = request.output.as_ref().filter(|_| form == OutputForm::Native) {
        let format = json!({ "type": "json_schema", "schema": output.schema });
        config.insert("format".into(), format);
    } else if let Some(output) = &request.output {
        // The output schema is a tool that the model is forced to call.
        body.insert(
            "tools".into(),
            json!([{ "name": output.name, "description": "Takes the answer.", "input_schema": output.schema }]),
        );
        let choice =
            json!({ "type": "tool", "name": output.name, "disable_parallel_tool_use": true });
        body.insert("tool_choice".into(), choice);
    } else if !request.tools.is_empty() {
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": schema(&tool.parameters) }))
            .collect();
        body.insert("tools".into(), Value::Array(tools));
        if request.no_tool_calls {
            body.insert("tool_choice".into(), json!({ "type": "none" }));
        }
    }
    if request.cache_key.is_some() {
        mark_cached(&mut body);
    }
    if !config.is_empty() {
        body.insert("output_config".into(), Value::Object(config));
    }
    if let Some(extra) = &request.extra_body {
        merge(&mut body, extra);
    }
    Value::Object(body)
}

/// The API has no smaller effort than `low`.
fn effort_name(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::None | ReasoningEffort::Minimal => "low",
        other => other.as_str(),
    }
}

/// The API requires an object schema, but a tool without parameters has `{}`.
fn schema(parameters: &Value) -> Value {
    match parameters {
        Value::Object(map) if map.contains_key("type") => parameters.clone(),
        Value::Object(map) => {
            let mut map = map.clone();
            map.insert("type".into(), json!("object"));
            Value::Object(map)
        }
        _ => json!({ "type": "object" }),
    }
}

/// The API requires alternating roles, so consecutive messages of one role are merged
/// into one message with several blocks. Tool results have the role `user`.
pub(super) fn messages(messages: &[Message]) -> Value {
    let mut merged: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message {
            Message::User(text) => ("user", vec![text_block(or_placeholder(text))]),
            Message::Assistant { text, tool_calls, provider_state } => {
                let blocks = stored_blocks(provider_state.as_ref());
                ("assistant", blocks.unwrap_or_else(|| assistant_blocks(text, tool_calls)))
            }
            Message::Tool { call_id, content, is_error } => (
                "user",
                vec![
                    json!({ "type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": is_error }),
                ],
            ),
        };
        match merged.last_mut() {
            Some((last, all)) if *last == role => all.extend(blocks),
            _ => merged.push((role, blocks)),
        }
    }
    merged.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

/// The blocks of a reply with thinking, which the API requires unchanged: their signatures
/// are checked, and their order matters.
fn stored_blocks(state: Option<&Value>) -> Option<Vec<Value>> {
    state?.get(STATE)?.as_array().cloned()
}

/// The blocks to send back with the next request, if some of them are thinking.
fn blocks_to_store(blocks: &[Value]) -> Option<Value> {
    let is_thinking =
        |block: &Value| matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"));
    blocks.iter().any(is_thinking).then(|| json!({ STATE: blocks }))
}

/// Marks the end of the prompt's fixed beginning and of the conversation so far, so that
/// the next call of the conversation reads both from the cache.
fn mark_cached(body: &mut Map<String, Value>) {
    let ephemeral = json!({ "type": "ephemeral" });
    if let Some(Value::String(system)) = body.get("system") {
        let block = json!({ "type": "text", "text": system, "cache_control": ephemeral });
        body.insert("system".into(), json!([block]));
    }
    let last =
        body.get_mut("messages").and_then(Value::as_array_mut).and_then(|all| all.last_mut());
    let block = last.and_then(|last| last.get_mut("content")?.as_array_mut()?.last_mut());
    if let Some(Value::Object(block)) = block {
        block.insert("cache_control".into(), ephemeral);
    }
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn assistant_blocks(text: &str, calls: &[ToolCall]) -> Vec<Value> {
    let mut blocks = Vec::new();
    if calls.is_empty() || !text.trim().is_empty() {
        // The API rejects trailing white space in the last assistant text.
        blocks.push(text_block(or_placeholder(text).trim_end()));
    }
    for call in calls {
        let input = match &call.arguments {
            object @ Value::Object(_) => object.clone(),
            // The API requires an object.
            other => json!({ "arguments": other }),
        };
        blocks
            .push(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }));
    }
    blocks
}

/// Parses a reply. The error describes the unexpected structure.
pub(super) fn read(json: &Value, request: &ChatRequest) -> Result<ChatReply, &'static str> {
    let blocks = json.get("content").and_then(Value::as_array).ok_or("it has no content")?;
    let of_type = |kind: &'static str| {
        blocks.iter().filter(move |block| block.get("type").and_then(Value::as_str) == Some(kind))
    };
    let string = |block: &Value, key: &str| {
        block.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let text: String = of_type("text").map(|block| string(block, "text")).collect();
    let calls: Vec<ToolCall> = of_type("tool_use")
        .map(|block| ToolCall {
            id: string(block, "id"),
            name: string(block, "name"),
            arguments: block.get("input").cloned().unwrap_or_else(|| json!({})),
        })
        .collect();
    let finish = match json.get("stop_reason").and_then(Value::as_str) {
        Some("tool_use") => FinishReason::ToolCalls,
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        Some("refusal") => FinishReason::Refusal,
        _ => FinishReason::Stop,
    };
    let tokens = (
        ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .iter()
            .map(|name| count(json, name))
            .fold(0, u64::saturating_add),
        count(json, "output_tokens"),
    );
    let reply = match &request.output {
        None => assemble(text, calls, finish, tokens),
        Some(output) => {
            let forced = calls.into_iter().find(|call| call.name == output.name);
            let text = forced.map_or(text, |call| call.arguments.to_string());
            assemble(text, Vec::new(), finish, tokens)
        }
    };
    let (cached, written) =
        (count(json, "cache_read_input_tokens"), count(json, "cache_creation_input_tokens"));
    let reasoning = json.pointer("/usage/output_tokens_details/thinking_tokens");
    let reasoning = reasoning.and_then(Value::as_u64).unwrap_or(0);
    Ok(ChatReply {
        token_parts: token_parts(cached, written, reasoning),
        provider_state: blocks_to_store(blocks),
        ..reply
    })
}

fn count(json: &Value, name: &str) -> u64 {
    json.pointer("/usage").and_then(|usage| usage.get(name)?.as_u64()).unwrap_or(0)
}
