//! Recognizes a response that is a stream of events, and its end. Pure.

use reqwest::header::{CONTENT_TYPE, HeaderMap};

/// The events around the parts of a streamed answer are this many times as large as it.
pub(super) const STREAM_OVERHEAD: usize = 8;

/// Whether the response is a stream of events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

/// Whether the last event ends the answer: some servers keep the connection open.
pub(super) fn is_end_of_stream(body: &[u8]) -> bool {
    let Some(event) = last_event(body) else { return false };
    // The event with a whole response is long, and its type comes first.
    let start = String::from_utf8_lossy(&event[..event.len().min(256)]);
    let has_type = |name: &str| {
        start.starts_with(&format!("event: {name}"))
            || start.contains(&format!("\"type\":\"{name}\""))
            || start.contains(&format!("\"type\": \"{name}\""))
    };
    const LAST: [&str; 4] =
        ["message_stop", "response.completed", "response.incomplete", "response.failed"];
    start.trim() == "data: [DONE]" || LAST.iter().any(|name| has_type(name))
}

/// The last event, if it is complete.
fn last_event(body: &[u8]) -> Option<&[u8]> {
    let events = body.strip_suffix(b"\n\n").or_else(|| body.strip_suffix(b"\r\n\r\n"))?;
    let is_blank_line = |bytes: &[u8]| bytes.ends_with(b"\n\n") || bytes == b"\n\r\n";
    let before = events.windows(3).rposition(is_blank_line);
    Some(&events[before.map_or(0, |at| at + 3)..])
}

#[cfg(test)]
mod tests {
    use super::is_end_of_stream;
    use rstest::rstest;

    #[rstest]
    #[case::done("data: {\"a\":1}\n\ndata: [DONE]\n\n", true)]
    #[case::done_with_carriage_returns("data: {\"a\":1}\r\n\r\ndata: [DONE]\r\n\r\n", true)]
    #[case::message("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true)]
    #[case::message_without_name("data: {}\n\ndata: {\"type\": \"message_stop\"}\n\n", true)]
    #[case::response("data: {}\n\nevent: response.completed\ndata: {\"x\":1}\n\n", true)]
    #[case::incomplete("data: {\"type\":\"response.incomplete\",\"response\":{}}\n\n", true)]
    #[case::not_complete("data: {}\n\nevent: response.completed\ndata: {\"x\":1}\n", false)]
    #[case::in_a_text(
        "data: {\"type\":\"x\",\"delta\":\"\\\"type\\\":\\\"message_stop\\\"\"}\n\n",
        false
    )]
    #[case::earlier("data: [DONE]\n\ndata: {}\n\n", false)]
    #[case::nothing("", false)]
    fn end_of_stream(#[case] body: &str, #[case] ends: bool) {
        assert_eq!(is_end_of_stream(body.as_bytes()), ends);
        let long =
            format!("data: {{\"type\":\"response.failed\",\"x\":\"{}\"}}\n\n", "y".repeat(9000));
        assert!(is_end_of_stream(long.as_bytes()));
    }
}
