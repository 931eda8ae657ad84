use super::*;
use domain::ErrorKind;
use llm_types::Decision;
use std::sync::atomic::{AtomicU32, Ordering};

fn parts(poll: Value) -> Value {
    let mut parts = json!({"timeouts": {"total_seconds": 2}, "poll":
        {"url": "/url", "status": "/state", "done": "ready", "failed": "failed", "interval_ms": 100}});
    for (key, value) in poll.as_object().into_iter().flatten() {
        parts["poll"][key] = value.clone();
    }
    parts
}

/// A server that accepts a message and answers the polls in this order, the last one
/// for ever.
async fn run(parts: &Value, polls: Vec<Vec<u8>>) -> (Result<ChatReply, CallError>, Vec<Request>) {
    let next = AtomicU32::new(0);
    send(parts, move |request| match request.line.as_str() {
        "POST /chat" => json_response(202, &json!({"url": "/jobs/1", "state": "queued"})),
        _ => {
            let number = next.fetch_add(1, Ordering::SeqCst) as usize;
            polls[number.min(polls.len() - 1)].clone()
        }
    })
    .await
}

#[tokio::test]
async fn reply_is_polled_through_temporary_failures() {
    let polls = vec![
        json_response(200, &json!({"state": "running"})),
        json_response(503, &json!({})),
        Vec::new(),
        json_response(200, &json!({"state": "ready", "reply": "Done."})),
    ];
    let (outcome, requests) = run(&parts(json!({})), polls).await;
    assert_eq!(outcome.expect("a reply").text, "Done.");
    let lines: Vec<_> = requests.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(lines, ["POST /chat", "GET /jobs/1", "GET /jobs/1", "GET /jobs/1", "GET /jobs/1"]);
    assert_eq!(requests[1].header("authorization"), Some("bearer test-key"));
    assert_eq!(requests[1].header("idempotency-key"), None);
}

#[tokio::test]
async fn location_header_is_the_url_without_a_pointer() {
    let mut parts = parts(json!({}));
    parts["poll"]["url"] = json!("");
    let (outcome, requests) = send(&parts, |request| match request.line.as_str() {
        "POST /chat" => response(202, "location: /jobs/7\r\n", b""),
        _ => json_response(200, &json!({"state": "ready", "reply": "Done."})),
    })
    .await;
    assert_eq!(outcome.expect("a reply").text, "Done.");
    assert_eq!(requests[1].line, "GET /jobs/7");
}

#[tokio::test]
async fn poll_that_never_finishes_names_its_last_status() {
    let polls = vec![json_response(200, &json!({"state": "running"}))];
    let (outcome, _) = run(&parts(json!({})), polls).await;
    let error = outcome.expect_err("never ready");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::OutcomeUnknown), "{error}");
    assert!(error.message.contains("within 2 s") && error.message.contains("“running”"), "{error}");
}

#[tokio::test]
async fn bad_polls_say_what_came() {
    let cases = [
        (
            json!({}),
            json_response(200, &json!({"state": "failed", "message": "no staff"})),
            ErrorKind::ProviderRejected,
            "the status “failed” in place of a reply: no staff",
        ),
        (json!({}), response(200, "", b"<html>"), ErrorKind::InvalidResponse, "a web page"),
        (
            json!({}),
            json_response(403, &json!({})),
            ErrorKind::OutcomeUnknown,
            "Asking for the agent's reply failed",
        ),
        (
            json!({"url": "/nowhere"}),
            Vec::new(),
            ErrorKind::InvalidResponse,
            "no URL to poll at /nowhere (poll.url)",
        ),
    ];
    for (poll, answer, kind, expected) in cases {
        let (outcome, _) = run(&parts(poll), vec![answer]).await;
        let error = outcome.expect_err(expected);
        assert_eq!(error.decision, Decision::GiveUp(kind), "{error}");
        assert!(error.message.contains(expected), "{} lacks {expected}", error.message);
    }
}

#[tokio::test]
async fn credentials_are_not_sent_to_another_host() {
    let (outcome, requests) = send(&parts(json!({})), |_| {
        json_response(202, &json!({"url": "http://127.0.0.2:9/jobs/1", "state": "queued"}))
    })
    .await;
    let error = outcome.expect_err("another host");
    assert!(error.message.contains("leads to another host"), "{error}");
    assert_eq!(requests.len(), 1);
}
