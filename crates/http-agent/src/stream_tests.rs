use super::*;
use crate::fixtures::agent;
use serde_json::{Value, json};
use std::sync::Arc;

/// Reads a stream in pieces of `size` bytes.
fn read(response: Value, stream: &[u8], size: usize) -> Result<ReadReply, ReadError> {
    let mut reader = StreamReader::new(Arc::new(agent(&json!({"response": response}))));
    for piece in stream.chunks(size) {
        if reader.push(piece)? {
            break;
        }
    }
    reader.finish().map(|(reply, _)| reply)
}

fn text(response: &Value, stream: &str) -> String {
    let replies: Vec<_> = [1, 3, 1000]
        .iter()
        .map(|size| read(response.clone(), stream.as_bytes(), *size).expect("readable").text)
        .collect();
    assert!(replies.iter().all(|text| *text == replies[0]), "{replies:?}");
    replies[0].clone()
}

#[test]
fn events_are_joined_until_the_stop_marker() {
    let response = json!({"format": "sse", "text": "/choices/0/delta/content", "stop": "[DONE]"});
    let stream = ": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"Gr\"}}]}\r\n\r\n\
        data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"üß\"}}]}\n\n\
        data: [DONE]\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\n";
    assert_eq!(text(&response, stream), "Grüß");
}

#[test]
fn only_named_events_are_read_and_a_type_can_end_the_stream() {
    let response = json!({"format": "sse", "text": "/answer", "events": "message, agent_message",
        "stop": "message_end", "input_tokens": "/usage/in"});
    let stream = "data: {\"event\":\"message\",\"answer\":\"A\"}\n\n\
        event: thought\ndata: {\"answer\":\"hidden\"}\n\n\
        event: agent_message\ndata: {\"answer\":\"B\"}\n\n\
        data: {\"event\":\"message_end\",\"usage\":{\"in\":5},\"answer\":\"no\"}\n\n";
    assert_eq!(text(&response, stream), "AB");
    assert_eq!(read(response, stream.as_bytes(), 7).expect("readable").input_tokens, 5);
}

#[test]
fn json_lines_are_read() {
    let response = json!({"format": "ndjson", "text": "/delta"});
    assert_eq!(text(&response, "{\"delta\":\"a\"}\n\n{\"delta\":\"b\"}\n{\"delta\":\"c\"}"), "abc");
}

#[test]
fn bad_streams_say_what_came() {
    let sse = json!({"format": "sse", "text": "/t", "stop": "[DONE]", "error": "/error"});
    let error = |stream: &[u8]| read(sse.clone(), stream, 4).unwrap_err();
    let cut = error(b"data: {\"t\":\"a\"}\n\n");
    assert!(matches!(&cut, ReadError::Cut(m) if m.contains("before [DONE]")), "{cut:?}");
    let html = error(b"data: <html>\n\n");
    assert!(
        matches!(&html, ReadError::Unreadable(m) if m.contains("not JSON: <html>")),
        "{html:?}"
    );
    let empty = error(b"data: {\"x\":1}\n\ndata: {\"type\":\"ping\"}\n\ndata: [DONE]\n\n");
    assert!(
        matches!(&empty, ReadError::Unreadable(m) if m.ends_with("types of events: message, ping")),
        "{empty:?}"
    );
    assert_eq!(
        error(b"data: {\"error\":{\"message\":\"busy\"}}\n\n"),
        ReadError::Reported("busy".into())
    );
    let bytes = error(b"data: {\"t\":\"\xff\xfe\"}\n\n");
    assert_eq!(bytes, ReadError::Unreadable("the stream is not valid UTF-8".into()));
}
