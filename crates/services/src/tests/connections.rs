//! Connections and their keys.

use super::{agent, connection, fixture, paths, status, text};
use domain::services::{AgentService, ConnectionService, SettingsService};
use domain::{BreakerState, Draft, MASKED_VALUE, ModelChoice, Settings};
use serde_json::json;
use std::sync::atomic::Ordering;
use store::catalog::KeyEdit;

const URL: &str = "https://models.example.org/v1";

#[tokio::test]
async fn api_key_is_never_returned() {
    let fixture = fixture().await;
    let draft = connection("Mine", URL, "sk-1234567890");
    let made = fixture.catalog.create_connection(&fixture.anna, &draft).await.unwrap();
    assert_eq!(made.key_last4.as_deref(), Some("7890"));
    assert!(!text(&made).to_string().contains("123456"));
    let row = fixture.catalog.store.connection(fixture.anna.space_id, made.id).await;
    let stored = row.unwrap().unwrap().key_ciphertext.unwrap();
    assert!(!stored.windows(6).any(|part| part == b"123456"));
    let test = async |model: &str| {
        let model = Some(model.to_owned());
        fixture.catalog.test_connection(&fixture.anna, made.id, model).await.unwrap().message
    };
    assert_eq!(test(" gpt ").await, r#"Some("sk-1234567890") Some("gpt")"#);
}

#[tokio::test]
async fn test_without_model_uses_model_of_an_agent() {
    let fixture = fixture().await;
    let id = fixture.connect(&fixture.anna, "sk-1234567890").await;
    let test = async || {
        fixture.catalog.test_connection(&fixture.anna, id, Some(" ".into())).await.unwrap()
    };
    let tested = test().await;
    assert!(!tested.ok && tested.message.contains("Enter a model"), "{tested:?}");
    fixture.catalog.create_agent(&fixture.anna, &agent("Desk", id)).await.unwrap();
    assert_eq!(test().await.message, r#"Some("sk-1234567890") Some("m")"#);
}

#[tokio::test]
async fn empty_key_keeps_stored_key() {
    let fixture = fixture().await;
    let id = fixture.connect(&fixture.anna, "sk-1234567890").await;
    let draft = connection("Renamed", URL, "");
    let saved = fixture.catalog.update_connection(&fixture.anna, id, &draft).await.unwrap();
    assert_eq!((saved.name.as_str(), saved.key_last4.as_deref()), ("Renamed", Some("7890")));
    let tested =
        fixture.catalog.test_connection(&fixture.anna, id, Some("m".into())).await.unwrap();
    assert!(tested.message.contains("sk-1234567890"));
    assert_eq!(
        *fixture.provider_access.edited.lock(),
        [],
        "another name does not change the endpoint"
    );
    assert_eq!(*fixture.provider_access.saved.lock(), [id], "but saving ends the suspension");

    let draft = connection("Renamed", URL, "short");
    let saved = fixture.catalog.update_connection(&fixture.anna, id, &draft).await.unwrap();
    assert_eq!(saved.key_last4, None, "four of five characters would be too much");
    assert_eq!(*fixture.provider_access.edited.lock(), [id], "another key resets the connection");
    let moved = connection("Renamed", "https://models.example.org/v2", "sk-again");
    fixture.catalog.update_connection(&fixture.anna, id, &moved).await.unwrap();
    assert_eq!(*fixture.provider_access.edited.lock(), [id, id], "and of another address");
    assert_eq!(
        *fixture.provider_access.saved.lock(),
        [id],
        "a changed endpoint is not also reported as saved"
    );
    let demo = Draft(json!({"name": "Demo", "kind": "demo"}));
    fixture.catalog.update_connection(&fixture.anna, id, &demo).await.unwrap();
    let tested = fixture.catalog.test_connection(&fixture.anna, id, None).await.unwrap();
    assert_eq!(tested.message, "None None", "the demo model has no key");
}

#[tokio::test]
async fn edit_without_key_keeps_concurrently_saved_key() {
    let fixture = fixture().await;
    let id = fixture.connect(&fixture.anna, "sk-of-long-ago").await;
    let slow = "https://slow.example.org/v1";
    let moved = connection("Mine", slow, "sk-of-long-ago");
    fixture.catalog.update_connection(&fixture.anna, id, &moved).await.unwrap();
    fixture.provider_access.is_slow.store(true, Ordering::SeqCst);
    let renamed = connection("Renamed", slow, "");
    let rekeyed = connection("Mine", slow, "sk-brand-new");
    let other_tab = async {
        fixture.provider_access.checking.notified().await;
        fixture.provider_access.is_slow.store(false, Ordering::SeqCst);
        fixture.catalog.update_connection(&fixture.anna, id, &rekeyed).await.unwrap();
        fixture.provider_access.seen.notify_one();
    };
    let tab = fixture.catalog.update_connection(&fixture.anna, id, &renamed);
    let saved = tokio::join!(tab, other_tab).0.unwrap();
    assert_eq!((saved.name.as_str(), saved.key_last4.as_deref()), ("Renamed", Some("-new")));
    let tested =
        fixture.catalog.test_connection(&fixture.anna, id, Some("m".into())).await.unwrap();
    assert_eq!(tested.message, r#"Some("sk-brand-new") Some("m")"#);
    assert_eq!(tested.request, "https://slow.example.org/v1");
}

#[tokio::test]
async fn undecryptable_key_is_reported() {
    let fixture = fixture().await;
    let id = fixture.connect(&fixture.anna, "sk-1234567890").await;
    let row = fixture.catalog.store.connection(fixture.anna.space_id, id).await;
    let mut row = row.unwrap().unwrap();
    row.key_ciphertext.as_mut().unwrap()[40] ^= 1;
    fixture.catalog.store.update_connection(&row, KeyEdit::Replace, None).await.unwrap();
    let tested = fixture.catalog.test_connection(&fixture.anna, id, None).await.unwrap();
    assert!(!tested.ok && tested.message.contains("Type it in again"), "{tested:?}");
}

#[tokio::test]
async fn private_address_is_reported_at_base_url() {
    let fixture = fixture().await;
    let draft = connection("Mine", "http://127.0.0.1:11434/v1", "");
    assert_eq!(paths(fixture.catalog.create_connection(&fixture.anna, &draft).await), ["base_url"]);
    let id = fixture.connect(&fixture.anna, "").await;
    assert_eq!(
        paths(fixture.catalog.update_connection(&fixture.anna, id, &draft).await),
        ["base_url"]
    );
}

#[tokio::test]
async fn server_wide_connection_can_be_used_but_not_changed() {
    let fixture = fixture().await;
    let (it, id) = (&fixture.catalog, fixture.server_wide);
    for caller in [&fixture.anna, &fixture.ben] {
        let listed = it.connections(caller).await.unwrap();
        assert!(listed.iter().any(|one| one.id == id && one.server_wide));
        assert!(!text(&listed).to_string().contains("sk-of"));
        it.create_agent(caller, &agent("Desk", id)).await.unwrap();
    }
    let breaker = |one: domain::Connection| one.breaker.state;
    assert_eq!(breaker(it.connection(&fixture.anna, id).await.unwrap()), BreakerState::Closed);
    assert_eq!(breaker(it.connection(&fixture.ben, id).await.unwrap()), BreakerState::Open);
    let draft = connection("Mine now", URL, "sk-other-key");
    assert_eq!(status(it.update_connection(&fixture.anna, id, &draft).await), 409);
    assert_eq!(status(it.delete_connection(&fixture.anna, id).await), 409);
    let tested = it.test_connection(&fixture.anna, id, None).await.unwrap();
    assert_eq!(tested.message, r#"Some("sk-of-the-server") Some("m")"#);
    let stored = it.store.connections(fixture.anna.space_id).await.unwrap();
    assert_eq!(stored, [], "it is not stored");
}

#[tokio::test]
async fn connection_in_use_cannot_be_deleted() {
    let fixture = fixture().await;
    let id = fixture.connect(&fixture.anna, "").await;
    let made = fixture.catalog.create_agent(&fixture.anna, &agent("Desk", id)).await.unwrap();
    let held = fixture.catalog.delete_connection(&fixture.anna, id).await.unwrap_err();
    assert_eq!(held.code.status(), 409);
    assert!(held.detail.contains("Desk"), "{held}");
    assert_eq!(held.link, Some(format!("/agents/{}", made.id)), "the way to it");
    fixture.catalog.delete_agent(&fixture.anna, made.id).await.unwrap();
    fixture.catalog.delete_connection(&fixture.anna, id).await.unwrap();
    assert_eq!(status(fixture.catalog.connection(&fixture.anna, id).await), 404);
}

#[tokio::test]
async fn settings_accept_only_usable_connections() {
    let fixture = fixture().await;
    let (mine, theirs) =
        (fixture.connect(&fixture.anna, "").await, fixture.connect(&fixture.ben, "").await);
    let choice = |id, model: &str| Some(ModelChoice::new(id, model));
    let good = Settings {
        judge: choice(mine, " gpt "),
        simulated_user: choice(fixture.server_wide, "claude"),
    };
    let saved = fixture.catalog.update_settings(&fixture.anna, &good).await.unwrap();
    assert_eq!(saved.judge, choice(mine, "gpt"));
    assert_eq!(fixture.catalog.settings(&fixture.anna).await.unwrap(), saved);
    let bad = Settings { judge: choice(theirs, "gpt"), simulated_user: choice(mine, " ") };
    let refused = fixture.catalog.update_settings(&fixture.anna, &bad).await;
    assert_eq!(paths(refused), ["judge.connection_id", "simulated_user.model"]);
    assert_eq!(fixture.catalog.settings(&fixture.anna).await.unwrap(), saved);
    assert_eq!(fixture.catalog.settings(&fixture.ben).await.unwrap(), Settings::default());
}

fn with_headers(base_url: &str, headers: &serde_json::Value) -> Draft {
    let mut draft = connection("Mine", base_url, "");
    draft.0["headers"] = headers.clone();
    draft
}

#[tokio::test]
async fn stored_key_is_not_sent_to_another_address() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let id = fixture.connect(anna, "sk-1234567890").await;
    let elsewhere = connection("Mine", "https://evil.example.org/v1", "");
    let mut other_kind = connection("Mine", URL, "");
    other_kind.0["kind"] = "anthropic".into();
    for draft in [&elsewhere, &other_kind] {
        assert_eq!(paths(catalog.update_connection(anna, id, draft).await), ["api_key"]);
        assert_eq!(paths(catalog.test_unsaved_connection(anna, id, draft).await), ["api_key"]);
    }
    let unchanged = catalog.test_connection(anna, id, Some("m".into())).await.unwrap();
    assert_eq!((unchanged.request.as_str(), unchanged.ok), (URL, true));

    let mut with_key = connection("Mine", "https://evil.example.org/v1", "sk-entered-again");
    with_key.0["model"] = "m".into();
    let tested = catalog.test_unsaved_connection(anna, id, &with_key).await.unwrap();
    assert!(tested.message.contains("sk-entered-again"), "{tested:?}");
    let mut without_key = elsewhere;
    without_key.0["remove_key"] = true.into();
    without_key.0["model"] = "m".into();
    let tested = catalog.test_unsaved_connection(anna, id, &without_key).await.unwrap();
    assert!(tested.message.starts_with("None"), "{tested:?}");
    let saved = catalog.update_connection(anna, id, &without_key).await.unwrap();
    assert!(!saved.has_key);
}

#[tokio::test]
async fn secret_headers_are_encrypted_and_masked() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let headers = json!({"X-Team": "support", "X-Token": "very-secret"});
    let made = catalog.create_connection(anna, &with_headers(URL, &headers)).await.unwrap();
    assert_eq!(made.headers["X-Team"], "support");
    assert_eq!(made.headers["X-Token"], MASKED_VALUE);
    let row = catalog.store.connection(anna.space_id, made.id).await.unwrap().unwrap();
    assert!(!format!("{row:?}").contains("very-secret"));
    let sent = async || catalog.endpoints.endpoint(made.id).await.unwrap().headers;
    assert_eq!(json!(sent().await), headers, "calls use the value");

    let shown = json!({"X-Team": "sales", "X-Token": MASKED_VALUE});
    let saved = catalog.update_connection(anna, made.id, &with_headers(URL, &shown)).await.unwrap();
    assert_eq!(json!(saved.headers), shown);
    assert_eq!(json!(sent().await), json!({"X-Team": "sales", "X-Token": "very-secret"}));
    let replaced = json!({"X-Token": "new-secret"});
    catalog.update_connection(anna, made.id, &with_headers(URL, &replaced)).await.unwrap();
    assert_eq!(json!(sent().await), replaced);
    let removed = catalog.update_connection(anna, made.id, &with_headers(URL, &json!({}))).await;
    assert_eq!(json!(removed.unwrap().headers), json!({}));
    assert_eq!(json!(sent().await), json!({}));
}

#[tokio::test]
async fn secret_headers_are_not_sent_to_another_address() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let headers = json!({"X-Token": "very-secret"});
    let made = catalog.create_connection(anna, &with_headers(URL, &headers)).await.unwrap();
    let masked = json!({"X-Token": MASKED_VALUE});
    let moved = with_headers("https://evil.example.org/v1", &masked);
    assert_eq!(paths(catalog.update_connection(anna, made.id, &moved).await), ["headers"]);
    assert_eq!(paths(catalog.test_unsaved_connection(anna, made.id, &moved).await), ["headers"]);
    let unknown = with_headers(URL, &json!({"X-Other-Token": MASKED_VALUE}));
    assert_eq!(paths(catalog.update_connection(anna, made.id, &unknown).await), ["headers"]);
    assert_eq!(paths(catalog.create_connection(anna, &unknown).await), ["headers"]);
}

fn with_oauth(token_url: &str, key: &str) -> Draft {
    let mut draft = connection("Mine", URL, key);
    draft.0["auth"] = json!({"scheme": "oauth_client_credentials", "client_id": "app",
        "token_url": token_url, "scope": "s"});
    draft
}

#[tokio::test]
async fn authentication_reaches_calls_and_client_secret_stays_at_its_token_url() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let login = "https://login.example.org/token";
    let draft = with_oauth(login, "client-secret-1");
    let made = catalog.create_connection(anna, &draft).await.unwrap();
    assert_eq!(made.auth.token_url, login);
    assert!(!text(&made).to_string().contains("client-secret"));
    let endpoint = catalog.endpoints.endpoint(made.id).await.unwrap();
    assert_eq!(endpoint.auth, made.auth);

    let elsewhere = with_oauth("https://evil.example.org/token", "");
    assert_eq!(paths(catalog.update_connection(anna, made.id, &elsewhere).await), ["api_key"]);
    assert_eq!(
        paths(catalog.test_unsaved_connection(anna, made.id, &elsewhere).await),
        ["api_key"]
    );
    // As a bearer key, the secret would be sent to the base URL.
    let bearer = connection("Mine", URL, "");
    assert_eq!(paths(catalog.update_connection(anna, made.id, &bearer).await), ["api_key"]);
    let private = with_oauth("http://127.0.0.1/token", "client-secret-1");
    assert_eq!(paths(catalog.update_connection(anna, made.id, &private).await), ["auth.token_url"]);
    let mut scoped = with_oauth(login, "");
    scoped.0["auth"]["scope"] = "other".into();
    let saved = catalog.update_connection(anna, made.id, &scoped).await.unwrap();
    assert!(saved.has_key);
    assert_eq!(
        *fixture.provider_access.edited.lock(),
        [made.id],
        "another scope is another endpoint"
    );
}

#[tokio::test]
async fn secret_query_parameters_are_encrypted_and_masked() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let with_query = |base_url: &str, query: serde_json::Value| {
        let mut draft = connection("Mine", base_url, "");
        draft.0["query"] = query;
        draft
    };
    let query = json!({"api-version": "v1", "key": "very-secret"});
    let made = catalog.create_connection(anna, &with_query(URL, query.clone())).await.unwrap();
    let shown = json!({"api-version": "v1", "key": MASKED_VALUE});
    assert_eq!(json!(made.query), shown);
    let row = catalog.store.connection(anna.space_id, made.id).await.unwrap().unwrap();
    assert!(!format!("{row:?}").contains("very-secret"));
    let saved = catalog.update_connection(anna, made.id, &with_query(URL, shown.clone())).await;
    assert_eq!(json!(saved.unwrap().query), shown);
    let endpoint = catalog.endpoints.endpoint(made.id).await.unwrap();
    assert_eq!(json!(endpoint.query), query, "calls use the value");
    assert_eq!(*fixture.provider_access.saved.lock(), [made.id], "nothing changed");
    let moved = with_query("https://evil.example.org/v1", shown);
    assert_eq!(paths(catalog.update_connection(anna, made.id, &moved).await), ["query"]);
}

#[tokio::test]
async fn preset_that_needs_a_key_is_not_saved_without_one() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let preset = |name: &str, key: &str| {
        Draft(json!({"name": "Mine", "preset": name, "api_key": key, "timeout_seconds": 90}))
    };
    assert_eq!(paths(catalog.create_connection(anna, &preset("groq", "")).await), ["api_key"]);
    let made = catalog.create_connection(anna, &preset("groq", "gsk-1234567")).await.unwrap();
    assert_eq!(made.base_url, "https://api.groq.com/openai/v1");
    assert_eq!(made.timeout_seconds, Some(90));
    let endpoint = catalog.endpoints.endpoint(made.id).await.unwrap();
    assert_eq!(endpoint.timeout, Some(std::time::Duration::from_secs(90)));
    let kept = catalog.update_connection(anna, made.id, &preset("groq", "")).await.unwrap();
    assert!(kept.has_key, "the stored key counts");
    let mut removed = preset("groq", "");
    removed.0["remove_key"] = true.into();
    assert_eq!(paths(catalog.update_connection(anna, made.id, &removed).await), ["remove_key"]);
    let ollama = catalog.create_connection(anna, &preset("ollama", "")).await.unwrap();
    assert!(!ollama.has_key);
}

#[tokio::test]
async fn listed_models_are_stored_and_suggested_without_a_model() {
    let fixture = fixture().await;
    let (catalog, anna) = (&fixture.catalog, &fixture.anna);
    let draft = connection("Mine", "https://listed.example.org/v1", "");
    let made = catalog.create_connection(anna, &draft).await.unwrap();
    let tested = catalog.test_connection(anna, made.id, None).await.unwrap();
    assert_eq!(
        tested.message,
        "Enter a model, such as m-1: none of your agents uses this connection yet."
    );
    let stored = catalog.connection(anna, made.id).await.unwrap();
    assert_eq!(stored.models, ["m-1"]);
    assert_eq!(stored.updated_at, made.updated_at, "an open form stays current");
    let mut unsaved = connection("Mine", "https://other.example.org/v1", "");
    unsaved.0["model"] = "m".into();
    let tested = catalog.test_unsaved_connection(anna, made.id, &unsaved).await.unwrap();
    assert_eq!(tested.models, Vec::<String>::new());
    assert_eq!(catalog.connection(anna, made.id).await.unwrap().models, ["m-1"]);
}
