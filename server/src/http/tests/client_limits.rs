//! Limits of one client: concurrent requests, event streams, time of a body.

use super::fake_event_source::SUITE;
use super::support::{TestRequest, TestResponse, TestServer};
use crate::http::{ClientLimits, HttpSettings};
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Response, StatusCode};
use futures::stream;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A server behind the trusted proxy 10.0.0.1.
fn server(limits: ClientLimits) -> TestServer {
    TestServer::with(HttpSettings {
        client_limits: limits,
        trusted_proxies: vec!["10.0.0.1".parse().expect("an address")],
        ..HttpSettings::default()
    })
}

/// A request that the proxy forwarded for a client.
fn forwarded(mut request: TestRequest, client: &str) -> TestRequest {
    let proxy = SocketAddr::from(([10, 0, 0, 1], 9));
    request.0.extensions_mut().insert(ConnectInfo(proxy));
    request.header("x-forwarded-for", client).header("authorization", "Bearer good")
}

async fn open_stream(server: &TestServer, path: &str, client: &str) -> Response<Body> {
    server.send_raw(forwarded(TestRequest::get(path), client).0).await
}

#[tokio::test(start_paused = true)]
async fn streams_are_limited_per_user_and_address() {
    let limits = ClientLimits { streams_per_address: 2, streams_per_user: 3, ..Default::default() };
    let server = server(limits);
    let suite = format!("/api/v1/suites/{SUITE}/events");
    let first = open_stream(&server, &suite, "203.0.113.1").await;
    let second = open_stream(&server, "/api/v1/events", "203.0.113.1").await;
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    let rejected = TestResponse::read(open_stream(&server, &suite, "203.0.113.1").await).await;
    assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rejected.header("retry-after"), "5");
    let detail = rejected.problem()["detail"].to_string();
    assert!(detail.contains("Your network address has 2 event streams open"), "{detail}");

    let third = open_stream(&server, &suite, "203.0.113.2").await;
    assert_eq!(third.status(), StatusCode::OK, "another client of the proxy");
    let rejected = TestResponse::read(open_stream(&server, &suite, "203.0.113.3").await).await;
    assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
    let detail = rejected.problem()["detail"].to_string();
    assert!(detail.contains("Your account has 3 event streams open"), "{detail}");

    drop(first);
    let again = open_stream(&server, &suite, "203.0.113.1").await;
    assert_eq!(again.status(), StatusCode::OK, "a closed stream does not count");
}

/// A body that sends `part` and then nothing more.
fn stalled(part: &'static str) -> Body {
    let parts =
        stream::once(async move { Ok::<_, Infallible>(Bytes::from_static(part.as_bytes())) });
    Body::from_stream(futures::StreamExt::chain(parts, stream::pending()))
}

fn post(body: Body) -> TestRequest {
    TestRequest::new("POST", "/api/v1/agents", body).header("content-type", "application/json")
}

#[tokio::test(start_paused = true)]
async fn requests_are_limited_per_forwarded_address() {
    let server = server(ClientLimits { requests_per_address: 2, ..Default::default() });
    let slow = || forwarded(post(stalled("{")), "203.0.113.1").0;
    let first = server.send_raw(slow());
    let second = server.send_raw(slow());
    let others = async {
        sleep(Duration::from_secs(1)).await;
        let list = || TestRequest::get("/api/v1/agents");
        let rejected = server.send(forwarded(list(), "203.0.113.1")).await;
        let other = server.send(forwarded(list(), "203.0.113.2")).await;
        let health = server.send(forwarded(TestRequest::get("/health/live"), "203.0.113.1")).await;
        (rejected.status, other.status, health.status)
    };
    let (first, second, others) = tokio::join!(first, second, others);
    assert_eq!(others, (StatusCode::TOO_MANY_REQUESTS, StatusCode::OK, StatusCode::OK));
    let timeout = StatusCode::REQUEST_TIMEOUT;
    assert_eq!((first.status(), second.status()), (timeout, timeout));
    let again = server.send(forwarded(TestRequest::get("/api/v1/agents"), "203.0.113.1")).await;
    assert_eq!(again.status, StatusCode::OK, "answered requests do not count");
}

#[tokio::test(start_paused = true)]
async fn stalled_body_is_answered_with_408() {
    let server = TestServer::new();
    let start = Instant::now();
    for body in ["", "{\"name\": \"Des"] {
        let response = server.api(post(stalled(body))).await;
        assert_eq!(response.status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(response.header("connection"), "close");
        let detail = response.problem()["detail"].to_string();
        assert!(detail.contains("did not arrive in time"), "{detail}");
    }
    assert_eq!(start.elapsed(), Duration::from_secs(30), "15 s each");
}

#[tokio::test(start_paused = true)]
async fn slow_body_has_a_time_limit_and_a_steady_one_arrives() {
    let server = TestServer::new();
    let parts = |pause: u64, number: usize| {
        let parts = stream::unfold(0, move |n| async move {
            sleep(Duration::from_secs(pause)).await;
            (n < number).then(|| (Ok::<_, Infallible>(Bytes::from_static(b" ")), n + 1))
        });
        Body::from_stream(parts)
    };
    let start = Instant::now();
    let slow = server.api(post(parts(10, 1000))).await;
    assert_eq!(slow.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(start.elapsed(), Duration::from_secs(120));
    let steady = server.api(post(parts(10, 5))).await;
    assert_eq!(steady.status, StatusCode::BAD_REQUEST, "it arrived and is empty");
}
