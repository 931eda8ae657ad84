//! Time limits and numbers of connections, on paused time over pipes.

use super::*;
use axum::body::Bytes;
use axum::routing::get;
use futures::stream;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const HEADERS: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(75);
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nhost: here\r\n\r\n";

fn app() -> Router {
    // A stream of one event per 15 s, without an end.
    let events = || async {
        Body::from_stream(stream::unfold((), |()| async {
            sleep(Duration::from_secs(15)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b": ping\n\n")), ()))
        }))
    };
    let large = || async { vec![b'x'; 1 << 20] };
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/events", get(events))
        .route("/large", get(large))
}

struct Client {
    pipe: DuplexStream,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

impl Client {
    fn connect() -> Self {
        let (pipe, io) = duplex(1024);
        let stop = CancellationToken::new();
        let peer = SocketAddr::from(([203, 0, 113, 1], 9));
        let timeouts = ConnectionTimeouts { headers: HEADERS, idle: IDLE };
        let served = serve_connection(io, peer, app(), timeouts, stop.clone());
        Self { pipe, server: tokio::spawn(served), stop }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.expect("the connection is open");
    }

    /// Reads until `end`.
    async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.pipe.read_u8().await.expect("more of the response"));
        }
        String::from_utf8(text).expect("text")
    }

    /// Waits until the server has closed the connection.
    async fn closed(self) {
        timeout(Duration::from_secs(3600), self.server).await.expect("closes").expect("no panic");
    }

    fn is_closed(&self) -> bool {
        self.server.is_finished()
    }
}

#[tokio::test(start_paused = true)]
async fn connection_without_complete_headers_is_closed_in_time() {
    let start = Instant::now();
    let silent = Client::connect();
    let mut slow = Client::connect();
    for byte in &REQUEST[..9] {
        slow.send(&[*byte]).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!slow.is_closed() && !silent.is_closed());
    slow.closed().await;
    silent.closed().await;
    assert_eq!(start.elapsed(), HEADERS, "each byte does not prolong it");
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_kept_for_the_next_request_and_then_closed() {
    let mut client = Client::connect();
    for _ in 0..3 {
        client.send(REQUEST).await;
        assert!(client.read_until("hello").await.starts_with("HTTP/1.1 200"));
        sleep(IDLE - Duration::from_secs(1)).await;
    }
    client.send(&REQUEST[..9]).await;
    let start = Instant::now();
    client.closed().await;
    assert_eq!(start.elapsed(), HEADERS, "the next request has begun");

    let mut client = Client::connect();
    client.send(REQUEST).await;
    client.read_until("hello").await;
    let start = Instant::now();
    client.closed().await;
    assert_eq!(start.elapsed(), IDLE);
}

#[tokio::test(start_paused = true)]
async fn stream_that_is_read_has_no_time_limit() {
    let mut client = Client::connect();
    client.send(b"GET /events HTTP/1.1\r\nhost: here\r\n\r\n").await;
    let start = Instant::now();
    for _ in 0..1000 {
        client.read_until(": ping\n\n").await;
    }
    assert!(start.elapsed() > Duration::from_secs(4 * 3600));
    assert!(!client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_read_its_response_is_disconnected() {
    let mut client = Client::connect();
    client.send(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await;
    let start = Instant::now();
    let mut byte = [0; 100];
    for _ in 0..5 {
        sleep(IDLE - Duration::from_secs(1)).await;
        client.pipe.read_exact(&mut byte).await.expect("a slow reader goes on");
    }
    assert!(!client.is_closed());
    let start_of_pause = Instant::now();
    client.closed().await;
    assert_eq!(start_of_pause.elapsed(), IDLE);
    assert!(start.elapsed() > 5 * (IDLE - Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn stop_completes_the_request_and_closes_idle_connections() {
    let (mut idle, mut busy) = (Client::connect(), Client::connect());
    idle.send(REQUEST).await;
    idle.read_until("hello").await;
    busy.send(b"GET /events HTTP/1.1\r\nhost: here\r\n\r\n").await;
    busy.read_until(": ping\n\n").await;
    idle.stop.cancel();
    busy.stop.cancel();
    let start = Instant::now();
    idle.closed().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    busy.read_until(": ping\n\n").await;
    assert!(!busy.is_closed(), "the response goes on");
}

fn connections(total: usize, per_address: usize) -> OpenConnections {
    OpenConnections::new(ConnectionLimits {
        total,
        per_address,
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        timeouts: ConnectionTimeouts { headers: HEADERS, idle: IDLE },
    })
}

fn peer(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), 5000)
}

#[test]
fn one_address_cannot_keep_others_out() {
    let open = connections(8192, 2048);
    let flood: Vec<_> = (0..10_000).filter_map(|_| open.acquire(peer("203.0.113.9"))).collect();
    assert_eq!(flood.len(), 2048);
    let other = open.acquire(peer("203.0.113.8"));
    assert!(other.is_some(), "another address is served");
    drop(flood);
    assert!(open.acquire(peer("203.0.113.9")).is_some(), "closed connections do not count");
}

#[test]
fn only_the_total_limits_trusted_proxies() {
    let open = connections(5, 2);
    let proxied: Vec<_> = (0..4).filter_map(|_| open.acquire(peer("10.1.2.3"))).collect();
    assert_eq!(proxied.len(), 4);
    let direct = open.acquire(peer("203.0.113.9"));
    assert!(direct.is_some());
    assert!(
        open.acquire(peer("203.0.113.9")).is_none() && open.acquire(peer("10.1.2.3")).is_none()
    );
}

#[tokio::test]
async fn connection_above_the_limit_is_answered_and_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let limits = ConnectionLimits {
        total: 9,
        per_address: 1,
        trusted_proxies: Vec::new(),
        timeouts: ConnectionTimeouts { headers: HEADERS, idle: IDLE },
    };
    let server = tokio::spawn(serve(listener, app(), limits, stop.clone()));
    let mut first = TcpStream::connect(addr).await.expect("connects");
    first.write_all(REQUEST).await.expect("sends");
    let mut seen = [0; 12];
    first.read_exact(&mut seen).await.expect("a response");
    assert_eq!(&seen, b"HTTP/1.1 200");
    let mut second = TcpStream::connect(addr).await.expect("connects");
    let mut text = String::new();
    second.read_to_string(&mut text).await.expect("a response");
    assert!(text.starts_with("HTTP/1.1 503") && text.ends_with("Try again in seconds."), "{text}");
    stop.cancel();
    server.await.expect("stops");
}
