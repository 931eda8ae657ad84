//! Editors: edit conflicts, tests of unsaved input, stored keys.

use super::real_services::{RealServer, between};
use super::support::TestRequest;

/// Creates an object and returns the path of its page.
pub(super) async fn create(server: &RealServer, cookie: &str, path: &str, body: &str) -> String {
    let response = server.post(cookie, "/", path, body).await;
    response.location().split('?').next().expect("a path").to_owned()
}

const SCENARIO: &str = "category=booking&conversation_flow[0][speaker]=user&\
                        conversation_flow[0][message]=Hello&name=";

/// Two tabs edit the same object. The later one is rejected, shows the difference, and
/// then overwrites the other version.
async fn assert_edit_conflict(server: &RealServer, ada: &str, page: &str, body: &str) {
    let form = format!("/forms{page}");
    let save = async |more: &str| server.post(ada, page, &form, &format!("{body}{more}")).await;
    assert_eq!(save("Theirs&revision=1").await.location(), format!("{page}?notice=saved"));
    let late = save("Mine&revision=1").await;
    let draft = late.location().to_owned();
    assert!(draft.starts_with(&format!("{page}?saved_form=")), "{draft}");
    let shown = server.page(ada, &draft).await;
    assert!(shown.contains("value=\"Mine\""), "the input is kept");
    let conflict = between(&shown, "class=\"warning conflict\"", "</div>");
    assert!(conflict.contains(&format!("href=\"{page}\"")), "{conflict}");
    let newest = "name=\"revision\" value=\"2\"";
    assert!(
        conflict.contains(newest) && conflict.contains("Save my version as revision 3"),
        "{conflict}"
    );
    let text = conflict.replace("<!>", "");
    assert!(text.contains("The newest version differs from yours in: Name."), "{conflict}");
    assert!(server.page(ada, page).await.contains("value=\"Theirs\""));
    // As the browser sends it: the field of the form, then the button's.
    let won = save("Mine&revision=1&revision=2").await;
    assert_eq!(won.location(), format!("{page}?notice=saved"));
    let shown = server.page(ada, page).await;
    assert!(shown.contains("value=\"Mine\"") && !shown.contains("warning conflict"));
}

#[tokio::test]
async fn scenario_edit_conflict_loses_neither_version() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let page = create(&server, &ada, "/forms/scenarios", &format!("{SCENARIO}First")).await;
    assert_edit_conflict(&server, &ada, &page, SCENARIO).await;
}

#[tokio::test]
async fn agent_edit_conflict_loses_neither_version() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let connection = connection(&server, &ada, "name=Demo&kind=demo").await;
    let id = connection.rsplit('/').next().expect("an id").to_owned();
    let body = format!("system_prompt=Help&model=m&connection_id={id}&name=");
    let page = create(&server, &ada, "/forms/agents", &format!("{body}First")).await;
    assert_edit_conflict(&server, &ada, &page, &body).await;
}

/// As the page of a new scenario posts it: the blank first turn of the hidden script
/// included.
const SIMULATED: &str = "name=Move&category=booking&mode=simulated&goal=Move+an+appointment&\
                         conversation_flow[0][speaker]=user&conversation_flow[0][message]=";

#[tokio::test]
async fn new_simulated_scenario_is_saved() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let saved = server.post(&ada, "/scenarios/new", "/forms/scenarios", SIMULATED).await;
    assert!(saved.location().ends_with("?notice=saved"), "{}", saved.location());
    let shown = server.page(&ada, saved.location()).await;
    assert!(shown.contains("Move an appointment"), "{shown}");
}

#[tokio::test]
async fn impossible_tool_names_and_results_are_shown_at_their_fields() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let mistakes = "&required_tools=find+slot&success_criteria[must_call_tools]=a.b&\
                    tool_mocks[0][tool]=book+it&tool_mocks[0][result]=%7B%22free%22%3A&\
                    tool_mocks[1][tool]=book_it&tool_mocks[1][result]=Booked";
    let body = format!("{SIMULATED}{mistakes}");
    let refused = server.post(&ada, "/scenarios/new", "/forms/scenarios", &body).await;
    let shown = server.page(&ada, refused.location()).await;
    assert!(shown.contains("5 problems to fix"), "{shown}");
    for field in [
        "required_tools",
        "success_criteria-must_call_tools",
        "tool_mocks-0-tool",
        "tool_mocks-0-result",
        "tool_mocks-1-result",
    ] {
        assert!(shown.contains(&format!("href=\"#{field}\"")), "{field} in {shown}");
        assert!(shown.contains(&format!("id=\"{field}-problem\"")), "{field} in {shown}");
    }
    // A text in quotes is JSON.
    let body =
        format!("{SIMULATED}&tool_mocks[0][tool]=book_it&tool_mocks[0][result]=%22Booked%22");
    let saved = server.post(&ada, "/scenarios/new", "/forms/scenarios", &body).await;
    let shown = server.page(&ada, saved.location()).await;
    assert!(between(&shown, "id=\"tool_mocks-0-result\"", "</textarea>").contains("\"Booked\""));
    let page = saved.location().split('?').next().expect("a path").to_owned();
    let body = format!("{body}&revision=1");
    let again = server.post(&ada, &page, &format!("/forms{page}"), &body).await;
    assert_eq!(again.location(), format!("{page}?notice=saved"));
}

/// Creates an agent on the demo model and returns its id.
pub(super) async fn demo_agent(server: &RealServer, cookie: &str) -> String {
    let connection = connection(server, cookie, "name=Demo&kind=demo").await;
    let id = connection.rsplit('/').next().expect("an id");
    let agent = format!("name=Desk&system_prompt=Help&model=m&connection_id={id}");
    let page = create(server, cookie, "/forms/agents", &agent).await;
    page.rsplit('/').next().expect("an id").to_owned()
}

/// Without WASM, the number on the button is that of the last check.
#[tokio::test]
async fn button_starts_the_number_of_runs_that_it_says() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let agent = demo_agent(&server, &ada).await;
    let scenario = create(&server, &ada, "/forms/scenarios", &format!("{SCENARIO}First")).await;
    let scenario = scenario.rsplit('/').next().expect("an id").to_owned();
    let page = format!("/suites/new?agent={agent}&scenario={scenario}");
    let expected = async |page: &str| {
        let shown = server.page(&ada, page).await;
        let number = between(&shown, "name=\"expected_runs\" value=\"", "\"").to_owned();
        assert!(shown.contains(&format!("Run {number} conversation")), "{shown}");
        number
    };
    assert_eq!(expected(&page).await, "1");
    let start = async |repeats: u32, expected: &str| {
        let body = format!(
            "agent_id={agent}&scenario_ids[]={scenario}&repeats={repeats}&expected_runs={expected}"
        );
        server.post(&ada, &page, "/forms/suites", &body).await.location().to_owned()
    };
    let refused = start(3, "1").await;
    assert!(refused.contains("saved_form="), "{refused}");
    let shown = server.page(&ada, &refused).await;
    assert!(shown.contains("This would run 3 conversations instead of 1"), "{shown}");
    assert_eq!(expected(&refused).await, "3", "the new page says what its button starts");
    assert!(start(3, "3").await.starts_with("/suites/0"));
}

/// Creates a connection and returns the path of its page.
pub(super) async fn connection(server: &RealServer, ada: &str, body: &str) -> String {
    create(server, ada, "/forms/connections", body).await;
    let list =
        server.send(TestRequest::get("/api/v1/connections").header("cookie", ada)).await.json();
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    format!("/settings/connections/{id}")
}

fn form_of(page: &str) -> String {
    page.replace("/settings/", "/forms/")
}

const OURS: &str = "name=Ours&kind=openai&base_url=https%3A%2F%2Fone.example%2Fv1";

#[tokio::test]
async fn connection_edit_conflict_loses_neither_version() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let page = connection(&server, &ada, &format!("{OURS}&api_key=sk-1234567890")).await;
    let revision = async || {
        let shown = server.page(&ada, &page).await;
        between(&shown, "name=\"based_on\" value=\"", "\"").to_owned()
    };
    let first = revision().await;
    let save = async |name: &str, more: &str| {
        let body = format!("name={name}&kind=openai&base_url=https%3A%2F%2Fone.example%2Fv1{more}");
        server.post(&ada, &page, &form_of(&page), &body).await
    };
    server.clock.advance(60);
    let saved = save("Theirs", &format!("&based_on={first}")).await;
    assert_eq!(saved.location(), format!("{page}?notice=saved"));
    let late = save("Mine", &format!("&based_on={first}")).await;
    let shown = server.page(&ada, late.location()).await;
    assert!(shown.contains("value=\"Mine\""), "{shown}");
    let now = revision().await;
    assert_ne!(now, first);
    let conflict = between(&shown, "class=\"warning conflict\"", "</div>");
    assert!(conflict.contains(&format!("name=\"based_on\" value=\"{now}\"")), "{conflict}");
    let won = save("Mine", &format!("&based_on={first}&based_on={now}")).await;
    assert_eq!(won.location(), format!("{page}?notice=saved"));
    assert!(server.page(&ada, &page).await.contains("value=\"Mine\""));
}

#[tokio::test]
async fn connection_test_uses_and_keeps_unsaved_input() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let page = connection(&server, &ada, &format!("{OURS}&api_key=sk-1234567890")).await;
    let test = async |body: &str| {
        let response = server.post(&ada, &page, &format!("{}/test", form_of(&page)), body).await;
        server.page(&ada, response.location()).await
    };
    let typed = "name=Renamed&kind=openai&base_url=https%3A%2F%2Ftwo.example%2Fv1&api_key=";
    // The stored key is not sent to another address.
    let shown = test(&format!("{typed}&model=gpt")).await;
    assert!(shown.contains("the stored key is not sent to another address"), "{shown}");
    assert!(!shown.contains("with Some") && shown.contains("value=\"Renamed\""), "{shown}");

    let shown = test(&format!("{typed}sk-1234567890&model=gpt")).await;
    let found = "https://two.example/v1 with Some(\"sk-1234567890\") for Some(\"gpt\")";
    assert!(shown.contains(found), "{shown}");
    assert!(shown.contains("This tested the unsaved values of the form."), "{shown}");
    for kept in ["value=\"Renamed\"", "value=\"https://two.example/v1\"", "value=\"gpt\""] {
        assert!(shown.contains(kept), "{kept} in {shown}");
    }
    assert!(server.page(&ada, &page).await.contains("value=\"Ours\""), "nothing is saved");

    // A new key is used for the test, and not stored anywhere.
    let shown = test(&format!("{typed}sk-0987654321&model=gpt")).await;
    assert!(shown.contains("with Some(\"sk-0987654321\")"), "{shown}");
    assert!(shown.contains("Enter the key again before you save."), "{shown}");
    assert!(!shown.contains("value=\"sk-"), "{shown}");

    // Without changes there is no hint about saving.
    let shown = test(&format!("{OURS}&api_key=&model=gpt")).await;
    assert!(shown.contains("https://one.example/v1 with Some(\"sk-1234567890\")"), "{shown}");
    assert!(!shown.contains("unsaved values"), "{shown}");

    // A forbidden address is not called for a test either.
    let shown = test("name=Renamed&kind=openai&base_url=http%3A%2F%2F127.0.0.1&model=gpt").await;
    assert!(shown.contains("is an address of a private network") && !shown.contains("with Some"));
    assert!(shown.contains("value=\"Renamed\""), "{shown}");
}

#[tokio::test]
async fn secret_header_is_shown_masked_and_not_kept_in_a_rejected_form() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let headers = "&headers=X-Team%3A+support%0AX-Token%3A+very-secret";
    let page = connection(&server, &ada, &format!("{OURS}{headers}")).await;
    let shown = server.page(&ada, &page).await;
    assert!(shown.contains("X-Team: support") && shown.contains("X-Token: ••••••••"), "{shown}");
    assert!(!shown.contains("very-secret"), "{shown}");
    let other = OURS.replace("Ours", "");
    let rejected = server.post(&ada, &page, &form_of(&page), &format!("{other}{headers}")).await;
    let shown = server.page(&ada, rejected.location()).await;
    assert!(shown.contains("X-Team: support") && !shown.contains("very-secret"), "{shown}");
    let masked = "&headers=X-Token%3A+%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2";
    let saved = server.post(&ada, &page, &form_of(&page), &format!("{OURS}{masked}")).await;
    assert_eq!(saved.location(), format!("{page}?notice=saved"));
}

#[tokio::test]
async fn short_key_is_stored_and_keys_can_be_removed() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let page = connection(&server, &ada, &format!("{OURS}&api_key=short")).await;
    let has_key = async || {
        let shown = server
            .send(TestRequest::get("/api/v1/connections").header("cookie", &ada))
            .await
            .json();
        shown["items"][0]["has_key"].clone()
    };
    assert_eq!(has_key().await, true);
    let shown = server.page(&ada, &page).await;
    assert!(shown.contains("A key is stored. Leave empty to keep it."), "{shown}");
    assert!(!server.page(&ada, "/settings/connections").await.contains("<code>none</code>"));
    let save = async |more: &str| {
        server.post(&ada, &page, &form_of(&page), &format!("{OURS}{more}")).await
    };
    let both = save("&api_key=other&remove_key=true").await;
    assert!(
        server.page(&ada, both.location()).await.contains("must not be combined with a new key")
    );
    assert_eq!(has_key().await, true);
    save("&api_key=&remove_key=false").await;
    assert_eq!(has_key().await, true);
    save("&api_key=&remove_key=false&remove_key=true").await;
    assert_eq!(has_key().await, false);
    let shown = server.page(&ada, &page).await;
    assert!(shown.contains("No key is stored.") && !shown.contains("remove_key"), "{shown}");
}

#[tokio::test]
async fn responses_to_signed_in_users_are_not_cached() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    for location in ["/", "/agents", "/settings/tokens", "/api/v1/agents", "/no/such/page"] {
        let response = server.send(TestRequest::get(location).header("cookie", &ada)).await;
        assert_eq!(response.header("cache-control"), "private, no-store", "{location}");
    }
    let response = server.send(TestRequest::get("/sign-in")).await;
    assert_eq!(response.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn name_cannot_end_the_title_of_its_page() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let name =
        "%3C%2Ftitle%3E%3Cmeta+http-equiv%3Drefresh+content%3D0%3Burl%3D%2F%2Fevil.example%3E";
    let page = connection(&server, &ada, &format!("kind=demo&name={name}%26amp%3B")).await;
    let shown = server.page(&ada, &page).await;
    let title = between(&shown, "<title>", "</title>");
    assert_eq!(
        title,
        "&lt;/title&gt;&lt;meta http-equiv=refresh content=0;url=//evil.example&gt;&amp;amp; · Rehearsal"
    );
    assert!(!shown.contains("<meta http-equiv"), "{shown}");
}
