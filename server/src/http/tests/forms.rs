//! Forms without script: redirects, what is kept of what was typed, and where
//! they may lead.

use super::fake_services::id;
use super::support::{Ask, Server, Told};
use axum::http::StatusCode;
use rstest::rstest;
use serde_json::json;

async fn post(server: &Server, path: &str, body: &str) -> Told {
    let cookie = server.cookie().await;
    server.told(Ask::form(path, body).header("cookie", &cookie)).await
}

#[tokio::test]
async fn nobody_is_shown_a_page_to_sign_in_on_and_sent_back() {
    let server = Server::new();
    for (referer, back) in [
        ("http://here:3000/agents/new?a=b", "/agents/new?a=b"),
        ("http://evil.example/x", "/agents/new"),
    ] {
        let told =
            server.told(Ask::form("/forms/agents", "name=A").header("referer", referer)).await;
        assert_eq!(told.status, StatusCode::UNAUTHORIZED);
        assert_eq!(told.header("cache-control"), "private, no-store");
        let carried = format!(r#"{{"draft":{{"name":"A"}},"back":"{back}","secret":false}}"#);
        let field = format!("name=\"carried\" value=\"{}\"", carried.replace('"', "&quot;"));
        assert!(told.text.contains(&field), "{field} in {}", told.text);
    }
    assert!(server.fake.kept.lock().is_empty(), "nothing of a stranger's is stored");
}

#[tokio::test]
async fn a_saved_agent_is_shown() {
    let server = Server::new();
    let body = format!("name=A&system_prompt=Hi&model=m&connection_id={}", id(3));
    let told = post(&server, "/forms/agents", &body).await;
    assert_eq!(told.place(), format!("/agents/{}?notice=saved", id(10)));
    let told = post(&server, "/forms/agents", &format!("{body}&next=/suites/new")).await;
    assert_eq!(told.place(), "/suites/new?notice=saved");
    let told = post(&server, "/forms/agents", &format!("{body}&next=//evil.example")).await;
    assert_eq!(told.place(), format!("/agents/{}?notice=saved", id(10)));
}

#[tokio::test]
async fn a_refused_form_comes_back_with_everything_typed() {
    let server = Server::new();
    let cookie = server.cookie().await;
    let body = "name=&system_prompt=Long+words&tools[0][name]=a+b&tools[3][name]=c";
    let ask = Ask::form("/forms/agents", body).header("cookie", &cookie);
    let told = server.told(ask.header("referer", "http://here:3000/agents/new?draft=old")).await;
    assert_eq!(told.place(), format!("/agents/new?draft={}", id(900)));
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(kept.draft.text("system_prompt"), "Long words");
    assert_eq!(kept.draft.text("tools[1].name"), "c");
    let paths: Vec<_> = kept.problems.iter().map(|p| p.path.as_str()).collect();
    for path in ["name", "model", "tools[0].name"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[tokio::test]
async fn a_stale_revision_comes_back_too() {
    let server = Server::new();
    let path = format!("/forms/agents/{}", id(10));
    let body = format!("revision=7&name=A&system_prompt=Hi&model=m&connection_id={}", id(3));
    let told = post(&server, &path, &body).await;
    assert_eq!(told.place(), format!("/agents/{}?draft={}", id(10), id(900)));
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(kept.detail, "There is a newer revision.");
    assert_eq!(kept.draft.text("revision"), "7");
}

#[tokio::test]
async fn list_buttons_change_the_form_and_check_nothing() {
    let server = Server::new();
    let body = "name=&conversation_flow[0][message]=one&conversation_flow[1][message]=two\
                &_action=up:conversation_flow:1";
    let told = post(&server, "/forms/scenarios", body).await;
    assert_eq!(told.place(), format!("/scenarios/new?draft={}#conversation_flow", id(900)));
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(kept.draft.text("conversation_flow[0].message"), "two");
    assert_eq!(kept.draft.at("_action"), None);
    assert!(kept.problems.is_empty());
}

#[tokio::test]
async fn keys_and_passwords_are_not_kept() {
    let server = Server::new();
    let told = post(&server, "/forms/connections", "name=C&api_key=sk-1&base_url=http://x").await;
    assert!(told.place().starts_with("/settings/connections/new?draft="));
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(kept.draft.0, json!({"name": "C", "base_url": "http://x"}));
}

#[tokio::test]
async fn a_refused_delete_says_why() {
    let server = Server::new();
    let told = post(&server, &format!("/forms/connections/{}/delete", id(3)), "").await;
    assert!(told.place().starts_with(&format!("/settings/connections/{}?draft=", id(3))));
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(
        (kept.detail.as_str(), kept.link.as_deref()),
        ("An agent uses it.", Some("/agents/1"))
    );
}

#[tokio::test]
async fn a_tested_connection_shows_what_came() {
    let server = Server::new();
    let told = post(&server, &format!("/forms/connections/{}/test", id(3)), "model=m").await;
    assert_eq!(told.place(), format!("/settings/connections/{}?tested={}", id(3), id(900)));
    assert_eq!(server.fake.kept.lock()[0].draft.text("message"), "Some(\"m\") answers");
}

#[tokio::test]
async fn a_blank_choice_of_models_is_none() {
    let server = Server::new();
    let body = format!(
        "judge[connection_id]={}&judge[model]=m&simulated_user[connection_id]=&simulated_user[model]=",
        id(3)
    );
    assert_eq!(
        post(&server, "/forms/settings", &body).await.place(),
        "/settings/models?notice=saved"
    );
    let settings = server.fake.settings.lock().take().expect("settings");
    assert!(settings.judge.is_some_and(|judge| judge.model == "m"));
    assert_eq!(settings.simulated_user, None);
}

#[tokio::test]
async fn a_new_token_waits_where_no_address_shows_it() {
    let server = Server::new();
    let told = post(&server, "/forms/tokens", "name=ci").await;
    assert_eq!(told.place(), format!("/settings/tokens?notice=token_created&draft={}", id(950)));
    assert_eq!(*server.fake.held.lock(), ["rhs_secret"]);
    assert!(server.fake.kept.lock().is_empty(), "nothing of it is stored");
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
async fn a_start_leads_to_its_suite() {
    let server = Server::new();
    let told = post(&server, "/forms/suites", &start("&idempotency_key=k&filter[category]=")).await;
    assert_eq!(told.place(), format!("/suites/{}", id(20)));
    let (request, keyed) = server.fake.starts.lock().remove(0);
    assert_eq!(request.scenario_ids.map(|ids| ids.len()), Some(2));
    assert_eq!((request.repeats, keyed.key.as_deref()), (2, Some("k")));
    assert_eq!(keyed.path, "/suites");
}

#[tokio::test]
async fn all_of_a_filter_can_be_started() {
    let server = Server::new();
    let body = format!("agent_id={}&all=true&filter[category]=booking&filter[q]=", id(10));
    post(&server, "/forms/suites", &body).await;
    let (request, _) = server.fake.starts.lock().remove(0);
    let filter = request.filter.expect("a filter");
    assert_eq!(filter.category, Some(domain::Category::Booking));
    assert_eq!((filter.q, request.scenario_ids), (None, None));
}

#[tokio::test]
async fn a_used_key_is_not_shown_again() {
    let server = Server::new();
    let told = post(&server, "/forms/suites", &start("&idempotency_key=reused&note=mine")).await;
    assert_eq!(told.place(), format!("/suites/new?draft={}", id(900)));
    let kept = server.fake.kept.lock().remove(0);
    assert_eq!(kept.link.as_deref(), Some("/suites/1"));
    assert_eq!(kept.draft.text("note"), "mine");
    assert_eq!(kept.draft.at("idempotency_key"), None);
}

#[tokio::test]
async fn what_no_correction_mends_is_a_page() {
    let server = Server::new();
    let told = post(&server, &format!("/forms/suites/{}/cancel", id(1)), "").await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
    assert!(told.header("content-type").starts_with("text/html"));
    let told = post(&server, "/forms/agents/7", "").await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
}

#[rstest]
#[case("theme=dark&next=/agents%3Fq=1", "/agents?q=1", "theme=dark;")]
#[case("theme=light", "/", "theme=light;")]
#[case("theme=%3Cscript%3E&next=https://evil.example", "/", "theme=system;")]
#[tokio::test]
async fn the_theme_is_a_cookie(#[case] body: &str, #[case] place: &str, #[case] cookie: &str) {
    let told = Server::new().told(Ask::form("/forms/theme", body)).await;
    assert_eq!(told.place(), place);
    assert!(told.set_cookie("theme").is_some_and(|set| set.starts_with(cookie)));
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let server = Server::new();
    let cookie = server.cookie().await;
    let ask = Ask::json("POST", "/forms/agents", &json!({})).header("cookie", &cookie);
    assert_eq!(server.told(ask).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
