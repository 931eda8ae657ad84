//! The API contract of the real binary: lists, judge overrides, validation errors
//! with paths, bodies and headers.

use super::new_server;
use fault_injection::{ApiClient, Setup, id};
use mock_provider::{Role, Script};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Posts a body. Returns the status, and `path: message` of each error.
async fn post_for_errors(user: &ApiClient, path: &str, body: &Value) -> (u16, Vec<String>) {
    errors(user.post(path, body).await).await
}

async fn errors(response: reqwest::Response) -> (u16, Vec<String>) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let of = |p: &Value| {
        let text = |field: &str| p[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("path"), text("message"))
    };
    let problems = problem["errors"].as_array().map(|all| all.iter().map(of).collect());
    (status, problems.unwrap_or_else(|| vec![text]))
}

#[tokio::test]
async fn pagination_works_with_long_names() {
    let server = new_server().started().await;
    let user = server.create_user("pages@example.org");
    for n in 0..3 {
        // Four bytes per character.
        let name = format!("{n}{}", "🦀".repeat(199));
        let scenario = json!({"name": name, "category": "information",
            "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
        user.create("/scenarios", &scenario).await;
    }
    let mut path = "/scenarios?built_in=false&limit=1".to_owned();
    let mut seen = 0;
    loop {
        let page = user.get(&path).await;
        seen += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/scenarios?built_in=false&limit=1&cursor={next}");
    }
    assert_eq!(seen, 3);
    for list in ["/scenarios", "/suites", "/runs", "/agents"] {
        let answer = user.request(Method::GET, &format!("{list}?cursor=xyz")).send().await.unwrap();
        let (status, problems) = errors(answer).await;
        assert_eq!(status, 422);
        assert!(problems[0].starts_with("cursor: "), "{list}: {problems:?}");
    }
}

#[tokio::test]
async fn rerun_keeps_judge_override() {
    let Setup { provider, server: _server, user, agent } =
        Setup::start(new_server(), Script::default()).await;
    let connection = &agent["connection_id"];
    let scenario = user.create_scenario("S", 1).await;
    let choice = |model: &str| json!({"connection_id": connection, "model": model});
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let mut with_override = start.clone();
    with_override["judge"] = choice("own-judge");
    let judge_of = async |suite: &Value| {
        user.wait_for_suite(&id(suite)).await;
        let journal = provider.request_log();
        let judge = journal.iter().rev().find(|entry| entry.role == Role::Judge).unwrap();
        judge.model.clone()
    };
    let all = json!({"which": "all"});
    let overridden = user.create("/suites", &with_override).await;
    assert_eq!(judge_of(&overridden).await, "own-judge");
    // The default judge only applies to suites without an override.
    let settings = json!({"judge": choice("todays-judge"), "simulated_user": null});
    let saved = user.request(Method::PUT, "/settings").json(&settings).send().await.unwrap();
    assert_eq!(saved.status(), StatusCode::OK);
    let rerun = user.create(&format!("/suites/{}/rerun", id(&overridden)), &all).await;
    assert_eq!(judge_of(&rerun).await, "own-judge");
    let second_rerun = user.create(&format!("/suites/{}/rerun", id(&rerun)), &all).await;
    assert_eq!(judge_of(&second_rerun).await, "own-judge", "a rerun of a rerun keeps it too");
    let plain = user.create("/suites", &start).await;
    assert_eq!(judge_of(&plain).await, "todays-judge");
    let settings = json!({"judge": choice("tomorrows-judge"), "simulated_user": null});
    user.request(Method::PUT, "/settings").json(&settings).send().await.unwrap();
    let rerun = user.create(&format!("/suites/{}/rerun", id(&plain)), &all).await;
    assert_eq!(judge_of(&rerun).await, "tomorrows-judge");
}

#[tokio::test]
async fn suites_can_be_filtered_by_scenario_and_error_kind() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script::default()).await;
    let (plain, incompatible) = (
        user.create_scenario("Plain", 1).await,
        create_incompatible_scenario(&user, "Incompatible").await,
    );
    let mut suites = Vec::new();
    for scenario in [&plain, &incompatible] {
        let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]],
            "skip_incompatible": true});
        suites.push(id(&user.create("/suites", &start).await));
    }
    user.wait_for_suite(&suites[0]).await;
    let list = async |query: String| -> Vec<String> {
        let page = user.get(&format!("/suites?{query}")).await;
        page["items"].as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(list(format!("scenario={}", id(&plain))).await, suites[..1]);
    assert_eq!(list(format!("scenario={}", id(&incompatible))).await, suites[1..]);
    assert_eq!(list("error_kind=incompatible".to_owned()).await, suites[1..]);
    assert!(list("error_kind=timeout".to_owned()).await.is_empty());
    let bad = user.request(Method::GET, "/suites?scenario=x&error_kind=y").send().await.unwrap();
    let (status, problems) = errors(bad).await;
    assert_eq!((status, problems.len()), (422, 2), "{problems:?}");
}

/// Creates a scenario that is incompatible with the agent.
async fn create_incompatible_scenario(user: &ApiClient, name: &str) -> Value {
    let scenario = json!({"name": name, "category": "support", "required_tools": ["book"],
        "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
    user.create("/scenarios", &scenario).await
}

#[tokio::test]
async fn start_reports_every_validation_error_with_its_path() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script::default()).await;
    let plain = user.create_scenario("Plain", 1).await;
    let twins = [
        create_incompatible_scenario(&user, "Twin").await,
        create_incompatible_scenario(&user, "Twin").await,
    ];
    let missing = "01890000-0000-7000-8000-000000000000";

    // An unknown scenario does not hide an unknown judge, and a duplicate id does
    // not shift the index of others.
    let start = json!({"agent_id": agent["id"],
        "scenario_ids": [plain["id"], plain["id"], missing],
        "judge": {"connection_id": missing, "model": "m"}});
    for path in ["/suites", "/suites/preflight"] {
        let (status, problems) = post_for_errors(&user, path, &start).await;
        assert_eq!((status, problems.len()), (422, 2), "{path}: {problems:?}");
        assert_eq!(problems[0], "scenario_ids[2]: is not a scenario of yours");
        assert!(problems[1].starts_with("judge.connection_id: no longer exists"), "{problems:?}");
    }

    let start = json!({"agent_id": agent["id"],
        "scenario_ids": [twins[0]["id"], plain["id"], twins[1]["id"]]});
    let (_, problems) = post_for_errors(&user, "/suites", &start).await;
    let paths: Vec<_> = problems.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(paths, ["scenario_ids[0]", "scenario_ids[2]"], "{problems:?}");
    let start = json!({"agent_id": agent["id"], "filter": {"built_in": false}});
    let (_, problems) = post_for_errors(&user, "/suites", &start).await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    for twin in &twins {
        assert!(problems.iter().any(|p| p.contains(&id(twin))), "{problems:?}");
    }

    // A run has a single scenario.
    for scenario in [json!(missing), twins[0]["id"].clone()] {
        let start = json!({"agent_id": agent["id"], "scenario_id": scenario});
        let (status, problems) = post_for_errors(&user, "/runs", &start).await;
        assert_eq!((status, problems.len()), (422, 1));
        assert!(problems[0].starts_with("scenario_id: "), "{problems:?}");
    }
}

#[tokio::test]
async fn evaluate_validates_its_body_and_replays_its_key() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script::default()).await;
    let scenario = user.create_scenario("S", 1).await;
    let start = json!({"agent_id": agent["id"], "scenario_id": scenario["id"]});
    let suite = user.create("/runs", &start).await;
    let run = id(&user.wait_for_suite(&id(&suite)).await["runs"][0]);
    let path = format!("/runs/{run}/evaluate");
    let send = |body: &'static str| {
        let request = user.request(Method::POST, &path).header("Idempotency-Key", "k1");
        request.header("content-type", "application/json").body(body).send()
    };
    assert_eq!(send("{{").await.unwrap().status(), 400);
    assert_eq!(errors(send(r#"{"judge": 1}"#).await.unwrap()).await.0, 422);
    assert_eq!(send("").await.unwrap().status(), 202);
    let replay = send("{}").await.unwrap();
    assert!(replay.headers().contains_key("idempotency-replayed"));
    assert_eq!(send(r#"{"judge": 1}"#).await.unwrap().status(), 422, "another body");
}

#[tokio::test]
async fn pending_run_shows_that_it_waits_for_a_slot() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 60_000, ..Script::default() }).await;
    let scenario = user.create_scenario("S", 1).await;
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]], "repeats": 2,
        "concurrency": 1});
    let started = user.create("/suites", &start).await;
    let slot = json!({"what": "slot", "until": null});
    assert_eq!(started["runs"][1]["waiting_on"], slot);
    let path = format!("/suites/{}", id(&started));
    let waiting_since = tokio::time::Instant::now();
    while user.get(&path).await["counts"]["running"] != 1 {
        assert!(waiting_since.elapsed() < Duration::from_secs(60), "the run does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let suite = user.get(&path).await;
    assert_eq!(suite["runs"][0]["waiting_on"], Value::Null, "a running run has a slot");
    assert_eq!(suite["runs"][1]["waiting_on"], slot);
    assert_eq!(user.get(&format!("/runs/{}", id(&suite["runs"][1]))).await["waiting_on"], slot);
    user.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(user.wait_for_suite(&id(&started)).await["runs"][1]["waiting_on"], Value::Null);
}

#[tokio::test]
async fn stream_ends_when_its_token_is_revoked() {
    let Setup { provider: _provider, server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 60_000, ..Script::default() }).await;
    let scenario = user.create_scenario("S", 1).await;
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let suite = id(&user.create("/suites", &start).await);
    let create = ["token", "create", "--email", &user.email, "--name", "leaves"];
    let (created, secret) = server.run_command(&create, "");
    assert!(created, "{secret}");
    let program = user.with_token(&secret);
    let token = user.get("/tokens").await["items"][0].clone();
    assert_eq!(token["name"], "leaves", "the newest token");
    let stream =
        program.request(Method::GET, &format!("/suites/{suite}/events")).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let revoke = user.request(Method::DELETE, &format!("/tokens/{}", id(&token)));
    assert!(revoke.send().await.unwrap().status().is_success());
    let body = tokio::time::timeout(Duration::from_secs(30), stream.text());
    let text = body.await.expect("the stream ends").unwrap();
    assert!(text.contains("event: snapshot") && !text.contains("event: finished"), "{text}");
    user.post(&format!("/suites/{suite}/cancel"), &json!({})).await;
}

#[tokio::test]
async fn invalid_headers_and_tool_schemas_are_rejected_on_save() {
    let server = new_server().started().await;
    let user = server.create_user("saves@example.org");
    let connection = json!({"name": "C", "kind": "openai", "base_url": "http://127.0.0.1:1/v1",
        "headers": {"Transfer-Encoding": "chunked", "X-Team": "a"}});
    let (status, problems) = post_for_errors(&user, "/connections", &connection).await;
    assert_eq!((status, problems.len()), (422, 1), "{problems:?}");
    assert!(problems[0].starts_with("headers: Transfer-Encoding"), "{problems:?}");

    let agent = user.create_agent("openai", "http://127.0.0.1:1/v1").await;
    let with = |parameters: Value| {
        let mut draft = agent.clone();
        draft["tools"] = json!([{"name": "look", "parameters": parameters}]);
        draft
    };
    // The browser reports the first two as well, the others only the server.
    for part in [
        json!({"type": "banana"}),
        json!({"properties": 5}),
        json!({"type": "string", "pattern": "("}),
        json!({"anyOf": [{"type": "banana"}]}),
        json!({"minimum": "low"}),
    ] {
        let draft = with(json!({"type": "object", "properties": {"a": part}}));
        let (status, problems) = post_for_errors(&user, "/agents", &draft).await;
        assert_eq!((status, problems.len()), (422, 1), "{draft}: {problems:?}");
        assert!(
            problems[0].starts_with("tools[0].parameters: is not a valid JSON Schema"),
            "{problems:?}"
        );
    }
    let good = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}});
    user.create("/agents", &with(good)).await;
}

#[tokio::test]
async fn invalid_log_level_is_reported_at_start() {
    let mut server = new_server().with_env("REHEARSAL_LOG", "loud");
    server.spawn();
    let (ended, _) = server.wait_for_exit().await;
    assert!(!ended.success());
    assert!(server.log().contains("\"loud\" is not a log level"), "{}", server.log());
}

#[tokio::test]
async fn client_can_read_413_after_oversized_body() {
    const LENGTH: usize = 12 << 20;
    let server = new_server().started().await;
    let user = server.create_user("much@example.org");
    for framing in [format!("content-length: {LENGTH}"), "transfer-encoding: chunked".to_owned()] {
        let chunked = framing.starts_with("transfer");
        let (reading, mut writing) =
            tokio::net::TcpStream::connect(server.addr).await.unwrap().into_split();
        let head = format!(
            "POST /api/v1/scenarios HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\nconnection: close\r\n{framing}\r\n\r\n",
            server.addr, user.token
        );
        writing.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b' '; 1 << 20];
        for _ in 0..LENGTH / piece.len() {
            if chunked {
                writing.write_all(b"100000\r\n").await.unwrap();
            }
            writing.write_all(&piece).await.expect("the server reads the body");
            if chunked {
                writing.write_all(b"\r\n").await.unwrap();
            }
        }
        if chunked {
            writing.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let mut answer = String::new();
        let mut reading = reading;
        reading.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{framing}: {answer}");
        assert!(answer.contains("The maximum is 8 MiB"), "{answer}");
    }
}
