//! The editor of a deployed agent: presets, hidden fields, and trying one message.

use super::editors::{connection, create};
use super::real_services::RealServer;
use domain::url::percent_encode;

/// A form as the page posts it: with the fields that its modes hide.
fn form(connection: &str, parts: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("name", "Desk"),
        ("connection_id", connection),
        ("http[purpose]", "Helps."),
        ("http[begins]", "user"),
        ("http[request][method]", "POST"),
        ("http[request][path]", "/chat"),
        ("http[request][body]", r#"{"m": "{{messages}}"}"#),
        ("http[session][mode]", "none"),
        ("http[session][id][from]", "body"),
        ("http[session][id][at]", "/left/over"),
        ("http[session][start][path]", "/left"),
        ("http[session][greeting]", "/left"),
        ("http[session][end][path]", "/left"),
        ("http[response][format]", "json"),
        ("http[response][text]", "/reply"),
        ("http[response][stop]", "[DONE]"),
        ("http[tools]", "none"),
        ("http[response][tool_calls][list]", "not a pointer"),
    ];
    for (name, value) in parts {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

async fn endpoint(server: &RealServer, cookie: &str) -> String {
    let body = "name=Endpoint&kind=http_agent&base_url=https://agent.example.org";
    let page = connection(server, cookie, body).await;
    page.rsplit('/').next().expect("an id").to_owned()
}

#[tokio::test]
async fn input_of_hidden_fields_is_ignored_when_saved_and_kept_when_rejected() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let endpoint = endpoint(&server, &ada).await;
    let page = create(&server, &ada, "/forms/agents", &form(&endpoint, &[])).await;
    let saved = server.page(&ada, &page).await;
    assert!(saved.contains("value=\"Desk\"") && !saved.contains("/left"), "{saved}");

    let invalid = form(&endpoint, &[("name", ""), ("revision", "1")]);
    let rejected = server.post(&ada, &page, &format!("/forms{page}"), &invalid).await;
    let shown = server.page(&ada, rejected.location()).await;
    assert!(shown.contains("1 problem to fix"), "only the name is wrong");
    assert!(shown.contains("value=\"/left/over\"") && shown.contains("not a pointer"));
    // A field of the chosen mode is checked.
    let visible = form(&endpoint, &[("http[tools]", "in_response"), ("revision", "1")]);
    let rejected = server.post(&ada, &page, &format!("/forms{page}"), &visible).await;
    let shown = server.page(&ada, rejected.location()).await;
    assert!(shown.contains("must be a JSON Pointer"), "{shown}");
}

#[tokio::test]
async fn preset_fills_the_form() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let shown = server.page(&ada, "/agents/new?deployed=retell_chat").await;
    for text in [
        "value=\"/create-chat-completion\"",
        "YOUR_AGENT_ID",
        "value=\"/messages/*[role=agent]/content\"",
        "https://api.retellai.com",
    ] {
        assert!(shown.contains(text), "{text}");
    }
    for deployed in ["true", "", "unknown"] {
        let other = server.page(&ada, &format!("/agents/new?deployed={deployed}")).await;
        assert!(other.contains("value=\"/reply\"") && other.contains("deployed=n8n"));
    }
    let prompt = server.page(&ada, "/agents/new").await;
    assert!(prompt.contains("System prompt") && !prompt.contains("deployed=n8n"));
}

#[tokio::test]
async fn trial_shows_its_problem_and_keeps_the_input() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let endpoint = endpoint(&server, &ada).await;
    let page = "/agents/new?deployed=true";
    let try_it = async |parts: &[(&str, &str)]| {
        let posted = form(&endpoint, parts);
        let response = server.post(&ada, page, "/forms/agents/trial", &posted).await;
        server.page(&ada, response.location()).await
    };
    let blank = try_it(&[("trial_message", "")]).await;
    assert!(blank.contains("1 problem to fix") && blank.contains("href=\"#trial_message\""));
    let invalid = try_it(&[("name", ""), ("trial_message", "Hi")]).await;
    assert!(invalid.contains("1 problem to fix") && invalid.contains(">Hi</textarea>"));
}

#[tokio::test]
async fn click_on_a_value_sets_the_chosen_pointer_without_scripts() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let endpoint = endpoint(&server, &ada).await;
    let set = async |target: &str| {
        let posted = form(&endpoint, &[("pointer", "/a/0"), ("pointer_target", target)]);
        let page = "/agents/new?deployed=true";
        server.post(&ada, page, "/forms/agents/trial/pointer", &posted).await
    };
    let response = set("http.response.error").await;
    assert!(response.location().ends_with("#http-response-error"), "{}", response.location());
    let shown = server.page(&ada, response.location()).await;
    assert!(shown.contains("value=\"/a/0\"") && shown.contains("value=\"/reply\""));
    // A field that is no pointer is not changed.
    let response = set("http.purpose").await;
    let shown = server.page(&ada, response.location()).await;
    assert!(shown.contains(">Helps.</textarea>") || shown.contains("\nHelps.</textarea>"));
}
