//! The chat with an agent: the page posts the conversation, and shows it with the answer.

use super::fake_services::id;
use super::support::{TestRequest, TestResponse, TestServer};
use domain::services::SavedForm;
use domain::url::percent_encode;
use domain::{Speaker, Timestamp, Turn};

async fn send(server: &TestServer, path: &str, turns: &str, message: &str) -> TestResponse {
    let cookie = server.cookie().await;
    let body = format!("conversation={}&message={message}", percent_encode(turns));
    server.send(TestRequest::form(path, &body).header("cookie", &cookie)).await
}

fn last_form(server: &TestServer) -> SavedForm {
    server.fake.saved_forms.lock().last().expect("a form").clone()
}

fn conversation(form: &SavedForm) -> Vec<Turn> {
    serde_json::from_str(&form.draft.text("conversation")).expect("turns")
}

#[tokio::test]
async fn answer_is_added_to_the_posted_conversation() {
    let server = TestServer::new();
    let path = format!("/forms/agents/{}/chat", id(10));
    let response = send(&server, &path, "", "Hi").await;
    let page = format!("/agents/{}/chat?saved_form=", id(10));
    assert!(response.location().starts_with(&page), "{}", response.location());
    let form = last_form(&server);
    assert_eq!(conversation(&form).len(), 2);
    let response = send(&server, &path, &form.draft.text("conversation"), "More").await;
    assert!(response.location().starts_with(&page));
    let turns = conversation(&last_form(&server));
    let texts: Vec<_> = turns.iter().map(|turn| turn.message.as_str()).collect();
    assert_eq!(texts, ["Hi", "Hello.", "More", "Hello."]);
}

#[tokio::test]
async fn failures_are_shown_and_keep_conversation_and_message() {
    let server = TestServer::new();
    let path = format!("/forms/agents/{}/chat", id(10));
    send(&server, &path, "", "fail").await;
    let form = last_form(&server);
    assert_eq!(form.detail, "The provider answered 400.");
    assert!(form.draft.flag("awaits_answer", false));
    for (turns, message, words) in [
        ("", "", "message: must not be empty"),
        ("{", "Hi", "Start over"),
        ("[7]", "Hi", "Start over"),
        (&"x".repeat(1024 * 1024 + 1), "Hi", "too long"),
    ] {
        let response = send(&server, &path, turns, message).await;
        assert!(response.location().contains("/chat?saved_form="), "{}", response.location());
        let form = last_form(&server);
        assert!(form.detail.contains(words), "{}", form.detail);
        assert_eq!(form.draft.text("message"), message);
    }
    let foreign = send(&server, &format!("/forms/agents/{}/chat", id(11)), "", "Hi").await;
    assert_eq!(foreign.status, 404);
}

#[tokio::test]
async fn chat_of_an_unknown_agent_becomes_no_scenario() {
    let server = TestServer::new();
    let turns = [Turn::text(Speaker::User, "Hi", Timestamp(0))];
    let turns = serde_json::to_string(&turns).expect("JSON");
    let path = format!("/forms/agents/{}/chat/scenario", id(11));
    let response = send(&server, &path, &turns, "").await;
    assert_eq!(response.status, 404);
    assert!(server.fake.saved_forms.lock().is_empty());
}
