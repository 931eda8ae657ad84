//! A form that is sent after its session ended: signing in goes on with what
//! was typed.

use super::real::{Real, between};
use super::support::{Ask, Told};

const TYPED: &str = "name=Late+%3Cbus%3E&category=booking&conversation_flow[0][speaker]=user&\
                     conversation_flow[0][message]=Hello%0D%0A%22there%22&idempotency_key=k";
const PAGE: &str = "/scenarios/new?notice=saved";

/// Text as it stands in a value of a posted form.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&#39;", "'").replace("&#x27;", "'").replace("&amp;", "&")
}

/// What the page to sign in on carries.
fn carried(told: &Told) -> String {
    assert_eq!(told.status, 401, "{}", told.text);
    assert!(told.text.contains("Your session ended; sign in to go on"), "{}", told.text);
    unescaped(between(&told.text, "name=\"carried\" value=\"", "\""))
}

/// Sends the form of that page.
async fn sign_in(real: &Real, name: &str, password: &str, carried: &str) -> Told {
    let form =
        format!("email={name}%40example.com&password={password}&carried={}", encoded(carried));
    real.told(Ask::form("/forms/sign-in", &form)).await
}

const RIGHT: &str = "correct+horse+battery";

#[tokio::test]
async fn what_was_typed_is_there_after_signing_in() {
    let real = Real::new().await;
    let (_, ben) = (real.sign_up("ada").await, real.sign_up("ben").await);
    let ended = real.post("", PAGE, "/forms/scenarios", TYPED).await;
    let wrong = sign_in(&real, "ada", "wrong+wrong+wrong", &carried(&ended)).await;
    assert_eq!(wrong.cookie("rehearsal_session"), None);
    assert!(wrong.text.contains("value=\"ada@example.com\""), "{}", wrong.text);
    assert!(!wrong.text.contains("wrong wrong"), "{}", wrong.text);
    let told = sign_in(&real, "ada", RIGHT, &carried(&wrong)).await;
    let place = told.place().to_owned();
    assert!(place.starts_with("/scenarios/new?draft="), "{place}");
    let ada = told.cookie("rehearsal_session").expect("a cookie");
    let page = real.page(&ada, &place).await;
    assert!(
        page.contains("value=\"Late &lt;bus>\"") || page.contains("value=\"Late &lt;bus&gt;\"")
    );
    assert!(page.contains("Hello\n\"there\""), "{page}");
    assert!(page.contains("Nothing is saved yet"), "{page}");
    assert!(!real.page(&ben, &place).await.contains("Late"), "it is hers alone");
}

#[tokio::test]
async fn a_button_of_a_list_is_carried_too() {
    let real = Real::new().await;
    real.sign_up("ada").await;
    let pressed = format!("{TYPED}&_action=add:conversation_flow");
    let ended = real.post("", PAGE, "/forms/scenarios", &pressed).await;
    let told = sign_in(&real, "ada", RIGHT, &carried(&ended)).await;
    let ada = told.cookie("rehearsal_session").expect("a cookie");
    assert!(real.page(&ada, told.place()).await.contains("conversation_flow[1][message]"));
}

#[tokio::test]
async fn keys_are_not_carried_and_that_is_said() {
    let real = Real::new().await;
    real.sign_up("ada").await;
    let form = "name=C&kind=openai&base_url=https%3A%2F%2Fx.example&api_key=sk-1234567890";
    let ended = real.post("", "/settings/connections/new", "/forms/connections", form).await;
    assert!(!ended.text.contains("sk-1234567890"), "{}", ended.text);
    let told = sign_in(&real, "ada", RIGHT, &carried(&ended)).await;
    let ada = told.cookie("rehearsal_session").expect("a cookie");
    let page = real.page(&ada, told.place()).await;
    assert!(page.contains("value=\"https://x.example\""), "{page}");
    assert!(page.contains("Keys are not kept: type it in again."), "{page}");
}

#[tokio::test]
async fn a_button_with_nothing_typed_is_said_not_to_have_worked() {
    let real = Real::new().await;
    let ada = real.sign_up("ada").await;
    let made = real.post(&ada, PAGE, "/forms/scenarios", TYPED).await;
    let page = made.place().split('?').next().expect("a path").to_owned();
    let ended = real.post("", &page, &format!("/forms{page}/delete"), "").await;
    let told = sign_in(&real, "ada", RIGHT, &carried(&ended)).await;
    assert!(told.place().starts_with(&format!("{page}?draft=")), "{}", told.place());
    let ada = told.cookie("rehearsal_session").expect("a cookie");
    assert!(real.page(&ada, told.place()).await.contains("Nothing was done"));
}

#[tokio::test]
async fn it_leads_nowhere_else() {
    let real = Real::new().await;
    real.sign_up("ada").await;
    let hostile = r#"{"draft":{"name":"x"},"back":"//evil.example","secret":false}"#;
    let told = sign_in(&real, "ada", RIGHT, hostile).await;
    assert!(told.place().starts_with("/?draft="), "{}", told.place());
    for damaged in ["", "{", "[]", "{\"draft\":7}"] {
        assert_eq!(sign_in(&real, "ada", RIGHT, damaged).await.place(), "/");
    }
}
