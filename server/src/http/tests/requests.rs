//! What holds for every request: guard against other sites, headers, ids,
//! health.

use super::support::{Ask, Server};
use crate::http::HttpSettings;
use axum::http::StatusCode;
use rstest::rstest;

#[rstest]
#[case::a_browser_here("same-origin", "http://here:3000", true)]
#[case::typed_by_hand("none", "", true)]
#[case::an_old_browser_here("", "http://here:3000", true)]
#[case::a_program("", "", true)]
#[case::another_site("cross-site", "https://evil.example", false)]
#[case::a_sibling("same-site", "http://other.here:3000", false)]
#[case::an_old_browser_elsewhere("", "https://evil.example", false)]
#[case::a_sandboxed_frame("cross-site", "null", false)]
#[case::the_public_address("cross-site", "https://rehearsal.example", true)]
#[tokio::test]
async fn changes_come_from_here(#[case] site: &str, #[case] origin: &str, #[case] fine: bool) {
    let public_url = Some("https://rehearsal.example".to_owned());
    let server = Server::with(HttpSettings { public_url, ..HttpSettings::default() });
    for path in ["/forms/theme", "/api/v1/agents"] {
        let mut ask = Ask::form(path, "theme=dark");
        if !site.is_empty() {
            ask = ask.header("sec-fetch-site", site);
        }
        if !origin.is_empty() {
            ask = ask.header("origin", origin);
        }
        let told = server.told(ask).await;
        assert_eq!(told.status != StatusCode::FORBIDDEN, fine, "{path}: {}", told.text);
        if !fine && path.starts_with("/api") {
            told.problem();
        }
    }
}

#[tokio::test]
async fn a_token_needs_no_origin() {
    let ask = Ask::json("POST", "/api/v1/tokens", &serde_json::json!({"name": "ci"}));
    assert_eq!(Server::new().api(ask).await.status, StatusCode::CREATED);
}

#[rstest]
#[case("/")]
#[case("/api/v1/agents")]
#[case("/api/docs")]
#[case("/health/live")]
#[case("/nothing")]
#[tokio::test]
async fn every_answer_is_closed(#[case] path: &str) {
    let told = Server::new().told(Ask::get(path)).await;
    let policy = told.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"));
    assert_eq!(told.header("x-content-type-options"), "nosniff");
    assert_eq!(told.header("referrer-policy"), "same-origin");
    assert!(told.header("permissions-policy").contains("camera=()"));
    assert!(!told.header("cache-control").is_empty());
}

#[tokio::test]
async fn each_request_has_an_id_of_ours() {
    let server = Server::new();
    let ask = || Ask::get("/api/v1/nothing").header("x-request-id", "mine");
    let (one, two) = (server.told(ask()).await, server.told(ask()).await);
    let ids = [one.header("x-request-id"), two.header("x-request-id")];
    assert!(
        ids.iter().all(|id| id.parse::<uuid::Uuid>().is_ok_and(|id| id.get_version_num() == 7))
    );
    assert_ne!(ids[0], ids[1]);
    assert_eq!(one.problem()["instance"], format!("urn:uuid:{}", ids[0]));
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let server = Server::new();
    assert_eq!(server.told(Ask::get("/health/live")).await.status, StatusCode::OK);
    let told = server.told(Ask::get("/health/ready")).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(told.text.contains("heartbeat"));
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready_from_that_moment() {
    let server = Server::new();
    server.shutdown.cancel();
    let told = server.told(Ask::get("/health/ready")).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(told.text.contains("Shutting down"), "{}", told.text);
    assert_eq!(server.told(Ask::get("/health/live")).await.status, StatusCode::OK);
}

#[rstest]
#[case::this_machine("127.0.0.1", "", "", "", true)]
#[case::this_machine_by_ipv6("::1", "", "", "", true)]
#[case::another("192.0.2.7", "", "", "", false)]
#[case::nobody_knows_who("", "", "", "", false)]
#[case::a_proxy_here_that_nobody_named("127.0.0.1", "192.0.2.7", "", "", false)]
#[case::who_claims_to_be_here("192.0.2.7", "127.0.0.1", "", "", false)]
#[case::no_token_is_set("192.0.2.7", "", "", "Bearer secret-token", false)]
#[case::with_the_token("192.0.2.7", "", "secret-token", "Bearer secret-token", true)]
#[case::a_wrong_token("127.0.0.1", "", "secret-token", "Bearer secret-tokens", false)]
#[case::another_scheme("127.0.0.1", "", "secret-token", "Basic secret-token", false)]
#[case::a_token_is_set_and_none_sent("127.0.0.1", "", "secret-token", "", false)]
#[tokio::test]
async fn metrics_are_for_this_machine_or_who_has_the_token(
    #[case] peer: &str,
    #[case] forwarded: &str,
    #[case] token: &str,
    #[case] sent: &str,
    #[case] fine: bool,
) {
    let metrics_token = Some(token).filter(|token| !token.is_empty()).map(Into::into);
    let server = Server::with(HttpSettings { metrics_token, ..HttpSettings::default() });
    let mut ask = Ask::get("/metrics");
    if let Ok(ip) = peer.parse::<std::net::IpAddr>() {
        let peer = axum::extract::ConnectInfo(std::net::SocketAddr::from((ip, 4000)));
        ask.0.extensions_mut().insert(peer);
    }
    for (header, value) in [("x-forwarded-for", forwarded), ("authorization", sent)] {
        if !value.is_empty() {
            ask = ask.header(header, value);
        }
    }
    let told = server.told(ask).await;
    let expected = if fine { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    assert_eq!(told.status, expected, "{}", told.text);
}

#[tokio::test]
async fn what_a_proxy_brings_is_never_from_this_machine() {
    let trusted = |network: &str| vec![network.parse().expect("a network")];
    for trusted_proxies in [vec![], trusted("127.0.0.1"), trusted("0.0.0.0/0")] {
        let server = Server::with(HttpSettings { trusted_proxies, ..HttpSettings::default() });
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
            let mut ask = Ask::get("/metrics");
            let value = axum::http::HeaderValue::from_bytes(value).expect("a header");
            ask.0.headers_mut().insert(name, value.clone());
            let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 4000));
            ask.0.extensions_mut().insert(axum::extract::ConnectInfo(peer));
            assert_eq!(server.told(ask).await.status.as_u16(), 401, "{name}: {value:?}");
        }
    }
}

#[tokio::test]
async fn long_answers_are_packed() {
    let ask = Ask::get("/api/v1/openapi.json").header("accept-encoding", "gzip");
    let told = Server::new().told(ask).await;
    assert_eq!(told.header("content-encoding"), "gzip");
}
