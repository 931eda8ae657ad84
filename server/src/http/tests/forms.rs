//! Forms without scripts: redirects and stored input.

use super::fake_services::id;
use super::support::{TestRequest, TestResponse, TestServer};
use axum::http::StatusCode;
use rstest::rstest;
use serde_json::json;

async fn post(server: &TestServer, path: &str, body: &str) -> TestResponse {
    let cookie = server.cookie().await;
    server.send(TestRequest::form(path, body).header("cookie", &cookie)).await
}

#[tokio::test]
async fn anonymous_form_gets_a_sign_in_page_that_contains_it() {
    let server = TestServer::new();
    for (referer, back) in [
        ("http://here:3000/agents/new?a=b", "/agents/new?a=b"),
        ("http://evil.example/x", "/agents/new"),
    ] {
        let response = server
            .send(TestRequest::form("/forms/agents", "name=A").header("referer", referer))
            .await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(response.header("cache-control"), "private, no-store");
        let pending_form = format!(r#"{{"draft":{{"name":"A"}},"back":"{back}","secret":false}}"#);
        let field =
            format!("name=\"pending_form\" value=\"{}\"", pending_form.replace('"', "&quot;"));
        assert!(response.text.contains(&field), "{field} in {}", response.text);
    }
    assert!(server.fake.saved_forms.lock().is_empty(), "nothing is stored for anonymous users");
}

#[tokio::test]
async fn saving_an_agent_redirects_to_its_page_or_next() {
    let server = TestServer::new();
    let body = format!("name=A&system_prompt=Hi&model=m&connection_id={}", id(3));
    let response = post(&server, "/forms/agents", &body).await;
    assert_eq!(response.location(), format!("/agents/{}?notice=saved", id(10)));
    let response = post(&server, "/forms/agents", &format!("{body}&next=/suites/new")).await;
    assert_eq!(response.location(), "/suites/new?notice=saved");
    let response = post(&server, "/forms/agents", &format!("{body}&next=//evil.example")).await;
    assert_eq!(response.location(), format!("/agents/{}?notice=saved", id(10)));
}

#[tokio::test]
async fn secret_variables_are_not_kept_with_a_form() {
    let server = TestServer::new();
    let body = "name=P&variables[0][name]=a&variables[0][value]=shown&variables[0][secret]=false\
        &variables[1][name]=b&variables[1][value]=zz-secret&variables[1][secret]=false\
        &variables[1][secret]=true";
    // Rejected, changed by a button, and posted without a session.
    post(&server, "/forms/profiles", body).await;
    post(&server, "/forms/profiles", &format!("{body}&_action=add:variables")).await;
    let anonymous = server.send(TestRequest::form("/forms/profiles", body)).await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
    assert!(anonymous.text.contains("shown") && !anonymous.text.contains("zz-secret"));
    let stored = server.fake.saved_forms.lock();
    assert_eq!(stored[0].problems[0].path, "variables[0].value");
    assert_eq!(stored[1].draft.text("variables[2].secret"), "false", "a new variable is public");
    for form in stored.iter() {
        assert_eq!(form.draft.text("variables[0].value"), "shown");
        assert_eq!(form.draft.text("variables[1].name"), "b");
        assert!(!form.draft.0.to_string().contains("zz-secret"), "{:?}", form.draft);
    }
}

#[tokio::test]
async fn rejected_form_keeps_all_input() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let body = "name=&system_prompt=Long+words&tools[0][name]=a+b&tools[3][name]=c";
    let request = TestRequest::form("/forms/agents", body).header("cookie", &cookie);
    let response =
        server.send(request.header("referer", "http://here:3000/agents/new?saved_form=old")).await;
    assert_eq!(response.location(), format!("/agents/new?saved_form={}", id(900)));
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.draft.text("system_prompt"), "Long words");
    assert_eq!(stored.draft.text("tools[1].name"), "c");
    let paths: Vec<_> = stored.problems.iter().map(|p| p.path.as_str()).collect();
    for path in ["name", "model", "tools[0].name"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[tokio::test]
async fn stale_revision_keeps_all_input() {
    let server = TestServer::new();
    let path = format!("/forms/agents/{}", id(10));
    let body = format!("revision=7&name=A&system_prompt=Hi&model=m&connection_id={}", id(3));
    let response = post(&server, &path, &body).await;
    assert_eq!(response.location(), format!("/agents/{}?saved_form={}", id(10), id(900)));
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.detail, "There is a newer revision.");
    assert_eq!(stored.draft.text("revision"), "7");
}

#[tokio::test]
async fn list_buttons_change_the_form_without_validation() {
    let server = TestServer::new();
    let body = "name=&conversation_flow[0][message]=one&conversation_flow[1][message]=two\
                &_action=up:conversation_flow:1";
    let response = post(&server, "/forms/scenarios", body).await;
    assert_eq!(
        response.location(),
        format!("/scenarios/new?saved_form={}#conversation_flow", id(900))
    );
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.draft.text("conversation_flow[0].message"), "two");
    assert_eq!(stored.draft.at("_action"), None);
    assert!(stored.problems.is_empty());
}

#[tokio::test]
async fn rejected_form_is_stored_without_secrets() {
    let server = TestServer::new();
    let response =
        post(&server, "/forms/connections", "name=C&api_key=sk-1&base_url=http://x").await;
    assert!(response.location().starts_with("/settings/connections/new?saved_form="));
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.draft.0, json!({"name": "C", "base_url": "http://x"}));
}

#[tokio::test]
async fn secret_headers_of_a_deployed_agent_are_not_stored() {
    let server = TestServer::new();
    let body = "http[request][headers]=X-Token:+abc&http[session][start][headers]=X-Key:+abc\
                &http[session][end][headers]=X-Turn:+{{turn}}&_action=add:tools";
    post(&server, "/forms/agents", body).await;
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.draft.text("http.request.headers"), "X-Token: ••••••••");
    assert_eq!(stored.draft.text("http.session.start.headers"), "X-Key: ••••••••");
    assert_eq!(stored.draft.text("http.session.end.headers"), "X-Turn: {{turn}}");
}

#[tokio::test]
async fn rejected_delete_shows_the_reason() {
    let server = TestServer::new();
    let response = post(&server, &format!("/forms/connections/{}/delete", id(3)), "").await;
    assert!(
        response.location().starts_with(&format!("/settings/connections/{}?saved_form=", id(3)))
    );
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(
        (stored.detail.as_str(), stored.link.as_deref()),
        ("An agent uses it.", Some("/agents/1"))
    );
}

#[tokio::test]
async fn connection_test_result_is_shown() {
    let server = TestServer::new();
    let response = post(&server, &format!("/forms/connections/{}/test", id(3)), "model=m").await;
    assert_eq!(response.location(), format!("/settings/connections/{}?tested={}", id(3), id(900)));
    assert_eq!(server.fake.saved_forms.lock()[0].draft.text("message"), "Some(\"m\") answers");
}

#[tokio::test]
async fn blank_model_choice_is_none() {
    let server = TestServer::new();
    let body = format!(
        "judge[connection_id]={}&judge[model]=m&simulated_user[connection_id]=&simulated_user[model]=",
        id(3)
    );
    assert_eq!(
        post(&server, "/forms/settings", &body).await.location(),
        "/settings/models?notice=saved"
    );
    let settings = server.fake.settings.lock().take().expect("settings");
    assert!(settings.judge.is_some_and(|judge| judge.model == "m"));
    assert_eq!(settings.simulated_user, None);
}

#[tokio::test]
async fn new_token_is_neither_stored_nor_in_the_url() {
    let server = TestServer::new();
    let response = post(&server, "/forms/tokens", "name=ci").await;
    assert_eq!(
        response.location(),
        format!("/settings/tokens?notice=token_created&saved_form={}", id(950))
    );
    assert_eq!(*server.fake.new_tokens.lock(), ["rhs_secret"]);
    assert!(server.fake.saved_forms.lock().is_empty(), "no form is stored");
}

fn start(more: &str) -> String {
    format!(
        "agent_id={}&scenario_ids[]={}&scenario_ids[]={}&repeats=2{more}",
        id(10),
        id(11),
        id(12)
    )
}

#[tokio::test]
async fn start_redirects_to_the_suite() {
    let server = TestServer::new();
    let response =
        post(&server, "/forms/suites", &start("&idempotency_key=k&filter[category]=")).await;
    assert_eq!(response.location(), format!("/suites/{}", id(20)));
    let (request, request_key) = server.fake.starts.lock().remove(0);
    assert_eq!(request.scenario_ids.map(|ids| ids.len()), Some(2));
    assert_eq!((request.repeats, request_key.key.as_deref()), (2, Some("k")));
    assert_eq!(request_key.path, "/suites");
}

#[tokio::test]
async fn all_scenarios_of_a_filter_can_be_started() {
    let server = TestServer::new();
    let body = format!("agent_id={}&all=true&filter[category]=booking&filter[q]=", id(10));
    post(&server, "/forms/suites", &body).await;
    let (request, _) = server.fake.starts.lock().remove(0);
    let filter = request.filter.expect("a filter");
    assert_eq!(filter.category, Some(domain::Category::Booking));
    assert_eq!((filter.q, request.scenario_ids), (None, None));
}

#[tokio::test]
async fn reused_idempotency_key_is_not_kept() {
    let server = TestServer::new();
    let response =
        post(&server, "/forms/suites", &start("&idempotency_key=reused&note=mine")).await;
    assert_eq!(response.location(), format!("/suites/new?saved_form={}", id(900)));
    let stored = server.fake.saved_forms.lock().remove(0);
    assert_eq!(stored.link.as_deref(), Some("/suites/1"));
    assert_eq!(stored.draft.text("note"), "mine");
    assert_eq!(stored.draft.at("idempotency_key"), None);
}

#[tokio::test]
async fn uncorrectable_errors_are_error_pages() {
    let server = TestServer::new();
    let response = post(&server, &format!("/forms/suites/{}/cancel", id(1)), "").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(response.header("content-type").starts_with("text/html"));
    let response = post(&server, "/forms/agents/7", "").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}

#[rstest]
#[case("theme=dark&next=/agents%3Fq=1", "/agents?q=1", "theme=dark;")]
#[case("theme=light", "/", "theme=light;")]
#[case("theme=%3Cscript%3E&next=https://evil.example", "/", "theme=system;")]
#[tokio::test]
async fn theme_is_stored_in_a_cookie(
    #[case] body: &str,
    #[case] location: &str,
    #[case] cookie: &str,
) {
    let response = TestServer::new().send(TestRequest::form("/forms/theme", body)).await;
    assert_eq!(response.location(), location);
    assert!(response.set_cookie("theme").is_some_and(|set| set.starts_with(cookie)));
}

#[tokio::test]
async fn other_content_types_are_rejected() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let request = TestRequest::json("POST", "/forms/agents", &json!({})).header("cookie", &cookie);
    assert_eq!(server.send(request).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
