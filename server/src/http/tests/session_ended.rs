//! Forms that are posted after the session ended.

use super::real_services::{RealServer, between};
use super::support::{TestRequest, TestResponse};

const TYPED: &str = "name=Late+%3Cbus%3E&category=booking&conversation_flow[0][speaker]=user&\
                     conversation_flow[0][message]=Hello%0D%0A%22there%22&idempotency_key=k";
const PAGE: &str = "/scenarios/new?notice=saved";

/// URL-encodes a value.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&#39;", "'").replace("&#x27;", "'").replace("&amp;", "&")
}

/// The pending form in the sign-in page.
fn pending_form(response: &TestResponse) -> String {
    assert_eq!(response.status, 401, "{}", response.text);
    assert!(
        response.text.contains("Your session expired. Sign in to continue."),
        "{}",
        response.text
    );
    unescaped(between(&response.text, "name=\"pending_form\" value=\"", "\""))
}

/// Posts the sign-in page.
async fn sign_in(
    server: &RealServer,
    name: &str,
    password: &str,
    pending_form: &str,
) -> TestResponse {
    let form = format!(
        "email={name}%40example.com&password={password}&pending_form={}",
        encoded(pending_form)
    );
    server.send(TestRequest::form("/forms/sign-in", &form)).await
}

const RIGHT: &str = "correct+horse+battery";

#[tokio::test]
async fn input_is_restored_after_sign_in() {
    let server = RealServer::new().await;
    let (_, ben) = (server.sign_up("ada").await, server.sign_up("ben").await);
    let ended = server.post("", PAGE, "/forms/scenarios", TYPED).await;
    let wrong = sign_in(&server, "ada", "wrong+wrong+wrong", &pending_form(&ended)).await;
    assert_eq!(wrong.cookie("rehearsal_session"), None);
    assert!(wrong.text.contains("value=\"ada@example.com\""), "{}", wrong.text);
    assert!(!wrong.text.contains("wrong wrong"), "{}", wrong.text);
    let response = sign_in(&server, "ada", RIGHT, &pending_form(&wrong)).await;
    let location = response.location().to_owned();
    assert!(location.starts_with("/scenarios/new?saved_form="), "{location}");
    let ada = response.cookie("rehearsal_session").expect("a cookie");
    let page = server.page(&ada, &location).await;
    assert!(
        page.contains("value=\"Late &lt;bus>\"") || page.contains("value=\"Late &lt;bus&gt;\"")
    );
    assert!(page.contains("Hello\n\"there\""), "{page}");
    assert!(page.contains("Your changes are below and are not saved yet."), "{page}");
    assert!(!server.page(&ben, &location).await.contains("Late"), "the form belongs to ada");
}

#[tokio::test]
async fn list_button_is_applied_after_sign_in() {
    let server = RealServer::new().await;
    server.sign_up("ada").await;
    let clicked = format!("{TYPED}&_action=add:conversation_flow");
    let ended = server.post("", PAGE, "/forms/scenarios", &clicked).await;
    let response = sign_in(&server, "ada", RIGHT, &pending_form(&ended)).await;
    let ada = response.cookie("rehearsal_session").expect("a cookie");
    assert!(server.page(&ada, response.location()).await.contains("conversation_flow[1][message]"));
}

#[tokio::test]
async fn api_key_is_not_restored_and_the_page_says_so() {
    let server = RealServer::new().await;
    server.sign_up("ada").await;
    let form = "name=C&kind=openai&base_url=https%3A%2F%2Fx.example&api_key=sk-1234567890";
    let ended = server.post("", "/settings/connections/new", "/forms/connections", form).await;
    assert!(!ended.text.contains("sk-1234567890"), "{}", ended.text);
    let response = sign_in(&server, "ada", RIGHT, &pending_form(&ended)).await;
    let ada = response.cookie("rehearsal_session").expect("a cookie");
    let page = server.page(&ada, response.location()).await;
    assert!(page.contains("value=\"https://x.example\""), "{page}");
    assert!(page.contains("Enter the API key or password again: it is not stored."), "{page}");
}

#[tokio::test]
async fn expired_button_click_is_reported_as_not_executed() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let made = server.post(&ada, PAGE, "/forms/scenarios", TYPED).await;
    let page = made.location().split('?').next().expect("a path").to_owned();
    let ended = server.post("", &page, &format!("/forms{page}/delete"), "").await;
    let response = sign_in(&server, "ada", RIGHT, &pending_form(&ended)).await;
    assert!(
        response.location().starts_with(&format!("{page}?saved_form=")),
        "{}",
        response.location()
    );
    let ada = response.cookie("rehearsal_session").expect("a cookie");
    assert!(server.page(&ada, response.location()).await.contains("Nothing was changed."));
}

#[tokio::test]
async fn pending_form_redirects_only_within_the_site() {
    let server = RealServer::new().await;
    server.sign_up("ada").await;
    let hostile = r#"{"draft":{"name":"x"},"back":"//evil.example","secret":false}"#;
    let response = sign_in(&server, "ada", RIGHT, hostile).await;
    assert!(response.location().starts_with("/?saved_form="), "{}", response.location());
    for damaged in ["", "{", "[]", "{\"draft\":7}"] {
        assert_eq!(sign_in(&server, "ada", RIGHT, damaged).await.location(), "/");
    }
}
