//! OpenAI's Responses API: what it rejects, its answers and its events.

use crate::model_request::{ModelRequest, tokens};
use crate::reply::Reply;
use serde_json::{Value, json};
use std::fmt::Write;

/// Fields of Chat Completions that this API does not know.
const UNKNOWN: [&str; 6] = [
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "reasoning_effort",
    "stream_options",
];

/// The status and the body of the error, if the real API rejects the request.
pub(crate) fn rejection(body: &Value) -> Option<(u16, Value)> {
    if let Some(field) = UNKNOWN.iter().find(|field| body.get(**field).is_some()) {
        let message = format!("Unknown parameter: '{field}'.");
        return Some((400, error(&message, field, "unknown_parameter")));
    }
    if body["max_output_tokens"].as_u64().is_some_and(|limit| limit < 16) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {} instead.",
            body["max_output_tokens"]
        );
        return Some((400, error(&message, "max_output_tokens", "integer_below_min_value")));
    }
    let tools = body["tools"].as_array();
    let unnamed = tools.into_iter().flatten().position(|tool| tool.get("name").is_none());
    if let Some(index) = unnamed {
        let param = format!("tools[{index}].name");
        let message = format!("Missing required parameter: '{param}'.");
        return Some((400, error(&message, &param, "missing_required_parameter")));
    }
    let items = body["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_unknown =
        |item: &&Value| item["id"].is_string() && !item["encrypted_content"].is_string();
    let item = items.iter().find(is_unknown).filter(|_| body["store"] == false)?;
    let id = item["id"].as_str().unwrap_or_default();
    let message = format!(
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
    );
    Some((404, error(&message, "input", "")))
}

fn error(message: &str, param: &str, code: &str) -> Value {
    let code = if code.is_empty() { Value::Null } else { json!(code) };
    json!({ "error": { "message": message, "type": "invalid_request_error", "param": param, "code": code } })
}

/// Encodes a reply. A request that includes encrypted reasoning gets some.
pub(crate) fn encode(reply: &Reply, request: &ModelRequest, number: u64) -> Value {
    let mut output = Vec::new();
    if request.encrypted_reasoning {
        output.push(json!({ "type": "reasoning", "id": format!("rs_{number}"), "summary": [],
            "encrypted_content": format!("encrypted-{number}") }));
    }
    if !reply.text.is_empty() || reply.calls.is_empty() {
        let part = json!({ "type": "output_text", "text": reply.text, "annotations": [] });
        output
            .push(json!({ "type": "message", "id": format!("msg_{number}"), "status": "completed",
            "role": "assistant", "content": [part] }));
    }
    output.extend(reply.calls.iter().enumerate().map(|(index, call)| {
        let arguments = match &call.arguments {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        json!({ "type": "function_call", "id": format!("fc_{number}_{index}"), "status": "completed",
            "call_id": format!("call_{number}_{index}"), "name": call.name, "arguments": arguments })
    }));
    let (input, written) = (request.prompt_tokens(), tokens(&reply.text).max(1));
    let incomplete = reply.reason.as_ref().map(|reason| json!({ "reason": reason }));
    json!({
        "id": format!("resp_{number}"), "object": "response", "model": request.model, "error": null,
        "status": if incomplete.is_some() { "incomplete" } else { "completed" },
        "incomplete_details": incomplete, "output": output,
        "usage": { "input_tokens": input, "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": written, "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": input + written },
    })
}

/// The events of a streamed answer. There is no end marker.
pub(crate) fn events(whole: &Value, parts: fn(&str) -> Vec<String>) -> String {
    let mut begun = whole.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    let mut events = vec![json!({ "type": "response.created", "response": begun })];
    for (index, item) in whole["output"].as_array().into_iter().flatten().enumerate() {
        events.push(json!({ "type": "response.output_item.added", "output_index": index,
            "item": { "type": item["type"], "id": item["id"] } }));
        let (kind, text) = match item["type"].as_str() {
            Some("message") => ("response.output_text.delta", &item["content"][0]["text"]),
            _ => ("response.function_call_arguments.delta", &item["arguments"]),
        };
        for part in parts(text.as_str().unwrap_or_default()) {
            events.push(json!({ "type": kind, "output_index": index, "item_id": item["id"], "delta": part }));
        }
        events.push(
            json!({ "type": "response.output_item.done", "output_index": index, "item": item }),
        );
    }
    let last = format!("response.{}", whole["status"].as_str().unwrap_or("completed"));
    events.push(json!({ "type": last, "response": whole }));
    let mut body = String::new();
    for (number, mut event) in events.into_iter().enumerate() {
        event["sequence_number"] = json!(number);
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let _ = write!(body, "event: {kind}\ndata: {event}\n\n");
    }
    body
}
