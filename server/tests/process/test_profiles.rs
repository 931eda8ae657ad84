//! Test profiles of the real binary: a secret is sent to the agent and is nowhere else.

use super::new_server;
use fault_injection::browser_session::BrowserSession;
use fault_injection::{ApiClient, TestServer, id};
use mock_provider::{Action, MockProvider, Role, Rule, Script, When};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SECRET: &str = "zz-secret-4711-zz";

/// The agent repeats the secret, or the provider quotes it in an error.
fn script() -> Script {
    let agent = |text: &str| When {
        contains: Some(text.to_owned()),
        role: Some(Role::Agent),
        ..When::default()
    };
    let body = json!({"error": {"message": format!("Bad text {SECRET}"), "type": "invalid_request_error"}});
    let refused = Action::Status { status: 400, body, headers: BTreeMap::new() };
    let reply = Action::Reply(format!("You said {SECRET}."));
    Script::of([
        Rule { when: agent("refuse"), ..Rule::always(refused) },
        Rule { when: agent("PIN"), ..Rule::always(reply) },
    ])
}

/// The suite of two runs with a profile, and the profile.
async fn run(user: &ApiClient, provider: &MockProvider) -> (Value, Value) {
    let profile = json!({"name": "Lena", "variables": [
        {"name": "customer.name", "value": "Lena"},
        {"name": "customer.pin", "secret": true, "value": SECRET}]});
    let profile = user.create("/profiles", &profile).await;
    let agent = user.create_agent("openai", &provider.openai_url()).await;
    let mut scenarios = Vec::new();
    for what in ["repeat", "refuse"] {
        let scenario = json!({"name": what, "category": "support",
            "conversation_flow": [{"speaker": "user",
                "message": format!("{what}: I am {{{{customer.name}}}}, PIN {{{{customer.pin}}}}")}],
            "success_criteria": {"must_include": ["You said {{customer.pin}}"]}});
        scenarios.push(id(&user.create("/scenarios", &scenario).await));
    }
    let start =
        json!({"agent_id": agent["id"], "scenario_ids": scenarios, "profile": profile["id"]});
    let suite = user.create("/suites", &start).await;
    (user.wait_for_suite(&id(&suite)).await, profile)
}

/// All texts of the database.
async fn database(server: &TestServer) -> String {
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(server.data_dir()).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("rehearsal.db") {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn secret_never_leaves() {
    let provider = mock_provider::start(script()).await.unwrap();
    let server = new_server().with_env("REHEARSAL_LOG", "debug").started().await;
    let user = server.create_user("secrets@example.org");
    let (suite, profile) = run(&user, &provider).await;
    assert_eq!((&suite["counts"]["passed"], &suite["counts"]["error"]), (&json!(1), &json!(1)));
    assert_eq!(suite["profile"]["name"], "Lena");
    let sent = provider.request_log();
    assert!(sent.iter().any(|call| call.body.to_string().contains(&format!("Lena, PIN {SECRET}"))));
    let judged = |body: &Value| body.to_string().contains("[secret customer.pin]");
    assert!(sent.iter().all(|call| !judged(&call.body)), "rules need no judge");

    let runs = user.fetch_runs(&suite).await;
    let shown = serde_json::to_string(&runs).unwrap();
    assert!(shown.contains("You said [secret customer.pin]."), "{shown}");
    assert!(shown.contains("Bad text [secret customer.pin]"), "{shown}");
    let (suite_id, run_id) = (id(&suite), id(&runs[0]));
    let profile_path = format!("/profiles/{}", id(&profile));
    let mut seen = vec![shown, profile.to_string(), suite.to_string(), server.log()];
    for path in [
        &profile_path,
        "/profiles",
        "/profiles/export",
        "/profiles/export?format=json",
        "/scenarios/export",
        &format!("/suites/{suite_id}/events"),
    ] {
        let response = user.request(Method::GET, path).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        seen.push(response.text().await.unwrap());
    }
    let browser = BrowserSession::sign_in(&server, &user).await;
    for page in [format!("/suites/{suite_id}"), format!("/runs/{run_id}")] {
        let text = browser.page(&page).await;
        assert!(text.contains("[secret customer.pin]"), "{page}");
        seen.push(text);
    }
    seen.push(database(&server).await);
    for text in seen {
        assert!(!text.contains("zz-secret"), "{text}");
    }
}
