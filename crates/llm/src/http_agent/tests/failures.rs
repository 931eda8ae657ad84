use super::*;
use crate::classify::{Effect, effect};
use domain::ErrorKind;
use llm_types::{Cause, Decision};

/// A response, the kind of error that it causes, and what the message says.
type Case = (&'static str, Value, Vec<u8>, ErrorKind, &'static [&'static str]);

fn cases() -> Vec<Case> {
    let long_id = "x".repeat(10_240);
    let start = || json!({});
    let stream = || json!({"response": {"format": "sse", "text": "/delta", "stop": "[DONE]"}});
    let html = b"<!DOCTYPE html><html><title>Sign in</title></html>";
    use ErrorKind::{InvalidResponse, OutcomeUnknown, ProviderRejected};
    vec![
        (
            "html",
            start(),
            response(200, "content-type: text/html\r\n", html),
            InvalidResponse,
            &["POST /chat", "a web page (“Sign in”), not JSON"],
        ),
        (
            "error in a 200",
            start(),
            json_response(200, &json!({"error": "no seats left"})),
            ProviderRejected,
            &["reports an error", "no seats left"],
        ),
        (
            "redirect",
            start(),
            response(302, "location: /login?token=abc\r\n", b""),
            ProviderRejected,
            &["redirects", "/login", "302"],
        ),
        (
            "too large",
            start(),
            response(200, "", &vec![b'x'; 70_000]),
            InvalidResponse,
            &["larger than"],
        ),
        (
            "invalid UTF-8",
            start(),
            response(200, "", b"{\"reply\": \"\xff\"}"),
            InvalidResponse,
            &["not valid UTF-8 (at byte 11)"],
        ),
        ("empty", start(), response(200, "", b""), InvalidResponse, &["it is empty"]),
        (
            "text",
            start(),
            response(200, "", b"Hello there"),
            InvalidResponse,
            &["it is not JSON", "Hello there"],
        ),
        (
            "pointer finds nothing",
            start(),
            json_response(200, &json!({"answer": "x"})),
            InvalidResponse,
            &["nothing at /reply (response.text)", "has the fields answer"],
        ),
        (
            "202 without poll",
            start(),
            json_response(202, &json!({"job": 1})),
            InvalidResponse,
            &["202", "nothing to poll"],
        ),
        (
            "session id of 10 KB",
            json!({"session": {"mode": "server", "id": {"at": "/id"}}}),
            json_response(200, &json!({"reply": "x", "id": long_id})),
            InvalidResponse,
            &["session id has 10240 bytes"],
        ),
        (
            "not found",
            start(),
            json_response(404, &json!({"detail": "Not Found"})),
            ProviderRejected,
            &["nothing at a message (POST /chat) (404): Not Found"],
        ),
        (
            "rejected",
            start(),
            json_response(422, &json!({"detail": [{"msg": "text is required"}]})),
            ProviderRejected,
            &["rejected a message (POST /chat) (422): text is required"],
        ),
        (
            "key",
            start(),
            json_response(401, &json!({"message": "who?"})),
            ErrorKind::CredentialInvalid,
            &["does not accept the key", "who?"],
        ),
        (
            "server error",
            start(),
            json_response(500, &json!({"error": "database is down"})),
            OutcomeUnknown,
            &[
                "failed at a message (POST /chat) (500): database is down",
                "unknown whether the agent acted",
            ],
        ),
        (
            "closed",
            start(),
            Vec::new(),
            OutcomeUnknown,
            &["closed the connection before it answered"],
        ),
        (
            "cut",
            start(),
            b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"rep".to_vec(),
            OutcomeUnknown,
            &["cut short"],
        ),
        (
            "stream without end",
            stream(),
            response(200, "", b"data: {\"delta\":\"a\"}\n\n"),
            OutcomeUnknown,
            &["incomplete: the stream ended before [DONE]"],
        ),
        ("stream of html", stream(), response(200, "", html), OutcomeUnknown, &["[DONE]"]),
        (
            "broken event",
            stream(),
            response(200, "", b"data: <b>\n\n"),
            InvalidResponse,
            &["an event is not JSON: <b>"],
        ),
    ]
}

#[tokio::test]
async fn every_bad_response_says_what_came_and_is_not_sent_again() {
    for (name, parts, answer, kind, expected) in cases() {
        let server = TestServer::start(move |_| answer.clone()).await;
        let agent = agent(&parts);
        let has_session = name != "session id of 10 KB";
        let call = HttpCall { has_session, ..call(&agent, false, false) };
        let error = complete(&endpoint_at(&server.url), call).await.expect_err(name);
        assert_eq!(error.decision, Decision::GiveUp(kind), "{name}: {error}");
        for text in expected {
            assert!(error.message.contains(text), "{name}: {} lacks {text}", error.message);
        }
        assert!(!error.message.contains("token=abc"), "{name}: {}", error.message);
        assert_eq!(server.requests().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn idempotent_agent_is_called_again_after_an_unknown_outcome() {
    let parts = json!({"idempotent": true});
    for answer in [json_response(503, &json!({})), Vec::new()] {
        let (outcome, _) = send(&parts, move |_| answer.clone()).await;
        let error = outcome.expect_err("an error");
        assert_eq!(error.decision, Decision::Retry, "{error}");
        assert!(!error.message.contains("unknown"), "{error}");
    }
}

#[tokio::test]
async fn message_that_was_not_sent_or_was_refused_is_sent_again() {
    let agent = agent(&json!({}));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let error = complete(&endpoint_at(&url), call(&agent, false, false)).await.expect_err("closed");
    assert_eq!((error.decision, error.cause), (Decision::Retry, Cause::Connect), "{error}");
    let (outcome, _) =
        send(&json!({}), |_| response(429, "retry-after: 7\r\n", b"slow down")).await;
    let error = outcome.expect_err("refused");
    assert!(matches!(error.decision, Decision::Wait { until: Some(_), .. }), "{error}");
    assert!(error.message.contains("slow down"), "{error}");
}

#[tokio::test]
async fn unknown_outcome_counts_for_the_circuit_and_a_refusal_does_not() {
    let failure = |status| async move {
        send(&json!({}), move |_| json_response(status, &json!({}))).await.0.expect_err("an error")
    };
    assert_eq!(effect(&failure(500).await), Effect::Failure);
    assert_eq!(effect(&failure(403).await), Effect::Ignored);
    assert_eq!(effect(&failure(401).await), Effect::SuspendCredential);
}

#[tokio::test]
async fn session_that_is_no_longer_known_is_lost() {
    let agent = agent(&json!({}));
    for (answered, kind) in [(true, ErrorKind::SessionLost), (false, ErrorKind::ProviderRejected)] {
        let server =
            TestServer::start(|_| json_response(404, &json!({"message": "No such chat."}))).await;
        let outcome = complete(&endpoint_at(&server.url), call(&agent, false, answered)).await;
        let error = outcome.expect_err("an error");
        assert_eq!(error.decision, Decision::GiveUp(kind), "{error}");
        assert!(error.message.contains("No such chat."), "{error}");
    }
}

#[tokio::test]
async fn silent_and_endless_agents_time_out() {
    let parts =
        json!({"timeouts": {"first_byte_seconds": 1, "idle_seconds": 1, "total_seconds": 2}});
    let agent = agent(&parts);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let error = complete(&endpoint_at(&url), call(&agent, false, false)).await.expect_err("silent");
    assert!(error.message.contains("within 1 s (timeouts.first_byte_seconds)"), "{error}");
    assert_eq!((error.cause, error.kind()), (Cause::Timeout, ErrorKind::OutcomeUnknown));

    let stopped = TestServer::start(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n".to_vec()
    });
    let stopped = stopped.await;
    let error = complete(&endpoint_at(&stopped.url), call(&agent, false, false)).await;
    assert!(error.expect_err("cut").message.contains("cut short"));
}

#[tokio::test]
async fn connection_to_an_agent_answers_no_model_call() {
    let request = crate::testing::chat_request("hi");
    let outcome = client(1000).complete(&endpoint_at("http://127.0.0.1:1"), &request).await;
    let error = outcome.expect_err("an error");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected));
    assert!(error.message.contains("leads to a deployed agent"), "{error}");
}
