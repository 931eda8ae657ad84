//! Assembles streamed answers (server-sent events) to the body that the server would have
//! sent at once, so that both are read by the same code. Pure.

use serde_json::{Map, Value, json};

/// Why a stream cannot be assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// It ended before the answer did.
    Incomplete,
    /// It contains no events of this protocol, or one that is too large.
    Unreadable,
    /// Its parts are too large together.
    TooLarge,
}

/// The maximum size of the data of one event.
const MAX_EVENT: usize = 1024 * 1024;
/// The maximum of [`size`] of all parts of an answer together.
const MAX_PARTS: usize = 16 * 1024 * 1024;

/// The data of the events, parsed one by one, without comments and the end marker.
pub(super) struct Events<'a> {
    /// The lines that are not read yet; `None` at the end.
    rest: Option<&'a [u8]>,
    /// Whether the end marker was there.
    ended: bool,
    /// The size of the parts that were kept.
    kept: usize,
}

impl<'a> Events<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        Self { rest: Some(body), ended: false, kept: 0 }
    }

    pub(super) fn next_event(&mut self) -> Result<Option<Value>, StreamError> {
        let mut data = Vec::new();
        while let Some(rest) = self.rest {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.rest = end.map(|end| &rest[end + 1..]);
            if let Some(more) = line.strip_prefix(b"data:") {
                if !data.is_empty() {
                    data.push(b'\n');
                }
                data.extend_from_slice(more.strip_prefix(b" ").unwrap_or(more));
                if data.len() > MAX_EVENT {
                    return Err(StreamError::Unreadable);
                }
            }
            // The last event may end without an empty line.
            if (line.is_empty() || self.rest.is_none()) && !data.is_empty() {
                self.ended |= data.trim_ascii() == b"[DONE]";
                if let Ok(event) = serde_json::from_str(&String::from_utf8_lossy(&data)) {
                    return Ok(Some(event));
                }
                data.clear();
            }
        }
        Ok(None)
    }

    /// Counts a part that is kept.
    pub(super) fn keep(&mut self, part: &Value) -> Result<(), StreamError> {
        self.kept += size(part);
        if self.kept > MAX_PARTS { Err(StreamError::TooLarge) } else { Ok(()) }
    }
}

/// The size of a value in bytes: its strings, and something for each value.
fn size(value: &Value) -> usize {
    const EACH: usize = 16;
    EACH + match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 0,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn append(target: &mut Map<String, Value>, key: &str, more: &str) {
    match target.get_mut(key) {
        Some(Value::String(text)) => text.push_str(more),
        _ => {
            target.insert(key.to_owned(), json!(more));
        }
    }
}

/// Assembles a stream of chat completions.
pub(super) fn chat_completion(body: &[u8]) -> Result<Value, StreamError> {
    let mut events = Events::of(body);
    let mut message = Map::new();
    let mut calls: Vec<Map<String, Value>> = Vec::new();
    let (mut finish, mut usage, mut seen) = (Value::Null, Value::Null, false);
    while let Some(event) = events.next_event()? {
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(event);
        }
        if let Some(reported) = event.get("usage").filter(|usage| usage.is_object()) {
            usage = reported.clone();
        }
        let Some(choice) = event.pointer("/choices/0") else { continue };
        seen = true;
        if let Some(reason) = choice.get("finish_reason").filter(|reason| reason.is_string()) {
            finish = reason.clone();
        }
        let Some(delta) = choice.get("delta").or(choice.get("message")) else { continue };
        events.keep(delta)?;
        for field in ["content", "refusal"] {
            if let Some(more) = text(delta, field) {
                append(&mut message, field, more);
            }
        }
        if let Some(extra) = delta.get("extra_content").filter(|extra| !extra.is_null()) {
            message.insert("extra_content".into(), extra.clone());
        }
        if let Some(Value::Array(details)) = delta.get("reasoning_details") {
            let all = message.entry("reasoning_details").or_insert_with(|| json!([]));
            all.as_array_mut().into_iter().for_each(|all| all.extend(details.iter().cloned()));
        }
        let parts = delta.get("tool_calls").and_then(Value::as_array);
        parts.into_iter().flatten().for_each(|part| add_call_part(&mut calls, part));
    }
    if !seen {
        return Err(StreamError::Unreadable);
    }
    if finish.is_null() && !events.ended {
        return Err(StreamError::Incomplete);
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), json!(calls));
    }
    let choice = json!({ "message": message, "finish_reason": finish });
    Ok(json!({ "choices": [choice], "usage": usage }))
}

/// Adds a part of a tool call. The parts of one call have the same index; servers without
/// indices send each call at once.
fn add_call_part(calls: &mut Vec<Map<String, Value>>, part: &Value) {
    const MAX_CALLS: usize = 256;
    let index = part.get("index").and_then(Value::as_u64);
    let index = index.map_or(calls.len(), |index| usize::try_from(index).unwrap_or(MAX_CALLS));
    if index >= MAX_CALLS {
        return;
    }
    while calls.len() <= index {
        calls.push(Map::new());
    }
    let call = &mut calls[index];
    for field in ["id", "type"] {
        if let Some(value) = text(part, field) {
            call.insert(field.into(), json!(value));
        }
    }
    if let Some(extra) = part.get("extra_content").filter(|extra| !extra.is_null()) {
        call.insert("extra_content".into(), extra.clone());
    }
    let Some(function) = part.get("function") else { return };
    let known = call.entry("function").or_insert_with(|| json!({}));
    let Value::Object(known) = known else { return };
    if let Some(name) = text(function, "name") {
        append(known, "name", name);
    }
    match function.get("arguments") {
        Some(Value::String(more)) => append(known, "arguments", more),
        Some(whole) if !whole.is_null() => {
            known.insert("arguments".into(), whole.clone());
        }
        _ => {}
    }
}

/// Assembles a stream of the Messages API.
pub(super) fn messages(body: &[u8]) -> Result<Value, StreamError> {
    let (mut message, mut blocks, mut stopped) = (Map::new(), Vec::new(), false);
    let mut events = Events::of(body);
    while let Some(event) = events.next_event()? {
        match text(&event, "type").unwrap_or_default() {
            "error" => return Ok(event),
            "message_start" => {
                message = event["message"].as_object().cloned().unwrap_or_default();
            }
            "content_block_start" => {
                events.keep(&event["content_block"])?;
                blocks.push((event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                events.keep(&event["delta"])?;
                add_block_delta(&mut blocks, &event);
            }
            "message_delta" => {
                events.keep(&event["usage"])?;
                if let Some(reason) = event.pointer("/delta/stop_reason") {
                    message.insert("stop_reason".into(), reason.clone());
                }
                let usage = message.entry("usage").or_insert_with(|| json!({}));
                if let (Value::Object(usage), Some(more)) = (usage, event["usage"].as_object()) {
                    usage.extend(more.clone());
                }
            }
            "message_stop" => stopped = true,
            _ => {}
        }
    }
    if message.is_empty() {
        return Err(StreamError::Unreadable);
    }
    if !stopped && !message.get("stop_reason").is_some_and(Value::is_string) {
        return Err(StreamError::Incomplete);
    }
    let content = blocks.into_iter().map(|(mut block, input)| {
        if let Ok(input) = serde_json::from_str::<Value>(&input) {
            block["input"] = input;
        }
        block
    });
    message.insert("content".into(), content.collect());
    Ok(Value::Object(message))
}

fn add_block_delta(blocks: &mut [(Value, String)], event: &Value) {
    let index = event["index"].as_u64().and_then(|index| usize::try_from(index).ok());
    let at = index.unwrap_or(blocks.len().saturating_sub(1));
    let Some((Value::Object(block), input)) = blocks.get_mut(at) else { return };
    let delta = &event["delta"];
    for field in ["text", "thinking", "signature"] {
        if let Some(more) = text(delta, field) {
            append(block, field, more);
        }
    }
    if let Some(more) = text(delta, "partial_json") {
        input.push_str(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sse(events: &[Value]) -> String {
        events.iter().map(|event| format!("data: {event}\n\n")).collect()
    }

    #[test]
    fn chat_completion_is_assembled() {
        let call = |part: Value| json!({ "choices": [{ "delta": { "tool_calls": [part] } }] });
        let events = [
            json!({ "choices": [{ "delta": { "role": "assistant", "content": "" } }] }),
            json!({ "choices": [{ "delta": { "content": "One " } }] }),
            json!({ "choices": [{ "delta": { "content": "moment." } }] }),
            call(
                json!({ "index": 0, "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{\"q\"" },
                "extra_content": { "google": { "thought_signature": "s" } } }),
            ),
            call(json!({ "index": 0, "function": { "arguments": ":1}" } })),
            call(
                json!({ "index": 1, "id": "c2", "function": { "name": "book", "arguments": "{}" } }),
            ),
            json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
            json!({ "choices": [], "usage": { "prompt_tokens": 5, "completion_tokens": 7 } }),
        ];
        let body = format!(": comment\n\n{}data: [DONE]\n\n", sse(&events));
        let expected = json!({ "choices": [{ "finish_reason": "tool_calls", "message": { "content": "One moment.", "tool_calls": [
            { "id": "c1", "type": "function", "extra_content": { "google": { "thought_signature": "s" } }, "function": { "name": "look", "arguments": "{\"q\":1}" } },
            { "id": "c2", "function": { "name": "book", "arguments": "{}" } } ] } }],
            "usage": { "prompt_tokens": 5, "completion_tokens": 7 } });
        assert_eq!(chat_completion(body.as_bytes()), Ok(expected));
        assert_eq!(
            chat_completion(body.replace('\n', "\r\n").as_bytes())
                .map(|json| json["usage"]["prompt_tokens"].clone()),
            Ok(json!(5))
        );
    }

    #[test]
    fn message_is_assembled() {
        let delta = |index: u64, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        let start = |block: Value| json!({ "type": "content_block_start", "content_block": block });
        let events = [
            json!({ "type": "message_start", "message": { "role": "assistant", "content": [], "usage": { "input_tokens": 9, "output_tokens": 1 } } }),
            start(json!({ "type": "thinking", "thinking": "" })),
            delta(0, json!({ "type": "thinking_delta", "thinking": "Hm" })),
            delta(0, json!({ "type": "signature_delta", "signature": "sig==" })),
            json!({ "type": "ping" }),
            start(json!({ "type": "text", "text": "" })),
            delta(1, json!({ "type": "text_delta", "text": "One " })),
            delta(1, json!({ "type": "text_delta", "text": "moment." })),
            start(json!({ "type": "tool_use", "id": "t1", "name": "look", "input": {} })),
            delta(2, json!({ "type": "input_json_delta", "partial_json": "{\"b\":1," })),
            delta(2, json!({ "type": "input_json_delta", "partial_json": "\"a\":2}" })),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 12 } }),
            json!({ "type": "message_stop" }),
        ];
        let expected = json!({ "role": "assistant", "stop_reason": "tool_use", "usage": { "input_tokens": 9, "output_tokens": 12 }, "content": [
            { "type": "thinking", "thinking": "Hm", "signature": "sig==" },
            { "type": "text", "text": "One moment." },
            { "type": "tool_use", "id": "t1", "name": "look", "input": { "b": 1, "a": 2 } } ] });
        assert_eq!(messages(sse(&events).as_bytes()), Ok(expected));
        let cut = sse(&events[..7]);
        assert_eq!(messages(cut.as_bytes()), Err(StreamError::Incomplete));
    }

    #[rstest]
    #[case::cut(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        Err(StreamError::Incomplete)
    )]
    #[case::cut_in_event(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choi",
        Err(StreamError::Incomplete)
    )]
    #[case::empty("", Err(StreamError::Unreadable))]
    #[case::only_comments(": ping\n\n: ping\n\n", Err(StreamError::Unreadable))]
    #[case::page("<html></html>", Err(StreamError::Unreadable))]
    #[case::huge_index("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":4000000000}]},\"finish_reason\":\"stop\"}]}\n\n", Ok(()))]
    fn incomplete_streams_are_no_answer(
        #[case] body: &str,
        #[case] expected: Result<(), StreamError>,
    ) {
        assert_eq!(chat_completion(body.as_bytes()).map(drop), expected);
    }

    #[test]
    fn large_event_is_unreadable() {
        for (length, expected) in
            [(MAX_EVENT / 2, Ok(())), (MAX_EVENT, Err(StreamError::Unreadable))]
        {
            let delta =
                json!({ "delta": { "content": "x".repeat(length) }, "finish_reason": "stop" });
            let body = sse(&[json!({ "choices": [delta] })]);
            assert_eq!(chat_completion(body.as_bytes()).map(drop), expected);
        }
    }

    #[test]
    fn parts_are_limited_together() {
        // Each value takes far more memory than the two bytes of its text.
        let values = json!(vec![0; 100_000]);
        let chunk = json!({ "choices": [{ "delta": { "reasoning_details": values } }] });
        let block = json!({ "type": "content_block_start", "content_block": { "x": values } });
        let usage = json!({ "type": "message_delta", "usage": { "x": values } });
        let start = json!({ "type": "message_start", "message": { "role": "assistant" } });
        let body = |first: &Value, part: &Value| {
            sse(std::slice::from_ref(first)) + &sse(&vec![part.clone(); 11])
        };
        let too_large = Err(StreamError::TooLarge);
        assert_eq!(chat_completion(body(&chunk, &chunk).as_bytes()), too_large);
        assert_eq!(messages(body(&start, &block).as_bytes()), too_large);
        assert_eq!(messages(body(&start, &usage).as_bytes()), too_large);
    }

    #[test]
    fn error_in_the_stream_is_the_answer() {
        let events = [
            json!({ "choices": [{ "delta": { "content": "So" } }] }),
            json!({ "error": { "code": 502, "message": "upstream" }, "choices": [{ "finish_reason": "error" }] }),
        ];
        let body = chat_completion(sse(&events).as_bytes()).expect("a body");
        assert_eq!(body["error"]["code"], 502);
        let overloaded = json!({ "type": "error", "error": { "type": "overloaded_error" } });
        let body = messages(sse(std::slice::from_ref(&overloaded)).as_bytes());
        assert_eq!(body, Ok(overloaded));
    }
}
