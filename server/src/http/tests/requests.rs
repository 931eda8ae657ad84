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
    assert_eq!(server.told(Ask::get("/metrics")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn long_answers_are_packed() {
    let ask = Ask::get("/api/v1/openapi.json").header("accept-encoding", "gzip");
    let told = Server::new().told(ask).await;
    assert_eq!(told.header("content-encoding"), "gzip");
}
