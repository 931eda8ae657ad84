//! Sessions: their cookie, their id, how long they last, who guesses.

use super::support::{Ask, Server};
use crate::http::HttpSettings;
use axum::http::StatusCode;
use std::sync::atomic::Ordering;

const RIGHT: &str = "email=ada%40example.com&password=right";
const WRONG: &str = "email=ada%40example.com&password=wrong&next=%2Fagents";

#[tokio::test]
async fn the_cookie_is_for_this_site_and_not_for_scripts() {
    let told = Server::new().told(Ask::form("/forms/sign-in", RIGHT)).await;
    let cookie = told.set_cookie("rehearsal_session").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Secure"));
    let public_url = Some("https://rehearsal.example".to_owned());
    let https = Server::with(HttpSettings { public_url, ..HttpSettings::default() });
    let told = https.told(Ask::form("/forms/sign-in", RIGHT)).await;
    assert!(told.set_cookie("rehearsal_session").expect("a cookie").contains("Secure"));
    assert!(!told.header("strict-transport-security").is_empty());
}

#[tokio::test]
async fn signing_in_again_gives_a_new_id_and_ends_the_old() {
    let server = Server::new();
    let first = server.cookie().await;
    let told = server.told(Ask::form("/forms/sign-in", RIGHT).header("cookie", &first)).await;
    let second = told.cookie("rehearsal_session").expect("a cookie");
    assert_ne!(first, second);
    let with = |cookie: &str| Ask::get("/api/v1/agents").header("cookie", cookie);
    assert_eq!(server.told(with(&first)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.told(with(&second)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_planted_id_is_not_taken_over() {
    let server = Server::new();
    let planted = "rehearsal_session=AAAAAAAAAAAAAAAAAAAAAA";
    let told = server.told(Ask::form("/forms/sign-in", RIGHT).header("cookie", planted)).await;
    assert_ne!(told.cookie("rehearsal_session").as_deref(), Some(planted));
    let ask = Ask::get("/api/v1/agents").header("cookie", planted);
    assert_eq!(server.told(ask).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn signing_out_ends_it_on_both_sides() {
    let server = Server::new();
    let cookie = server.cookie().await;
    let told = server.told(Ask::form("/forms/sign-out", "").header("cookie", &cookie)).await;
    assert_eq!(told.place(), "/sign-in?notice=signed_out");
    let gone = told.set_cookie("rehearsal_session").expect("a removal");
    assert!(gone.contains("Max-Age=0"), "{gone}");
    let ask = Ask::get("/api/v1/agents").header("cookie", &cookie);
    assert_eq!(server.told(ask).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn reading_writes_the_session_every_five_minutes_at_most() {
    let server = Server::new();
    let cookie = server.cookie().await;
    let writes = || server.sessions.writes.load(Ordering::SeqCst);
    let read = || server.told(Ask::get("/api/v1/agents").header("cookie", &cookie));
    let before = writes();
    for _ in 0..5 {
        server.clock.forward(55);
        read().await;
    }
    assert_eq!(writes(), before);
    server.clock.forward(30);
    let told = read().await;
    assert_eq!(writes(), before + 1);
    assert!(told.set_cookie("rehearsal_session").is_some_and(|c| c.contains("Max-Age=2592000")));
    read().await;
    assert_eq!(writes(), before + 1);
}

#[tokio::test]
async fn a_wrong_password_leads_back_without_it() {
    let server = Server::new();
    let told = server.told(Ask::form("/forms/sign-in", WRONG)).await;
    assert!(told.place().starts_with("/sign-in?next=/agents&draft="), "{}", told.place());
    assert_eq!(told.set_cookie("rehearsal_session"), None);
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(kept.draft.text("email"), "ada@example.com");
    assert_eq!(kept.detail, "E-mail or password is not right.");
    assert!(!format!("{kept:?}").contains("wrong"));
}

#[tokio::test]
async fn signing_up_begins_a_session_or_says_why_not() {
    let server = Server::new();
    let told = server.told(Ask::form("/forms/sign-up", "email=b%40c.d&password=1")).await;
    assert!(told.place().starts_with("/sign-up?draft="));
    assert_eq!(server.fake.kept.lock()[0].problems[0].path, "password");
    let told = server.told(Ask::form("/forms/sign-up", "email=b%40c.d&password=1234")).await;
    assert_eq!(told.place(), "/");
    assert!(told.cookie("rehearsal_session").is_some());
}

#[tokio::test]
async fn while_no_session_can_be_stored_that_is_said() {
    let server = Server::new();
    let before = server.cookie().await;
    server.sessions.full.store(true, Ordering::SeqCst);
    for ask in [
        Ask::form("/forms/sign-in", RIGHT),
        Ask::form("/forms/sign-in", RIGHT).header("cookie", &before),
        Ask::form("/forms/sign-up", "email=b%40c.d&password=1234"),
    ] {
        let told = server.told(ask).await;
        assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE, "{}", told.text);
        assert!(told.header("content-type").starts_with("text/html"));
        assert!(told.text.contains("could not be signed in"), "{}", told.text);
        assert_eq!(told.header("retry-after"), "5");
        let cookie = told.set_cookie("rehearsal_session");
        assert!(cookie.is_none_or(|cookie| cookie.contains("Max-Age=0")), "{cookie:?}");
    }
    server.sessions.full.store(false, Ordering::SeqCst);
    server.cookie().await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let server = Server::new();
    for _ in 0..10 {
        let told = server.told(Ask::form("/forms/sign-in", WRONG)).await;
        assert_eq!(told.status, StatusCode::SEE_OTHER);
    }
    let told = server.told(Ask::form("/forms/sign-in", WRONG)).await;
    assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(told.header("retry-after").parse::<u32>().is_ok_and(|s| (1..=7).contains(&s)));
    assert!(told.header("content-type").starts_with("text/html"));
    // The right password does not get round it either.
    let told = server.told(Ask::form("/forms/sign-in", RIGHT)).await;
    assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
}
