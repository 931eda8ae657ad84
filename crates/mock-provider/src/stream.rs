//! Splits a whole answer into the events of a streamed one.

use crate::model_request::Protocol;
use crate::responses;
use serde_json::{Value, json};
use std::fmt::Write;

/// The characters of one part of a text.
const PART: usize = 24;

pub(crate) fn encode_stream(protocol: Protocol, whole: &Value) -> String {
    match protocol {
        Protocol::OpenAi => chat_completion(whole),
        Protocol::Responses => responses::events(whole, parts),
        Protocol::Anthropic => messages(whole),
    }
}

fn parts(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(PART).map(|part| part.iter().collect()).collect()
}

fn chat_completion(whole: &Value) -> String {
    let choice = &whole["choices"][0];
    let message = &choice["message"];
    let chunk = |delta: Value, finish: &Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        json!({ "id": whole["id"], "object": "chat.completion.chunk", "choices": [choice] })
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), &Value::Null)];
    for part in parts(message["content"].as_str().unwrap_or_default()) {
        events.push(chunk(json!({ "content": part }), &Value::Null));
    }
    let calls = message["tool_calls"].as_array();
    for (index, call) in calls.into_iter().flatten().enumerate() {
        let name = json!({ "name": call["function"]["name"], "arguments": "" });
        let begin =
            json!({ "index": index, "id": call["id"], "type": "function", "function": name });
        events.push(chunk(json!({ "tool_calls": [begin] }), &Value::Null));
        for part in parts(call["function"]["arguments"].as_str().unwrap_or_default()) {
            let more = json!({ "index": index, "function": { "arguments": part } });
            events.push(chunk(json!({ "tool_calls": [more] }), &Value::Null));
        }
    }
    events.push(chunk(json!({}), &choice["finish_reason"]));
    events.push(json!({ "id": whole["id"], "choices": [], "usage": whole["usage"] }));
    let mut body = String::new();
    for event in events {
        let _ = write!(body, "data: {event}\n\n");
    }
    body + "data: [DONE]\n\n"
}

fn messages(whole: &Value) -> String {
    let mut start = whole.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![json!({ "type": "message_start", "message": start })];
    let blocks = whole["content"].as_array();
    for (index, block) in blocks.into_iter().flatten().enumerate() {
        let mut empty = block.clone();
        let (kind, field, text) = match block["text"].as_str() {
            Some(text) => ("text_delta", "text", text.to_owned()),
            None => ("input_json_delta", "partial_json", block["input"].to_string()),
        };
        match kind {
            "text_delta" => empty["text"] = json!(""),
            _ => empty["input"] = json!({}),
        }
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": empty }));
        for part in parts(&text) {
            let delta = json!({ "type": kind, field: part });
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": whole["stop_reason"] });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": whole["usage"] }));
    events.push(json!({ "type": "message_stop" }));
    let mut body = String::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        let _ = write!(body, "event: {kind}\ndata: {event}\n\n");
    }
    body
}
