//! Assembles the events of a streamed answer of the Responses API. Pure.

use super::stream::{Events, StreamError};
use serde_json::{Value, json};

/// Returns the response in the last event, which is what would have come at once. If it has
/// no output, which some servers leave out there, the output consists of the items that were
/// completed before.
pub(super) fn response(body: &[u8]) -> Result<Value, StreamError> {
    let mut events = Events::of(body);
    let (mut items, mut seen) = (Vec::new(), false);
    while let Some(mut event) = events.next_event()? {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        seen |= kind.starts_with("response.");
        match kind.as_str() {
            "response.output_item.done" => {
                events.keep(&event["item"])?;
                items.push(event["item"].take());
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let mut response = event["response"].take();
                let is_empty = response["output"].as_array().is_none_or(Vec::is_empty);
                if is_empty && response.is_object() {
                    response["output"] = items.into();
                }
                return Ok(response);
            }
            "error" => return Ok(error(event)),
            _ => {}
        }
    }
    Err(if seen { StreamError::Incomplete } else { StreamError::Unreadable })
}

/// An error event has its fields at the top, or in an object as an error response has.
fn error(mut event: Value) -> Value {
    match event["error"].take() {
        Value::Object(error) => json!({ "error": error }),
        _ => json!({ "error": event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sse(events: &[Value]) -> String {
        let event = |event: &Value| {
            format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
        };
        events.iter().map(event).collect()
    }

    fn answer(output: &Value) -> Vec<Value> {
        vec![
            json!({ "type": "response.created", "response": { "status": "in_progress", "output": [] } }),
            json!({ "type": "response.output_text.delta", "delta": "One " }),
            json!({ "type": "response.output_item.done", "item": { "type": "message", "content": [] } }),
            json!({ "type": "response.completed", "response": { "status": "completed", "output": output } }),
        ]
    }

    #[test]
    fn last_event_has_the_whole_response() {
        let output = json!([{ "type": "message", "content": [{ "type": "output_text", "text": "One moment." }] }]);
        let body = sse(&answer(&output));
        let expected = json!({ "status": "completed", "output": output });
        assert_eq!(response(body.as_bytes()), Ok(expected));
        let done_items = json!([{ "type": "message", "content": [] }]);
        for missing in [json!([]), Value::Null] {
            let body = sse(&answer(&missing));
            assert_eq!(
                response(body.as_bytes()).map(|json| json["output"].clone()),
                Ok(done_items.clone())
            );
        }
    }

    #[rstest]
    #[case::cut(sse(&answer(&json!([]))[..3]), Err(StreamError::Incomplete))]
    #[case::empty(String::new(), Err(StreamError::Unreadable))]
    #[case::other_protocol("data: {\"choices\":[]}\n\ndata: [DONE]\n\n".to_owned(), Err(StreamError::Unreadable))]
    #[case::flat_error(sse(&[json!({ "type": "error", "code": "server_error", "message": "m" })]),
        Ok(json!({ "type": "error", "code": "server_error", "message": "m" })))]
    #[case::nested_error(sse(&[json!({ "type": "error", "error": { "code": "rate_limit_exceeded" } })]),
        Ok(json!({ "code": "rate_limit_exceeded" })))]
    fn ends_of_streams(#[case] body: String, #[case] error: Result<Value, StreamError>) {
        let read = response(body.as_bytes()).map(|json| json["error"].clone());
        let read = read.map(|mut error| {
            error
                .as_object_mut()
                .into_iter()
                .for_each(|fields| fields.retain(|_, value| !value.is_null()));
            error
        });
        assert_eq!(read, error);
    }
}
