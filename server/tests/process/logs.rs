//! The log of the real binary: no API keys down to the debug level, no user
//! content at the info level and above, and the ids of requests, suites and runs.

use super::new_server;
use fault_injection::{ApiClient, PASSWORD, TestServer, id};
use mock_provider::{Action, Role, Rule, Script, ToolCall, When};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KEY: &str = "sk-zzkey-4711-do-not-log";
/// Content of prompts, messages, arguments and replies.
const CONTENT: [&str; 4] = ["zzprompt", "zzmessage", "zzargument", "zzreply"];

/// Calls a tool, replies, and rejects one call with an error that quotes the key
/// and the message.
fn script() -> Script {
    let contains = |text: &str| When {
        contains: Some(text.to_owned()),
        role: Some(Role::Agent),
        ..When::default()
    };
    let call = ToolCall { name: "look".to_owned(), arguments: json!({"at": "zzargument"}) };
    let message = format!("Incorrect key {KEY} for zzmessage");
    let body = json!({"error": {"message": message, "type": "invalid_request_error"}});
    let refused = Action::Status { status: 400, body, headers: BTreeMap::new() };
    Script::of([
        Rule { when: contains("refuse"), ..Rule::always(refused) },
        Rule {
            when: contains("tool"),
            times: Some(1),
            ..Rule::always(Action::ToolCalls(vec![call]))
        },
        Rule { when: contains("reply"), ..Rule::always(Action::Reply("zzreply".to_owned())) },
    ])
}

/// Runs three conversations with content that must not be logged.
async fn run_conversations(server: &TestServer) -> (ApiClient, Value) {
    let provider = mock_provider::start(script()).await.unwrap();
    let user = server.create_user("logs@example.org");
    let connection = json!({"name": "Mock", "kind": "openai", "base_url": provider.openai_url(),
        "api_key": KEY});
    let connection = user.create("/connections", &connection).await;
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    let agent = json!({"name": "Desk", "system_prompt": "You help. zzprompt", "model": "m",
        "connection_id": connection["id"],
        "tools": [{"name": "look", "description": "looks", "parameters": parameters}]});
    let agent = user.create("/agents", &agent).await;
    let mut scenarios = Vec::new();
    for what in ["refuse", "tool", "reply"] {
        let scenario = json!({"name": what, "category": "support",
            "conversation_flow": [{"speaker": "user", "message": format!("{what} zzmessage")}],
            "tool_mocks": [{"tool": "look", "result": {"seen": "zzreply"}}],
            "expected_behaviors": [{"text": "zzprompt is kept"}]});
        scenarios.push(id(&user.create("/scenarios", &scenario).await));
    }
    let start = json!({"agent_id": agent["id"], "scenario_ids": scenarios});
    let suite = user.create("/suites", &start).await;
    let suite = user.wait_for_suite(&id(&suite)).await;
    assert!(provider.request_log().iter().any(|call| call.body.to_string().contains("zzprompt")));
    assert!(provider.request_log().iter().any(|call| call.body.to_string().contains("zzargument")));
    assert_eq!(suite["counts"]["error"], 1, "{}", suite["counts"]);
    (user, suite)
}

fn assert_no_secrets(server: &TestServer, user: &ApiClient) {
    let log = server.log();
    for secret in [KEY, &KEY[3..], user.token.as_str(), PASSWORD] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

/// The id of the request in the spans of a line.
fn request_id(line: &Value) -> Option<&str> {
    let spans = line["spans"].as_array()?;
    spans.iter().find(|span| span["name"] == "request")?["id"].as_str()
}

#[tokio::test]
async fn info_log_has_ids_and_no_user_content() {
    let server = new_server().with_env("REHEARSAL_LOG_FORMAT", "json").started().await;
    let (user, suite) = run_conversations(&server).await;
    let log = server.log();
    for word in CONTENT {
        assert!(!log.contains(word), "{word} is in the log:\n{log}");
    }
    assert_no_secrets(&server, &user);
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let with_message = |message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["fields"]["message"] == message).collect()
    };
    let runs = suite["runs"].as_array().unwrap();
    assert_eq!(with_message("run ended").len(), runs.len());
    for run in runs {
        let line =
            with_message("run ended").into_iter().find(|line| line["fields"]["run"] == run["id"]);
        let fields = &line.expect("one line per run")["fields"];
        let names =
            [("status", "status"), ("lease_epoch", "attempt"), ("duration_ms", "duration_ms")];
        for (in_log, in_api) in names {
            assert_eq!(fields[in_log], run[in_api], "{in_log}");
        }
        assert_eq!(fields["kind"], run["error"]["kind"]);
        assert_eq!(fields["suite"], suite["id"]);
    }
    let started = with_message("suite started");
    assert_eq!(started.len(), 1);
    assert_eq!(started[0]["fields"]["suite"], suite["id"]);
    assert_eq!(request_id(started[0]).map(str::len), Some(36), "{}", started[0]);
    assert_eq!(with_message("suite ended").len(), 1);
}

#[tokio::test]
async fn debug_log_has_no_keys() {
    let server = new_server().with_env("REHEARSAL_LOG", "debug").started().await;
    let (user, _) = run_conversations(&server).await;
    assert!(server.log().lines().count() > 50, "the debug log");
    assert_no_secrets(&server, &user);
}

#[tokio::test]
async fn header_body_and_log_share_the_request_id() {
    let server = new_server()
        .with_env("REHEARSAL_LOG_FORMAT", "json")
        .with_env("REHEARSAL_LOG", "warn")
        .started()
        .await;
    let user = server.create_user("ids@example.org");
    let agent = user.create_agent("demo", "").await;
    let mut db = server.open_database().await;
    let damage = "UPDATE connections SET headers = 'no json'";
    let done = sqlx::query(damage).execute(&mut db).await.unwrap();
    assert_eq!(done.rows_affected(), 1);

    let path = format!("/connections/{}", agent["connection_id"].as_str().unwrap());
    let answer = user.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    let header = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["instance"], format!("urn:uuid:{header}"));
    assert!(problem["detail"].as_str().unwrap().contains(&header), "{problem}");
    let log = server.log();
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mine = lines.iter().find(|line| line["fields"]["log_id"] == header.as_str());
    let mine = mine.unwrap_or_else(|| panic!("{header} is not in the log:\n{log}"));
    // Errors contain the request id at every log level.
    assert_eq!(request_id(mine), Some(header.as_str()), "{mine}");
}
