//! Time and size limits against servers that are none: each does one thing to
//! every connection.

use super::http::{HttpClient, HttpOptions};
use super::openai::OpenAi;
use super::outbound::{CallLimits, CallTimes, Outbound, Scope, Unwatched};
use super::testing::{ask, endpoint};
use llm_types::{CallError, Decision, Provider};
use clock::SystemClock;
use domain::{ErrorKind, UserId};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use uuid::Uuid;

/// Generous: what is not bounded lasts for ever.
const AT_MOST: Duration = Duration::from_secs(10);

/// The URL of a server that does this to each connection.
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

fn provider() -> OpenAi {
    let options = HttpOptions { allow_private_urls: true, ..HttpOptions::default() };
    OpenAi::new(HttpClient::new(options, Arc::new(SystemClock)).expect("a client"))
}

/// One attempt without a limit of time: what bounds it is the client alone.
async fn attempt(url: &str) -> CallError {
    let (provider, endpoint, request) = (provider(), endpoint(url), ask("hi"));
    let attempt = provider.complete(&endpoint, &request);
    let answer = tokio::time::timeout(AT_MOST, attempt).await.expect("it is bounded");
    answer.expect_err("no answer")
}

/// One call that may take 300 ms ends then, whatever the server does.
async fn ends_in_time(url: &str) {
    let clock = Arc::new(SystemClock);
    let outbound = Outbound::new(Arc::new(provider()), clock, SmallRng::seed_from_u64(1));
    let scope = Scope { user_id: UserId(Uuid::from_u128(1)), probe: false };
    let short = Duration::from_millis(300);
    let limits = CallLimits {
        call_timeout: short,
        active_left: short,
        max_wait: Duration::ZERO,
        circuit_wait: Duration::ZERO,
    };
    let (began, mut times) = (Instant::now(), CallTimes::default());
    let (endpoint, request) = (endpoint(url), ask("hi"));
    let call = outbound.call(&scope, &endpoint, &request, &limits, &Unwatched, &mut times);
    let error = call.await.expect_err("no answer");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::Timeout), "{error}");
    assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
}

/// The URL of a server that reads the request and then does this.
async fn answer<F: Future<Output = ()> + Send + 'static>(
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

/// Takes what comes, for ever.
async fn swallow(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn accepts_and_never_answers() {
    ends_in_time(&serve(swallow).await).await;
}

#[tokio::test]
async fn never_stops_sending_headers() {
    let url = answer(|mut stream| async move {
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
async fn sends_headers_without_bound() {
    let url = answer(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let header = format!("x-long: {}\r\n", "a".repeat(8000));
        while stream.write_all(header.as_bytes()).await.is_ok() {}
    });
    let error = attempt(&url.await).await;
    assert_eq!(error.decision, Decision::Retry, "{error}");
}

#[tokio::test]
async fn trickles_the_handshake_of_tls() {
    let url = serve(|mut stream| async move {
        // The beginning of a TLS record, then a byte at a time, for ever.
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
async fn drips_a_body() {
    let url = answer(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ends_in_time(&url.await).await;
}

#[tokio::test]
async fn sends_fifty_megabytes() {
    let url = answer(|mut stream| async move {
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
async fn packs_an_answer_that_nobody_asked_to_be_packed() {
    let url = answer(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]).await;
        swallow(stream).await;
    });
    let error = attempt(&url.await).await;
    assert_eq!((error.decision, error.status), (Decision::Retry, Some(200)));
    assert!(error.message.contains("cannot be read"), "nothing is unpacked: {error}");
}

#[tokio::test]
async fn breaks_off_in_the_middle() {
    let url = answer(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\": [";
        let _ = stream.write_all(head.as_bytes()).await;
    });
    let error = attempt(&url.await).await;
    assert_eq!(error.decision, Decision::Retry);
    assert!(error.message.contains("cut short"), "{error}");
}
