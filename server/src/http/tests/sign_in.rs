//! Sessions and sign-in.

use super::support::{TestRequest, TestServer};
use crate::http::HttpSettings;
use axum::http::StatusCode;
use std::sync::atomic::Ordering;

const RIGHT: &str = "email=ada%40example.com&password=right";
const WRONG: &str = "email=ada%40example.com&password=wrong&next=%2Fagents";

#[tokio::test]
async fn session_cookie_is_same_site_and_http_only() {
    let response = TestServer::new().send(TestRequest::form("/forms/sign-in", RIGHT)).await;
    let cookie = response.set_cookie("rehearsal_session").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Secure"));
    let public_url = Some("https://rehearsal.example".to_owned());
    let https = TestServer::with(HttpSettings { public_url, ..HttpSettings::default() });
    let response = https.send(TestRequest::form("/forms/sign-in", RIGHT)).await;
    assert!(response.set_cookie("rehearsal_session").expect("a cookie").contains("Secure"));
    assert!(!response.header("strict-transport-security").is_empty());
}

#[tokio::test]
async fn sign_in_replaces_the_session() {
    let server = TestServer::new();
    let first = server.cookie().await;
    let response =
        server.send(TestRequest::form("/forms/sign-in", RIGHT).header("cookie", &first)).await;
    let second = response.cookie("rehearsal_session").expect("a cookie");
    assert_ne!(first, second);
    let with = |cookie: &str| TestRequest::get("/api/v1/agents").header("cookie", cookie);
    assert_eq!(server.send(with(&first)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.send(with(&second)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn planted_session_id_is_not_adopted() {
    let server = TestServer::new();
    let planted = "rehearsal_session=AAAAAAAAAAAAAAAAAAAAAA";
    let response =
        server.send(TestRequest::form("/forms/sign-in", RIGHT).header("cookie", planted)).await;
    assert_ne!(response.cookie("rehearsal_session").as_deref(), Some(planted));
    let request = TestRequest::get("/api/v1/agents").header("cookie", planted);
    assert_eq!(server.send(request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn sign_out_deletes_session_and_cookie() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let response =
        server.send(TestRequest::form("/forms/sign-out", "").header("cookie", &cookie)).await;
    assert_eq!(response.location(), "/sign-in?notice=signed_out");
    let gone = response.set_cookie("rehearsal_session").expect("a removal");
    assert!(gone.contains("Max-Age=0"), "{gone}");
    let request = TestRequest::get("/api/v1/agents").header("cookie", &cookie);
    assert_eq!(server.send(request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn session_is_written_at_most_every_five_minutes() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let writes = || server.sessions.writes.load(Ordering::SeqCst);
    let read = || server.send(TestRequest::get("/api/v1/agents").header("cookie", &cookie));
    let before = writes();
    for _ in 0..5 {
        server.clock.advance(55);
        read().await;
    }
    assert_eq!(writes(), before);
    server.clock.advance(30);
    let response = read().await;
    assert_eq!(writes(), before + 1);
    assert!(
        response.set_cookie("rehearsal_session").is_some_and(|c| c.contains("Max-Age=2592000"))
    );
    read().await;
    assert_eq!(writes(), before + 1);
}

#[tokio::test]
async fn wrong_password_redirects_without_storing_it() {
    let server = TestServer::new();
    let response = server.send(TestRequest::form("/forms/sign-in", WRONG)).await;
    assert!(
        response.location().starts_with("/sign-in?next=/agents&saved_form="),
        "{}",
        response.location()
    );
    assert_eq!(response.set_cookie("rehearsal_session"), None);
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.draft.text("email"), "ada@example.com");
    assert_eq!(stored.detail, "E-mail or password is not right.");
    assert!(!format!("{stored:?}").contains("wrong"));
}

#[tokio::test]
async fn sign_up_starts_a_session_or_shows_problems() {
    let server = TestServer::new();
    let response =
        server.send(TestRequest::form("/forms/sign-up", "email=b%40c.d&password=1")).await;
    assert!(response.location().starts_with("/sign-up?saved_form="));
    assert_eq!(server.fake.saved_forms.lock()[0].problems[0].path, "password");
    let response =
        server.send(TestRequest::form("/forms/sign-up", "email=b%40c.d&password=1234")).await;
    assert_eq!(response.location(), "/");
    assert!(response.cookie("rehearsal_session").is_some());
}

#[tokio::test]
async fn session_store_failure_is_reported() {
    let server = TestServer::new();
    let before = server.cookie().await;
    server.sessions.full.store(true, Ordering::SeqCst);
    for request in [
        TestRequest::form("/forms/sign-in", RIGHT),
        TestRequest::form("/forms/sign-in", RIGHT).header("cookie", &before),
        TestRequest::form("/forms/sign-up", "email=b%40c.d&password=1234"),
    ] {
        let response = server.send(request).await;
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{}", response.text);
        assert!(response.header("content-type").starts_with("text/html"));
        assert!(response.text.contains("could not be signed in"), "{}", response.text);
        assert_eq!(response.header("retry-after"), "5");
        let cookie = response.set_cookie("rehearsal_session");
        assert!(cookie.is_none_or(|cookie| cookie.contains("Max-Age=0")), "{cookie:?}");
    }
    server.sessions.full.store(false, Ordering::SeqCst);
    server.cookie().await;
}

#[tokio::test]
async fn password_guessing_is_rate_limited() {
    let server = TestServer::new();
    for _ in 0..10 {
        let response = server.send(TestRequest::form("/forms/sign-in", WRONG)).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER);
    }
    let response = server.send(TestRequest::form("/forms/sign-in", WRONG)).await;
    assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(response.header("retry-after").parse::<u32>().is_ok_and(|s| (1..=7).contains(&s)));
    assert!(response.header("content-type").starts_with("text/html"));
    // The limit applies to the right password, too.
    let response = server.send(TestRequest::form("/forms/sign-in", RIGHT)).await;
    assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn session_ends_after_90_days_of_use() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let status =
        async || server.send(TestRequest::get("/api/v1/agents").header("cookie", &cookie)).await;
    for _ in 0..89 {
        server.clock.advance(24 * 3600);
        assert_eq!(status().await.status, StatusCode::OK);
    }
    let last = status().await;
    assert_eq!(last.status, StatusCode::OK);
    server.clock.advance(23 * 3600);
    let last = status().await;
    let cookie = last.set_cookie("rehearsal_session").expect("a shorter cookie");
    assert!(cookie.contains("Max-Age=3600") || cookie.contains("Max-Age=3599"), "{cookie}");
    server.clock.advance(3600);
    assert_eq!(status().await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_current_password_is_reported_and_not_stored() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let form = "current_password=wrong&new_password=something+new";
    let request = TestRequest::form("/forms/password", form).header("cookie", &cookie);
    let location = server.send(request).await.location().to_owned();
    assert!(location.starts_with("/settings/account?saved_form="), "{location}");
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.problems[0].path, "current_password");
    assert!(!format!("{stored:?}").contains("something"), "{stored:?}");
    let form = "current_password=right&new_password=something+new";
    let request = TestRequest::form("/forms/password", form).header("cookie", &cookie);
    let response = server.send(request).await;
    assert_eq!(response.location(), "/settings/account?notice=password_changed");
    assert_ne!(response.cookie("rehearsal_session"), Some(cookie), "a new session");
}

#[tokio::test]
async fn guesses_of_the_current_password_are_rate_limited() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let form = "current_password=wrong&new_password=something+new";
    for _ in 0..10 {
        let request = TestRequest::form("/forms/password", form).header("cookie", &cookie);
        server.send(request).await.location();
    }
    let last = server.fake.saved_forms.lock().pop().expect("a rejected form");
    assert!(last.detail.starts_with("Too many attempts"), "{last:?}");
}
