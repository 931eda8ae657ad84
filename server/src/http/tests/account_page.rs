//! The account page over real services: password and sessions.

use super::real_services::{RealServer, between};
use super::support::TestRequest;

const PASSWORD: &str = "correct+horse+battery";

async fn sign_in(server: &RealServer, password: &str) -> Option<String> {
    let form = format!("email=ada%40example.com&password={password}");
    let request = TestRequest::form("/forms/sign-in", &form).header("user-agent", "Firefox 150");
    server.send(request).await.cookie("rehearsal_session")
}

async fn is_signed_in(server: &RealServer, cookie: &str) -> bool {
    let request = TestRequest::get("/api/v1/agents").header("cookie", cookie);
    server.send(request).await.status == 200
}

#[tokio::test]
async fn new_password_ends_other_sessions_and_keeps_this_browser_signed_in() {
    let server = RealServer::new().await;
    let (here, ben) = (server.sign_up("ada").await, server.sign_up("ben").await);
    let elsewhere = sign_in(&server, PASSWORD).await.expect("a second session");
    server.clock.advance(60);
    let page = server.page(&here, "/settings/account").await;
    assert!(page.contains("Firefox 150") && page.contains("ada@example.com"), "{page}");
    assert_eq!(page.matches("data-label=\"Signed in\"").count(), 2, "{page}");

    let form = format!("current_password={PASSWORD}&new_password=another+good+one");
    let changed = server.post(&here, "/settings/account", "/forms/password", &form).await;
    assert_eq!(changed.location(), "/settings/account?notice=password_changed");
    let now = changed.cookie("rehearsal_session").expect("a new session");
    for ended in [&here, &elsewhere] {
        assert!(!is_signed_in(&server, ended).await);
    }
    assert!(is_signed_in(&server, &now).await && is_signed_in(&server, &ben).await);
    assert_eq!(sign_in(&server, PASSWORD).await, None);
    assert!(sign_in(&server, "another+good+one").await.is_some());
}

#[tokio::test]
async fn sign_out_everywhere_ends_all_sessions() {
    let server = RealServer::new().await;
    let (here, ben) = (server.sign_up("ada").await, server.sign_up("ben").await);
    let elsewhere = sign_in(&server, PASSWORD).await.expect("a second session");
    server.clock.advance(60);
    let ended = server.post(&here, "/settings/account", "/forms/sessions/end", "").await;
    assert_eq!(ended.location(), "/sign-in?notice=signed_out_everywhere");
    for session in [&here, &elsewhere] {
        assert!(!is_signed_in(&server, session).await);
    }
    assert!(is_signed_in(&server, &ben).await);
}

#[tokio::test]
async fn one_session_is_signed_out_alone() {
    let server = RealServer::new().await;
    let (here, ben) = (server.sign_up("ada").await, server.sign_up("ben").await);
    let elsewhere = sign_in(&server, PASSWORD).await.expect("a second session");
    let page = server.page(&here, "/settings/account").await;
    let row = page.split("<tr>").find(|row| row.contains("Firefox 150")).expect("its row");
    let path = between(row, "action=\"", "\"");
    let post = |cookie: &str| {
        TestRequest::form(path, "").header("cookie", cookie).header("origin", "http://here:3000")
    };
    server.send(post(&ben)).await;
    assert!(is_signed_in(&server, &elsewhere).await, "another user cannot end it");
    let ended = server.send(post(&here)).await;
    assert_eq!(ended.location(), "/settings/account?notice=session_ended");
    assert!(!is_signed_in(&server, &elsewhere).await);
    assert!(is_signed_in(&server, &here).await && is_signed_in(&server, &ben).await);
    let page = server.page(&here, "/settings/account").await;
    assert!(!page.contains("Firefox 150"), "{page}");
}

#[tokio::test]
async fn session_of_this_browser_is_marked() {
    let server = RealServer::new().await;
    let here = server.sign_up("ada").await;
    let elsewhere = sign_in(&server, PASSWORD).await.expect("a second session");
    let marked = async |cookie: &str| {
        let page = server.page(cookie, "/settings/account").await;
        // What follows the last row contains the data of the page.
        let rows = page.split("<tr>").filter_map(|row| Some(row.split_once("</tr>")?.0));
        let is_session = |row: &&str| row.contains("data-label=\"Signed in\"");
        let rows: Vec<&str> = rows.filter(is_session).collect();
        assert_eq!(rows.len(), 2, "{page}");
        let marked: Vec<_> = rows.into_iter().filter(|row| row.contains("this browser")).collect();
        assert_eq!(marked.len(), 1, "{page}");
        marked[0].contains("Firefox 150")
    };
    assert!(marked(&elsewhere).await);
    assert!(!marked(&here).await);
}

/// Whoever finds a token must not be able to keep access after it is deleted.
#[tokio::test]
async fn token_can_neither_create_tokens_nor_change_the_password() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let create = |body: &serde_json::Value| TestRequest::json("POST", "/api/v1/tokens", body);
    let body = serde_json::json!({"name": "ci", "expires_in_days": 7});
    let request = create(&body).header("cookie", &ada).header("origin", "http://here:3000");
    let created = server.send(request).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let created = created.json();
    assert!(created["expires_at"].is_string(), "{created}");
    let bearer = format!("Bearer {}", created["token"].as_str().expect("a secret"));
    let refused = server.send(create(&body).header("authorization", &bearer)).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(refused.problem()["title"], "Not allowed");
    for (path, form) in [
        ("/forms/tokens", "name=ci".to_owned()),
        ("/forms/password", format!("current_password={PASSWORD}&new_password=another+good+one")),
        ("/forms/sessions/end", String::new()),
        ("/forms/sessions/00/end", String::new()),
    ] {
        let request = TestRequest::form(path, &form).header("authorization", &bearer);
        assert_eq!(server.send(request).await.status, 403, "{path}");
    }
    assert!(is_signed_in(&server, &ada).await);
    let invalid = serde_json::json!({"name": "ci", "expires_in_days": 0});
    let request = create(&invalid).header("cookie", &ada).header("origin", "http://here:3000");
    assert_eq!(server.send(request).await.problem()["errors"][0]["path"], "expires_in_days");
}
