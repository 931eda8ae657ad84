//! What the stand promises to those who judge by it.

use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks once over a connection of its own; answers whatever came back.
async fn ask(stand: &Stand, until_closed: bool) -> String {
    let mut stream = TcpStream::connect(stand.addr).await.unwrap();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-rehearsal-call: c1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    if until_closed {
        let _ = stream.read_to_end(&mut answer).await;
    } else {
        let _ = tokio::time::timeout(Duration::from_millis(50), stream.read_buf(&mut answer)).await;
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until the first request has ended; answers its entry.
async fn ended(stand: &Stand) -> Entry {
    for _ in 0..500 {
        if let Some(entry) = stand.journal().into_iter().next().filter(|e| e.ended_ms.is_some()) {
            return entry;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never ended: {:?}", stand.journal());
}

#[tokio::test]
async fn an_entry_ends_with_the_last_byte_of_its_answer() {
    let script = Script { latency_ms: 40, ..Script::default() };
    let stand = start(script).await.unwrap();
    let answer = ask(&stand, true).await;
    assert!(answer.contains("content-length:"), "{answer}");
    let entry = ended(&stand).await;
    assert_eq!(entry.outcome, Outcome::Answered(200));
    assert!(entry.ended_ms.unwrap() >= entry.at_ms + 40);
    assert_eq!((stand.requests(), stand.journal_since(1).len()), (1, 0));

    // A body that drips is open for as long as it drips.
    let drip = Action::Drip { every_ms: 1 };
    let stand = start(Script::of([Rule::always(drip)])).await.unwrap();
    ask(&stand, true).await;
    let entry = ended(&stand).await;
    assert!(entry.ended_ms.unwrap() >= entry.at_ms + 200, "{entry:?}");
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_to_have_left() {
    let stand = start(Script::of([Rule::always(Action::Hang)])).await.unwrap();
    assert_eq!(ask(&stand, false).await, "");
    assert_eq!(ended(&stand).await.outcome, Outcome::Dropped);
}

#[tokio::test]
async fn bodies_go_wrong_as_they_are_told_to() {
    let stand = start(Script::of([
        Rule::at(1, Action::Gone),
        Rule::at(2, Action::Stall),
        Rule::at(3, Action::Later { status: 429, after_ms: 1500, spelled: RetryAfter::Seconds }),
        Rule::from(4, Action::status(503)),
    ]))
    .await
    .unwrap();
    let gone = ask(&stand, true).await;
    assert!(gone.starts_with("HTTP/1.1 200") && !gone.contains("choices"), "{gone}");
    let stalled = ask(&stand, false).await;
    assert!(stalled.starts_with("HTTP/1.1 200") && !stalled.contains("choices"), "{stalled}");
    let later = ask(&stand, true).await;
    assert!(later.starts_with("HTTP/1.1 429") && later.contains("retry-after: 2\r\n"), "{later}");
    for _ in 4..6 {
        assert!(ask(&stand, true).await.starts_with("HTTP/1.1 503"));
    }
}

#[tokio::test]
async fn a_forgetful_journal_keeps_the_calls_and_not_their_bodies() {
    let stand = start(Script { forget_bodies: true, ..Script::default() }).await.unwrap();
    ask(&stand, true).await;
    let entry = ended(&stand).await;
    assert_eq!(entry.call_id, "c1");
    assert_eq!((entry.body, entry.headers.len()), (serde_json::Value::Null, 0));
}

#[tokio::test]
async fn rough_listeners_treat_their_callers_as_told() {
    let come = async |manners| {
        let rough = rough(manners).await.unwrap();
        let mut stream = TcpStream::connect(rough.addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 200_000];
        let mut read = 0;
        let all = async {
            while let Ok(more @ 1..) = stream.read(&mut answer[read..]).await {
                read += more;
            }
        };
        let hung_up = tokio::time::timeout(Duration::from_millis(300), all).await.is_ok();
        (read, hung_up, rough.taken())
    };
    assert_eq!(come(Manners::NeverAccepts).await, (0, false, 0));
    assert_eq!(come(Manners::Silent).await, (0, false, 1));
    assert_eq!(come(Manners::HangsUp).await, (0, true, 1));
    let (read, _, taken) = come(Manners::EndlessHeaders).await;
    assert!(read > 10_000 && taken == 1, "{read}");
    let (read, hung_up, _) = come(Manners::DripsHeaders(Duration::from_millis(10))).await;
    assert!((50..150).contains(&read) && !hung_up, "{read}");
    let (read, ..) = come(Manners::Noise).await;
    assert_eq!(read, 8);
}
