//! Pages and files.

use super::support::{Ask, Server};
use crate::http::HttpSettings;
use axum::http::StatusCode;

#[tokio::test]
async fn the_policy_of_a_page_names_the_nonce_of_its_scripts() {
    let server = Server::new();
    let (one, two) =
        (server.told(Ask::get("/sign-in")).await, server.told(Ask::get("/sign-in")).await);
    assert_eq!(one.status, StatusCode::OK);
    let nonce = |policy: &str| {
        let start = policy.find("'nonce-").expect("a nonce") + "'nonce-".len();
        policy[start..].split('\'').next().unwrap_or_default().to_owned()
    };
    let mine = nonce(one.header("content-security-policy"));
    assert!(one.text.contains(&format!("nonce=\"{mine}\"")), "{}", one.text);
    assert_ne!(mine, nonce(two.header("content-security-policy")));
}

#[tokio::test]
async fn a_page_that_is_not_there_is_a_page() {
    let told = Server::new().told(Ask::get("/no/such/page")).await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
    assert!(told.header("content-type").starts_with("text/html"));
    assert!(told.text.contains("</html>"));
    let posted = Server::new().told(Ask::form("/no/such/page", "")).await;
    assert_eq!(posted.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_come_packed_and_hashed_ones_stay() {
    let site = tempfile::tempdir().expect("a folder");
    let package = site.path().join("pkg");
    std::fs::create_dir(&package).expect("a folder");
    for (name, content) in [
        ("app.0123abcd.js", "plain"),
        ("app.0123abcd.js.br", "packed"),
        ("app.js", "changes"),
        ("../icon.svg", "<svg/>"),
    ] {
        std::fs::write(package.join(name), content).expect("a file");
    }
    let site = site.path().to_owned();
    let server = Server::with(HttpSettings { site, ..HttpSettings::default() });
    let hashed = server.told(Ask::get("/pkg/app.0123abcd.js").header("accept-encoding", "br"));
    let hashed = hashed.await;
    assert_eq!((hashed.text.as_str(), hashed.header("content-encoding")), ("packed", "br"));
    assert!(hashed.header("cache-control").contains("immutable"));
    assert!(hashed.header("content-type").contains("javascript"));
    let plain = server.told(Ask::get("/pkg/app.0123abcd.js")).await;
    assert_eq!(plain.text, "plain");
    let changing = server.told(Ask::get("/pkg/app.js")).await;
    assert_eq!(changing.header("cache-control"), "no-cache");
    assert_eq!(server.told(Ask::get("/icon.svg")).await.text, "<svg/>");
    for outside in ["/pkg/../../etc/passwd", "/pkg/%2e%2e/%2e%2e/etc/passwd", "/pkg/none.js"] {
        assert_eq!(server.told(Ask::get(outside)).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn what_a_signed_in_person_sees_is_kept_by_no_browser() {
    let server = Server::new();
    let stranger = server.told(Ask::get("/sign-in")).await;
    assert_eq!(stranger.header("cache-control"), "private, no-cache");
    let cookie = server.cookie().await;
    for path in ["/agents", "/no/such/page"] {
        let page = server.told(Ask::get(path).header("cookie", &cookie)).await;
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(page.header("cache-control"), "private, no-store", "{path}");
    }
}

#[tokio::test]
async fn who_is_signed_in_needs_no_form_for_it() {
    let server = Server::new();
    let cookie = server.cookie().await;
    for (path, next) in [
        ("/sign-in", "/"),
        ("/sign-up", "/"),
        ("/sign-in?next=/suites/new%3Fall%3Dtrue", "/suites/new?all=true"),
        ("/sign-in?next=//evil.example", "/"),
    ] {
        let told = server.told(Ask::get(path).header("cookie", &cookie)).await;
        assert_eq!((told.status, told.header("location")), (StatusCode::FOUND, next), "{path}");
    }
    assert_eq!(server.told(Ask::get("/sign-in")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_settings_begin_with_the_connections() {
    let told = Server::new().told(Ask::get("/settings")).await;
    assert_eq!(told.place(), "/settings/connections");
}
