//! What the real log says, and what it never says: no key at any level that is
//! of use, nobody's words at info and above; and the ids that lead to it.

use super::binary;
use reqwest::Method;
use serde_json::{Value, json};
use fault_injection::house::{House, PASSWORD, User, id};
use sqlx::{Connection, SqliteConnection};
use mock_provider::{Action, Call, Role, Rule, Script, When};
use std::collections::BTreeMap;

const KEY: &str = "sk-zzkey-4711-do-not-log";
/// In the prompt, in messages, in arguments, in replies.
const WORDS: [&str; 4] = ["zzprompt", "zzmessage", "zzargument", "zzreply"];

/// The stand calls a tool, says something, and refuses one call with words that
/// quote the key and what was said.
fn script() -> Script {
    let contains = |text: &str| When {
        contains: Some(text.to_owned()),
        role: Some(Role::Agent),
        ..When::default()
    };
    let call = Call { name: "look".to_owned(), arguments: json!({"at": "zzargument"}) };
    let words = format!("Incorrect key {KEY} for zzmessage");
    let body = json!({"error": {"message": words, "type": "invalid_request_error"}});
    let refused = Action::Status { status: 400, body, headers: BTreeMap::new() };
    Script::of([
        Rule { when: contains("refuse"), ..Rule::always(refused) },
        Rule {
            when: contains("tool"),
            times: Some(1),
            ..Rule::always(Action::ToolCalls(vec![call]))
        },
        Rule { when: contains("reply"), ..Rule::always(Action::Answer("zzreply".to_owned())) },
    ])
}

/// Runs three conversations full of words that must not be logged.
async fn talk(house: &House) -> (User, Value) {
    let stand = mock_provider::start(script()).await.unwrap();
    let user = house.user("logs@example.org");
    let connection = json!({"name": "Stand", "kind": "openai", "base_url": stand.openai_url(),
        "api_key": KEY});
    let connection = user.make("/connections", &connection).await;
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    let agent = json!({"name": "Desk", "system_prompt": "You help. zzprompt", "model": "m",
        "connection_id": connection["id"],
        "tools": [{"name": "look", "description": "looks", "parameters": parameters}]});
    let agent = user.make("/agents", &agent).await;
    let mut scenarios = Vec::new();
    for what in ["refuse", "tool", "reply"] {
        let scenario = json!({"name": what, "category": "support",
            "conversation_flow": [{"speaker": "user", "message": format!("{what} zzmessage")}],
            "tool_mocks": [{"tool": "look", "result": {"seen": "zzreply"}}],
            "expected_behaviors": [{"text": "zzprompt is kept"}]});
        scenarios.push(id(&user.make("/scenarios", &scenario).await));
    }
    let start = json!({"agent_id": agent["id"], "scenario_ids": scenarios});
    let suite = user.make("/suites", &start).await;
    let suite = user.finished(&id(&suite)).await;
    assert!(stand.journal().iter().any(|call| call.body.to_string().contains("zzprompt")));
    assert!(stand.journal().iter().any(|call| call.body.to_string().contains("zzargument")));
    assert_eq!(suite["counts"]["error"], 1, "{}", suite["counts"]);
    (user, suite)
}

fn no_secrets(house: &House, user: &User) {
    let log = house.log();
    for secret in [KEY, &KEY[3..], user.token.as_str(), PASSWORD] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

/// The id of the request that a line belongs to.
fn request(line: &Value) -> Option<&str> {
    let spans = line["spans"].as_array()?;
    spans.iter().find(|span| span["name"] == "request")?["id"].as_str()
}

#[tokio::test]
async fn at_info_nobodys_words_and_the_ids_of_everything() {
    let house = House::of(&binary()).with("REHEARSAL_LOG_FORMAT", "json").started().await;
    let (user, suite) = talk(&house).await;
    let log = house.log();
    for word in WORDS {
        assert!(!log.contains(word), "{word} is in the log:\n{log}");
    }
    no_secrets(&house, &user);
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told = |message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["fields"]["message"] == message).collect()
    };
    let runs = suite["runs"].as_array().unwrap();
    assert_eq!(told("run ended").len(), runs.len());
    for run in runs {
        let line = told("run ended").into_iter().find(|line| line["fields"]["run"] == run["id"]);
        let fields = &line.expect("a line of its own")["fields"];
        for field in ["status", "attempt", "duration_ms"] {
            assert_eq!(fields[field], run[field], "{field}");
        }
        assert_eq!(fields["kind"], run["error"]["kind"]);
        assert_eq!(fields["suite"], suite["id"]);
    }
    let started = told("suite started");
    assert_eq!(started.len(), 1);
    assert_eq!(started[0]["fields"]["suite"], suite["id"]);
    assert_eq!(request(started[0]).map(str::len), Some(36), "{}", started[0]);
    assert_eq!(told("suite ended").len(), 1);
}

#[tokio::test]
async fn at_debug_no_key() {
    let house = House::of(&binary()).with("REHEARSAL_LOG", "debug").started().await;
    let (user, _) = talk(&house).await;
    assert!(house.log().lines().count() > 50, "it is the debugging log");
    no_secrets(&house, &user);
}

#[tokio::test]
async fn one_id_in_header_body_and_log() {
    let house = House::of(&binary())
        .with("REHEARSAL_LOG_FORMAT", "json")
        .with("REHEARSAL_LOG", "warn")
        .started()
        .await;
    let user = house.user("ids@example.org");
    let agent = user.agent("demo", "").await;
    let url = format!("sqlite:{}", house.data().join("rehearsal.db").display());
    let mut db = SqliteConnection::connect(&url).await.unwrap();
    let damage = "UPDATE connections SET headers = 'no json'";
    let done = sqlx::query(damage).execute(&mut db).await.unwrap();
    assert_eq!(done.rows_affected(), 1);

    let path = format!("/connections/{}", agent["connection_id"].as_str().unwrap());
    let answer = user.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    let header = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["instance"], format!("urn:uuid:{header}"));
    assert!(problem["detail"].as_str().unwrap().contains(&header), "{problem}");
    let log = house.log();
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mine = lines.iter().find(|line| line["fields"]["log_id"] == header.as_str());
    let mine = mine.unwrap_or_else(|| panic!("{header} is not in the log:\n{log}"));
    // Errors name their request at every level that lets them through.
    assert_eq!(request(mine), Some(header.as_str()), "{mine}");
}
