use super::model_request::ModelRequest;
use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends one request over a new connection. Returns the raw response, or what
/// arrives within 50 ms when `until_closed` is false.
async fn send(provider: &MockProvider, until_closed: bool) -> String {
    let mut stream = TcpStream::connect(provider.addr).await.unwrap();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-rehearsal-call: c1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    if until_closed {
        let _ = stream.read_to_end(&mut response).await;
    } else {
        let read = stream.read_buf(&mut response);
        let _ = tokio::time::timeout(Duration::from_millis(50), read).await;
    }
    String::from_utf8_lossy(&response).into_owned()
}

/// Waits until the first request has ended.
async fn first_ended(provider: &MockProvider) -> LoggedRequest {
    for _ in 0..500 {
        let first = provider.request_log().into_iter().next();
        if let Some(entry) = first.filter(|entry| entry.ended_ms.is_some()) {
            return entry;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the request never ended: {:?}", provider.request_log());
}

#[test]
fn random_rules_match_the_same_part_of_the_requests_again() {
    let request = ModelRequest::parse(Protocol::OpenAi, &serde_json::json!({"model": "m"}));
    let matching = |percent, seed| -> Vec<u64> {
        let random = Some(RandomShare { percent, seed });
        let when = When { random, ..When::default() };
        (1..=10_000).filter(|number| when.matches(*number, &request)).collect()
    };
    let five = matching(5, 1);
    assert!((400..600).contains(&five.len()), "{}", five.len());
    assert_eq!(five, matching(5, 1));
    assert_ne!(five, matching(5, 2));
    assert_eq!((matching(0, 1).len(), matching(100, 1).len()), (0, 10_000));
}

#[tokio::test]
async fn log_entry_ends_with_last_byte_of_response() {
    let script = Script { latency_ms: 40, ..Script::default() };
    let provider = start(script).await.unwrap();
    let response = send(&provider, true).await;
    assert!(response.contains("content-length:"), "{response}");
    let entry = first_ended(&provider).await;
    assert_eq!(entry.outcome, Outcome::Answered(200));
    assert!(entry.ended_ms.unwrap() >= entry.at_ms + 40);
    assert_eq!(provider.request_count(), 1);

    // A dripping body keeps its entry open until the last byte.
    let drip = Action::Drip { every_ms: 1 };
    let provider = start(Script::of([Rule::always(drip)])).await.unwrap();
    send(&provider, true).await;
    let entry = first_ended(&provider).await;
    assert!(entry.ended_ms.unwrap() >= entry.at_ms + 200, "{entry:?}");
}

#[tokio::test]
async fn client_disconnect_is_logged() {
    let provider = start(Script::of([Rule::always(Action::Hang)])).await.unwrap();
    assert_eq!(send(&provider, false).await, "");
    assert_eq!(first_ended(&provider).await.outcome, Outcome::Disconnected);
}

#[tokio::test]
async fn actions_break_bodies_and_statuses() {
    let format = RetryAfter::Seconds;
    let provider = start(Script::of([
        Rule::at(1, Action::ResetBeforeBody),
        Rule::at(2, Action::StallBody),
        Rule::at(3, Action::RetryLater { status: 429, after_ms: 1500, format }),
        Rule::from(4, Action::status(503)),
    ]))
    .await
    .unwrap();
    let reset = send(&provider, true).await;
    assert!(reset.starts_with("HTTP/1.1 200") && !reset.contains("choices"), "{reset}");
    let stalled = send(&provider, false).await;
    assert!(stalled.starts_with("HTTP/1.1 200") && !stalled.contains("choices"), "{stalled}");
    let later = send(&provider, true).await;
    assert!(later.starts_with("HTTP/1.1 429") && later.contains("retry-after: 2\r\n"), "{later}");
    for _ in 4..6 {
        assert!(send(&provider, true).await.starts_with("HTTP/1.1 503"));
    }
}

#[tokio::test]
async fn discard_bodies_logs_requests_without_bodies() {
    let provider = start(Script { discard_bodies: true, ..Script::default() }).await.unwrap();
    send(&provider, true).await;
    let entry = first_ended(&provider).await;
    assert_eq!(entry.call_id, "c1");
    assert_eq!((entry.body, entry.headers.len()), (serde_json::Value::Null, 0));
}

#[tokio::test]
async fn raw_tcp_server_follows_its_behavior() {
    /// Returns the bytes read within 300 ms, whether the server closed the
    /// connection, and the number of accepted connections.
    async fn connect(behavior: TcpBehavior) -> (usize, bool, usize) {
        let server = RawTcpServer::start(behavior).await.unwrap();
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut buffer = vec![0; 200_000];
        let mut read = 0;
        let all = async {
            while let Ok(more @ 1..) = stream.read(&mut buffer[read..]).await {
                read += more;
            }
        };
        let closed = tokio::time::timeout(Duration::from_millis(300), all).await.is_ok();
        (read, closed, server.accepted())
    }
    assert_eq!(connect(TcpBehavior::NeverAccepts).await, (0, false, 0));
    assert_eq!(connect(TcpBehavior::Silent).await, (0, false, 1));
    assert_eq!(connect(TcpBehavior::Closes).await, (0, true, 1));
    let (read, _, accepted) = connect(TcpBehavior::EndlessHeaders).await;
    assert!(read > 10_000 && accepted == 1, "{read}");
    let (read, closed, _) = connect(TcpBehavior::DripsHeaders(Duration::from_millis(10))).await;
    assert!((50..150).contains(&read) && !closed, "{read}");
    let (read, ..) = connect(TcpBehavior::NotHttp).await;
    assert_eq!(read, 8);
}
