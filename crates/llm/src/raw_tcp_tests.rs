//! Time and size limits against raw TCP servers. Each server treats every connection in
//! the same way.

use super::http::{HttpClient, HttpOptions};
use super::openai::OpenAi;
use super::outbound::{Call, CallLimits, CallOrder, NoHooks, Outbound};
use super::testing::{chat_request, endpoint};
use clock::SystemClock;
use domain::{ErrorKind, UserId};
use llm_types::{CallError, ChatReply, Decision, Provider};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use uuid::Uuid;

/// A generous bound: an unbounded attempt lasts forever.
const AT_MOST: Duration = Duration::from_secs(10);
/// The idle timeout of the client.
const IDLE: Duration = Duration::from_secs(30);

/// Starts a server that runs `acts` on each connection. Returns its URL.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    acts: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let acts = Arc::new(acts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acts = acts.clone();
            tokio::spawn(async move { acts(stream).await });
        }
    });
    format!("http://{addr}/v1")
}

fn provider(idle_timeout: Duration) -> OpenAi {
    let options = HttpOptions { allow_private_urls: true, idle_timeout, ..HttpOptions::default() };
    OpenAi::new(HttpClient::new(options, Arc::new(SystemClock)).expect("a client"))
}

/// One attempt that is limited by the HTTP client only.
async fn attempt(url: &str) -> CallError {
    let (provider, endpoint, request) = (provider(IDLE), endpoint(url), chat_request("hi"));
    let attempt = provider.complete(&endpoint, &request);
    let outcome = tokio::time::timeout(AT_MOST, attempt).await.expect("it is bounded");
    outcome.expect_err("an error")
}

/// A call through the outbound path.
async fn call_with(
    url: &str,
    idle_timeout: Duration,
    call_timeout: Duration,
    active_left: Duration,
) -> Result<ChatReply, CallError> {
    let provider = Arc::new(provider(idle_timeout));
    let outbound = Outbound::new(provider, Arc::new(SystemClock), SmallRng::seed_from_u64(1));
    let (max_wait, circuit_wait) = (Duration::ZERO, Duration::ZERO);
    let call = Call {
        user_id: UserId(Uuid::from_u128(1)),
        order: CallOrder::default(),
        is_manual_probe: false,
        resolver: &endpoint(url),
        request: &chat_request("hi"),
        limits: CallLimits { call_timeout, active_left, max_wait, circuit_wait },
        hooks: &NoHooks,
    };
    outbound.call(call).await.result
}

/// Asserts that a call with a limit of 300 ms ends in time.
async fn ends_in_time(url: &str) {
    let short = Duration::from_millis(300);
    let began = Instant::now();
    let error = call_with(url, IDLE, short, short).await.expect_err("no reply");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::Timeout), "{error}");
    assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
}

/// Starts a server that reads the request and then runs `acts`. Returns its URL.
async fn respond<F: Future<Output = ()> + Send + 'static>(
    acts: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> String {
    let acts = Arc::new(acts);
    serve(move |mut stream| {
        let acts = acts.clone();
        async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            acts(stream).await;
        }
    })
    .await
}

/// Reads and discards forever.
async fn swallow(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn server_that_never_responds_times_out() {
    ends_in_time(&serve(swallow).await).await;
}

#[tokio::test]
async fn endless_headers_time_out() {
    let url = respond(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        for n in 0_u64.. {
            let header = format!("x-{n}: and on it goes\r\n");
            if stream.write_all(header.as_bytes()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ends_in_time(&url.await).await;
}

#[tokio::test]
async fn unbounded_headers_are_an_error() {
    let url = respond(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let header = format!("x-long: {}\r\n", "a".repeat(8000));
        while stream.write_all(header.as_bytes()).await.is_ok() {}
    });
    let error = attempt(&url.await).await;
    assert_eq!(error.decision, Decision::Retry, "{error}");
}

#[tokio::test]
async fn slow_tls_handshake_times_out() {
    let url = serve(|mut stream| async move {
        // The start of a TLS record, then one byte at a time, forever.
        for byte in [22_u8, 3, 3, 64, 0].into_iter().chain(std::iter::repeat(2)) {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ends_in_time(&url.await.replace("http://", "https://")).await;
}

#[tokio::test]
async fn slow_body_times_out() {
    let url = respond(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ends_in_time(&url.await).await;
}

#[tokio::test]
async fn oversized_body_is_an_error() {
    let url = respond(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let piece = vec![b' '; 64 * 1024];
        while stream.write_all(&piece).await.is_ok() {}
    });
    let error = attempt(&url.await).await;
    assert_eq!(error.decision, Decision::Retry);
    assert!(error.message.contains("larger than 4 MiB"), "{error}");
}

#[tokio::test]
async fn unrequested_compression_is_not_decoded() {
    let url = respond(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]).await;
        swallow(stream).await;
    });
    let error = attempt(&url.await).await;
    assert_eq!((error.decision, error.status), (Decision::Retry, Some(200)));
    assert!(error.message.contains("cannot be read"), "the body is not decompressed: {error}");
}

#[tokio::test]
async fn truncated_body_is_an_error() {
    let url = respond(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\": [";
        let _ = stream.write_all(head.as_bytes()).await;
    });
    let error = attempt(&url.await).await;
    assert_eq!(error.decision, Decision::Retry);
    assert!(error.message.contains("cut short"), "{error}");
}

#[tokio::test]
async fn pause_in_a_stream_is_limited_by_the_call_timeout() {
    let url = respond(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answer = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n";
        let _ = stream.write_all(answer.as_bytes()).await;
        swallow(stream).await;
    });
    let url = url.await;
    let short = Duration::from_millis(100);
    let call = async |call_timeout| call_with(&url, short, call_timeout, AT_MOST).await;
    assert_eq!(call(AT_MOST).await.expect("an answer").text, "Hi");
    let error = call(short).await.expect_err("the pause is too long");
    assert!(error.message.contains("within 0.1 s"), "{error}");
    // Nothing else limits an attempt whose progress nobody follows.
    let error = provider(short).complete(&endpoint(&url), &chat_request("hi")).await;
    assert!(error.expect_err("a stopped answer").message.contains("no data for 0.1 s"));
}

#[tokio::test]
async fn oversized_answer_of_a_stream_is_an_error() {
    let part =
        format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}", "x".repeat(500_000));
    let answer = format!("data: {part}\n\n").repeat(9) + "data: [DONE]\n\n";
    let error_status = "HTTP/1.1 400 Bad Request";
    for (status, body) in [
        ("HTTP/1.1 200 OK", answer.clone()),
        ("HTTP/1.1 200 OK", format!("[{}0]", "0,".repeat(2_500_000))),
        (error_status, answer),
    ] {
        let url = respond(move |mut stream| {
            let length = body.len();
            let head = format!(
                "{status}\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n"
            );
            let response = head + &body;
            async move {
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        let error = attempt(&url.await).await;
        assert!(error.message.contains("larger than 4 MiB"), "{status}: {error}");
    }
}
