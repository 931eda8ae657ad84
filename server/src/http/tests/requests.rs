//! All requests: cross-site protection, headers, IDs, health and metrics.

use super::support::{TestRequest, TestServer};
use crate::http::HttpSettings;
use axum::http::StatusCode;
use rstest::rstest;

#[rstest]
#[case::same_origin("same-origin", "http://here:3000", true)]
#[case::user_initiated("none", "", true)]
#[case::same_origin_without_fetch_metadata("", "http://here:3000", true)]
#[case::program("", "", true)]
#[case::cross_site("cross-site", "https://evil.example", false)]
#[case::same_site_other_origin("same-site", "http://other.here:3000", false)]
#[case::cross_site_without_fetch_metadata("", "https://evil.example", false)]
#[case::sandboxed_frame("cross-site", "null", false)]
#[case::public_url("cross-site", "https://rehearsal.example", true)]
#[tokio::test]
async fn cross_site_changes_are_rejected(
    #[case] site: &str,
    #[case] origin: &str,
    #[case] allowed: bool,
) {
    let public_url = Some("https://rehearsal.example".to_owned());
    let server = TestServer::with(HttpSettings { public_url, ..HttpSettings::default() });
    for path in ["/forms/theme", "/api/v1/agents"] {
        let mut request = TestRequest::form(path, "theme=dark");
        if !site.is_empty() {
            request = request.header("sec-fetch-site", site);
        }
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        let response = server.send(request).await;
        assert_eq!(response.status != StatusCode::FORBIDDEN, allowed, "{path}: {}", response.text);
        if !allowed && path.starts_with("/api") {
            response.problem();
        }
    }
}

#[tokio::test]
async fn token_request_needs_no_origin() {
    let request = TestRequest::json("POST", "/api/v1/tokens", &serde_json::json!({"name": "ci"}));
    assert_eq!(TestServer::new().api(request).await.status, StatusCode::CREATED);
}

#[rstest]
#[case("/")]
#[case("/api/v1/agents")]
#[case("/api/docs")]
#[case("/health/live")]
#[case("/nothing")]
#[tokio::test]
async fn every_response_has_security_headers(#[case] path: &str) {
    let response = TestServer::new().send(TestRequest::get(path)).await;
    let policy = response.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"));
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    assert_eq!(response.header("referrer-policy"), "same-origin");
    assert!(response.header("permissions-policy").contains("camera=()"));
    assert!(!response.header("cache-control").is_empty());
}

#[tokio::test]
async fn each_request_has_a_server_generated_id() {
    let server = TestServer::new();
    let request = || TestRequest::get("/api/v1/nothing").header("x-request-id", "mine");
    let (one, two) = (server.send(request()).await, server.send(request()).await);
    let ids = [one.header("x-request-id"), two.header("x-request-id")];
    assert!(
        ids.iter().all(|id| id.parse::<uuid::Uuid>().is_ok_and(|id| id.get_version_num() == 7))
    );
    assert_ne!(ids[0], ids[1]);
    assert_eq!(one.problem()["instance"], format!("urn:uuid:{}", ids[0]));
}

#[tokio::test]
async fn health_distinguishes_live_from_ready() {
    let server = TestServer::new();
    assert_eq!(server.send(TestRequest::get("/health/live")).await.status, StatusCode::OK);
    let response = server.send(TestRequest::get("/health/ready")).await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.text.contains("heartbeat"));
}

#[tokio::test]
async fn stopping_server_is_not_ready() {
    let server = TestServer::new();
    server.shutdown.cancel();
    let response = server.send(TestRequest::get("/health/ready")).await;
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.text.contains("Shutting down"), "{}", response.text);
    assert_eq!(server.send(TestRequest::get("/health/live")).await.status, StatusCode::OK);
}

#[rstest]
#[case::local("127.0.0.1", "", "", "", true)]
#[case::local_ipv6("::1", "", "", "", true)]
#[case::remote("192.0.2.7", "", "", "", false)]
#[case::unknown_peer("", "", "", "", false)]
#[case::untrusted_local_proxy("127.0.0.1", "192.0.2.7", "", "", false)]
#[case::forged_local_address("192.0.2.7", "127.0.0.1", "", "", false)]
#[case::no_token_configured("192.0.2.7", "", "", "Bearer secret-token", false)]
#[case::valid_token("192.0.2.7", "", "secret-token", "Bearer secret-token", true)]
#[case::invalid_token("127.0.0.1", "", "secret-token", "Bearer secret-tokens", false)]
#[case::other_scheme("127.0.0.1", "", "secret-token", "Basic secret-token", false)]
#[case::missing_token("127.0.0.1", "", "secret-token", "", false)]
#[tokio::test]
async fn metrics_require_the_token_or_a_local_request(
    #[case] peer: &str,
    #[case] forwarded: &str,
    #[case] token: &str,
    #[case] sent: &str,
    #[case] allowed: bool,
) {
    let metrics_token = Some(token).filter(|token| !token.is_empty()).map(Into::into);
    let server = TestServer::with(HttpSettings { metrics_token, ..HttpSettings::default() });
    let mut request = TestRequest::get("/metrics");
    if let Ok(ip) = peer.parse::<std::net::IpAddr>() {
        let peer = axum::extract::ConnectInfo(std::net::SocketAddr::from((ip, 4000)));
        request.0.extensions_mut().insert(peer);
    }
    for (header, value) in [("x-forwarded-for", forwarded), ("authorization", sent)] {
        if !value.is_empty() {
            request = request.header(header, value);
        }
    }
    let response = server.send(request).await;
    let expected = if allowed { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    assert_eq!(response.status, expected, "{}", response.text);
}

#[tokio::test]
async fn proxied_request_is_never_local() {
    let trusted = |network: &str| vec![network.parse().expect("a network")];
    for trusted_proxies in [vec![], trusted("127.0.0.1"), trusted("0.0.0.0/0")] {
        let server = TestServer::with(HttpSettings { trusted_proxies, ..HttpSettings::default() });
        for (name, value) in [
            ("x-forwarded-for", &b"192.0.2.7"[..]),
            ("x-forwarded-for", b"127.0.0.1"),
            ("x-forwarded-for", b"\xff"),
            ("x-forwarded-for", b"\xff, 127.0.0.1"),
            ("x-forwarded-for", b""),
            ("forwarded", b"for=127.0.0.1"),
            ("x-real-ip", b"127.0.0.1"),
            ("via", b"1.1 proxy"),
        ] {
            let mut request = TestRequest::get("/metrics");
            let value = axum::http::HeaderValue::from_bytes(value).expect("a header");
            request.0.headers_mut().insert(name, value.clone());
            let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 4000));
            request.0.extensions_mut().insert(axum::extract::ConnectInfo(peer));
            assert_eq!(server.send(request).await.status.as_u16(), 401, "{name}: {value:?}");
        }
    }
}

#[tokio::test]
async fn long_responses_are_compressed() {
    let request = TestRequest::get("/api/v1/openapi.json").header("accept-encoding", "gzip");
    let response = TestServer::new().send(request).await;
    assert_eq!(response.header("content-encoding"), "gzip");
}
