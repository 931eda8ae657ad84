//! Commands about accounts, beside a running server.

use super::new_server;
use fault_injection::TestServer;
use serde_json::Value;

const EMAIL: &str = "owner@example.org";
const FORGOTTEN: &str = "a forgotten password";
const NEW: &str = "a quite new password";

/// Signs in with a browser's form. Returns the session cookie, unless it is refused.
async fn sign_in(server: &TestServer, password: &str) -> Option<String> {
    let url = format!("http://{}/forms/sign-in", server.addr);
    let client = reqwest::Client::builder().no_proxy();
    let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let encode = domain::url::percent_encode;
    let form = format!("email={}&password={}", encode(EMAIL), encode(password));
    let request = client.post(url).header("origin", format!("http://{}", server.addr));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await.unwrap();
    let cookies = response.headers().get_all("set-cookie");
    let session = cookies.iter().filter_map(|cookie| cookie.to_str().ok());
    let mut session = session.filter(|cookie| cookie.starts_with("rehearsal_session="));
    session.next().and_then(|cookie| Some(cookie.split(';').next()?.to_owned()))
}

async fn is_signed_in(server: &TestServer, cookie: &str) -> bool {
    let url = format!("http://{}/api/v1/agents", server.addr);
    let response = server.client.get(url).header("cookie", cookie).send().await.unwrap();
    response.status().is_success()
}

#[tokio::test]
async fn reset_password_replaces_it_ends_all_sessions_and_is_logged() {
    let server = new_server().with_env("REHEARSAL_LOG_FORMAT", "json").started().await;
    let create = ["user", "create", "--email", EMAIL, "--password-stdin"];
    assert!(server.run_command(&create, FORGOTTEN).0);
    let session = sign_in(&server, FORGOTTEN).await.expect("a session");
    assert!(is_signed_in(&server, &session).await);

    let reset = |email| ["user", "reset-password", "--email", email, "--password-stdin"];
    let (done, error) = server.run_command(&reset(EMAIL), "short");
    assert!(!done && error.contains("at least 10 characters"), "{error}");
    let (done, error) = server.run_command(&reset("nobody@example.org"), NEW);
    assert!(!done && error.contains("no such user"), "{error}");
    assert!(is_signed_in(&server, &session).await, "nothing was changed");

    let (output, log) = server.run_command_with_log(&reset(EMAIL), NEW);
    assert_eq!(output, EMAIL);
    assert!(!is_signed_in(&server, &session).await);
    assert_eq!(sign_in(&server, FORGOTTEN).await, None);
    let session = sign_in(&server, NEW).await.expect("a session with the new password");
    assert!(is_signed_in(&server, &session).await);

    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events: Vec<_> =
        lines.filter(|line| line["fields"]["message"] == "account event").collect();
    assert_eq!(events.len(), 1, "{log}");
    let fields = &events[0]["fields"];
    assert_eq!((&fields["event"], &fields["client"]), (&"password_reset".into(), &"local".into()));
    assert_eq!(fields["actor"].as_str().map(str::len), Some(36), "{fields}");
    for secret in [NEW, FORGOTTEN, EMAIL] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
