//! The editors: two tabs at once, tests of what is typed, keys that are there.

use super::real::{Real, between};
use super::support::Ask;

/// The path of what a form made.
async fn made(real: &Real, cookie: &str, path: &str, body: &str) -> String {
    let told = real.post(cookie, "/", path, body).await;
    told.place().split('?').next().expect("a path").to_owned()
}

const SCENARIO: &str = "category=booking&conversation_flow[0][speaker]=user&\
                        conversation_flow[0][message]=Hello&name=";

/// Two tabs edit the same; the later one is refused, sees how, and wins.
async fn both_versions(real: &Real, ada: &str, page: &str, body: &str) {
    let form = format!("/forms{page}");
    let save = async |more: &str| real.post(ada, page, &form, &format!("{body}{more}")).await;
    assert_eq!(save("Theirs&revision=1").await.place(), format!("{page}?notice=saved"));
    let late = save("Mine&revision=1").await;
    let draft = late.place().to_owned();
    assert!(draft.starts_with(&format!("{page}?draft=")), "{draft}");
    let shown = real.page(ada, &draft).await;
    assert!(shown.contains("value=\"Mine\""), "what was typed stays");
    let conflict = between(&shown, "class=\"warning conflict\"", "</div>");
    assert!(conflict.contains(&format!("href=\"{page}\"")), "{conflict}");
    let on_top = "name=\"revision\" value=\"2\"";
    assert!(
        conflict.contains(on_top) && conflict.contains("Save mine as revision 3"),
        "{conflict}"
    );
    let words = conflict.replace("<!>", "");
    assert!(words.contains("The newest version differs from yours in: Name."), "{conflict}");
    assert!(real.page(ada, page).await.contains("value=\"Theirs\""));
    // As the browser sends it: the field of the form, then the button's.
    let won = save("Mine&revision=1&revision=2").await;
    assert_eq!(won.place(), format!("{page}?notice=saved"));
    let shown = real.page(ada, page).await;
    assert!(shown.contains("value=\"Mine\"") && !shown.contains("warning conflict"));
}

#[tokio::test]
async fn a_conflict_over_a_scenario_loses_neither_version() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    let page = made(&real, &ada, "/forms/scenarios", &format!("{SCENARIO}First")).await;
    both_versions(&real, &ada, &page, SCENARIO).await;
}

#[tokio::test]
async fn a_conflict_over_an_agent_loses_neither_version() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    let connection = connection(&real, &ada, "name=Demo&kind=demo").await;
    let id = connection.rsplit('/').next().expect("an id").to_owned();
    let body = format!("system_prompt=Help&model=m&connection_id={id}&name=");
    let page = made(&real, &ada, "/forms/agents", &format!("{body}First")).await;
    both_versions(&real, &ada, &page, &body).await;
}

/// A connection, and the path of its page.
async fn connection(real: &Real, ada: &str, body: &str) -> String {
    made(real, ada, "/forms/connections", body).await;
    let list = real.told(Ask::get("/api/v1/connections").header("cookie", ada)).await.json();
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    format!("/settings/connections/{id}")
}

fn form_of(page: &str) -> String {
    page.replace("/settings/", "/forms/")
}

const OURS: &str = "name=Ours&kind=openai&base_url=https%3A%2F%2Fone.example%2Fv1";

#[tokio::test]
async fn a_conflict_over_a_connection_loses_neither_version() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    let page = connection(&real, &ada, &format!("{OURS}&api_key=sk-1234567890")).await;
    let stands = async || {
        let shown = real.page(&ada, &page).await;
        between(&shown, "name=\"based_on\" value=\"", "\"").to_owned()
    };
    let first = stands().await;
    let save = async |name: &str, more: &str| {
        let body = format!("name={name}&kind=openai&base_url=https%3A%2F%2Fone.example%2Fv1{more}");
        real.post(&ada, &page, &form_of(&page), &body).await
    };
    real.clock.forward(60);
    let saved = save("Theirs", &format!("&based_on={first}")).await;
    assert_eq!(saved.place(), format!("{page}?notice=saved"));
    let late = save("Mine", &format!("&based_on={first}")).await;
    let shown = real.page(&ada, late.place()).await;
    assert!(shown.contains("value=\"Mine\""), "{shown}");
    let now = stands().await;
    assert_ne!(now, first);
    let conflict = between(&shown, "class=\"warning conflict\"", "</div>");
    assert!(conflict.contains(&format!("name=\"based_on\" value=\"{now}\"")), "{conflict}");
    let won = save("Mine", &format!("&based_on={first}&based_on={now}")).await;
    assert_eq!(won.place(), format!("{page}?notice=saved"));
    assert!(real.page(&ada, &page).await.contains("value=\"Mine\""));
}

#[tokio::test]
async fn a_test_takes_what_stands_in_the_form_and_keeps_it() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    let page = connection(&real, &ada, &format!("{OURS}&api_key=sk-1234567890")).await;
    let test = async |body: &str| {
        let told = real.post(&ada, &page, &format!("{}/test", form_of(&page)), body).await;
        real.page(&ada, told.place()).await
    };
    let typed = "name=Renamed&kind=openai&base_url=https%3A%2F%2Ftwo.example%2Fv1&api_key=";
    let shown = test(&format!("{typed}&model=gpt")).await;
    let found = "https://two.example/v1 with Some(\"sk-1234567890\") for Some(\"gpt\")";
    assert!(shown.contains(found), "{shown}");
    assert!(shown.contains("Tested as it stands in the form; it is not saved."), "{shown}");
    for kept in ["value=\"Renamed\"", "value=\"https://two.example/v1\"", "value=\"gpt\""] {
        assert!(shown.contains(kept), "{kept} in {shown}");
    }
    assert!(real.page(&ada, &page).await.contains("value=\"Ours\""), "nothing is saved");

    // Another key is used for the test, and not kept anywhere.
    let shown = test(&format!("{typed}sk-0987654321&model=gpt")).await;
    assert!(shown.contains("with Some(\"sk-0987654321\")"), "{shown}");
    assert!(shown.contains("Type the key in again before you save."), "{shown}");
    assert!(!shown.contains("value=\"sk-"), "{shown}");

    // As it is stored, there is nothing to say of saving.
    let shown = test(&format!("{OURS}&api_key=&model=gpt")).await;
    assert!(shown.contains("https://one.example/v1 with Some(\"sk-1234567890\")"), "{shown}");
    assert!(!shown.contains("it is not saved"), "{shown}");

    // What may not be called is not called for a test either.
    let shown = test("name=Renamed&kind=openai&base_url=http%3A%2F%2F127.0.0.1&model=gpt").await;
    assert!(shown.contains("is an address of a private network") && !shown.contains("with Some"));
    assert!(shown.contains("value=\"Renamed\""), "{shown}");
}

#[tokio::test]
async fn a_short_key_is_a_key_and_a_key_can_be_removed() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    let page = connection(&real, &ada, &format!("{OURS}&api_key=short")).await;
    let told = async || {
        let shown = real.told(Ask::get("/api/v1/connections").header("cookie", &ada)).await.json();
        shown["items"][0]["has_key"].clone()
    };
    assert_eq!(told().await, true);
    let shown = real.page(&ada, &page).await;
    assert!(shown.contains("Stored. Leave empty to keep it."), "{shown}");
    assert!(!real.page(&ada, "/settings/connections").await.contains("<code>none</code>"));
    let save =
        async |more: &str| real.post(&ada, &page, &form_of(&page), &format!("{OURS}{more}")).await;
    let both = save("&api_key=other&remove_key=true").await;
    assert!(real.page(&ada, both.place()).await.contains("or leave the key empty"));
    assert_eq!(told().await, true);
    save("&api_key=&remove_key=false").await;
    assert_eq!(told().await, true);
    save("&api_key=&remove_key=false&remove_key=true").await;
    assert_eq!(told().await, false);
    let shown = real.page(&ada, &page).await;
    assert!(shown.contains("None is stored.") && !shown.contains("remove_key"), "{shown}");
}

#[tokio::test]
async fn pages_of_somebody_are_kept_by_no_cache() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    for place in ["/", "/agents", "/settings/tokens", "/api/v1/agents", "/no/such/page"] {
        let told = real.told(Ask::get(place).header("cookie", &ada)).await;
        assert_eq!(told.header("cache-control"), "private, no-store", "{place}");
    }
    let told = real.told(Ask::get("/sign-in")).await;
    assert_eq!(told.header("cache-control"), "private, no-cache");
}
