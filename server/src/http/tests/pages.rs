//! Pages and static files.

use super::support::{TestRequest, TestServer};
use crate::http::HttpSettings;
use axum::http::StatusCode;

#[tokio::test]
async fn page_policy_contains_the_nonce_of_its_scripts() {
    let server = TestServer::new();
    let (one, two) = (
        server.send(TestRequest::get("/sign-in")).await,
        server.send(TestRequest::get("/sign-in")).await,
    );
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
async fn unknown_path_is_a_not_found_page() {
    let response = TestServer::new().send(TestRequest::get("/no/such/page")).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(response.header("content-type").starts_with("text/html"));
    assert!(response.text.contains("</html>"));
    let posted = TestServer::new().send(TestRequest::form("/no/such/page", "")).await;
    assert_eq!(posted.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_are_precompressed_and_hashed_files_immutable() {
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
    let server = TestServer::with(HttpSettings { site, ..HttpSettings::default() });
    let hashed =
        server.send(TestRequest::get("/pkg/app.0123abcd.js").header("accept-encoding", "br"));
    let hashed = hashed.await;
    assert_eq!((hashed.text.as_str(), hashed.header("content-encoding")), ("packed", "br"));
    assert!(hashed.header("cache-control").contains("immutable"));
    assert!(hashed.header("content-type").contains("javascript"));
    let plain = server.send(TestRequest::get("/pkg/app.0123abcd.js")).await;
    assert_eq!(plain.text, "plain");
    let changing = server.send(TestRequest::get("/pkg/app.js")).await;
    assert_eq!(changing.header("cache-control"), "no-cache");
    assert_eq!(server.send(TestRequest::get("/icon.svg")).await.text, "<svg/>");
    for outside in ["/pkg/../../etc/passwd", "/pkg/%2e%2e/%2e%2e/etc/passwd", "/pkg/none.js"] {
        assert_eq!(server.send(TestRequest::get(outside)).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn impossible_file_names_are_not_found() {
    let site = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(site.path().join("pkg")).expect("a folder");
    let site = site.path().to_owned();
    let server = TestServer::with(HttpSettings { site, ..HttpSettings::default() });
    let (long, deep) = ("x".repeat(256), "x/".repeat(4000));
    for name in [&long, &"x".repeat(5000), &deep, "a%00b", &format!("{long}/icon.svg")] {
        for folder in ["/", "/pkg/", "/agents/", "/suites/", "/api/v1/agents/", "/api/v1/"] {
            let path = format!("{folder}{name}");
            let request = TestRequest::get(&path).header("accept-encoding", "br, gzip");
            let status = server.api(request).await.status;
            assert_eq!(status, StatusCode::NOT_FOUND, "{folder}{:.20}…", name);
        }
    }
}

#[tokio::test]
async fn pages_of_signed_in_users_are_not_stored() {
    let server = TestServer::new();
    let anonymous = server.send(TestRequest::get("/sign-in")).await;
    assert_eq!(anonymous.header("cache-control"), "private, no-cache");
    let cookie = server.cookie().await;
    for path in ["/agents", "/no/such/page"] {
        let page = server.send(TestRequest::get(path).header("cookie", &cookie)).await;
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(page.header("cache-control"), "private, no-store", "{path}");
    }
}

#[tokio::test]
async fn signed_in_user_is_redirected_from_sign_in() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    for (path, next) in [
        ("/sign-in", "/"),
        ("/sign-up", "/"),
        ("/sign-in?next=/suites/new%3Fall%3Dtrue", "/suites/new?all=true"),
        ("/sign-in?next=//evil.example", "/"),
    ] {
        let response = server.send(TestRequest::get(path).header("cookie", &cookie)).await;
        assert_eq!(
            (response.status, response.header("location")),
            (StatusCode::FOUND, next),
            "{path}"
        );
    }
    assert_eq!(server.send(TestRequest::get("/sign-in")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn settings_redirect_to_connections() {
    let response = TestServer::new().send(TestRequest::get("/settings")).await;
    assert_eq!(response.location(), "/settings/connections");
}
