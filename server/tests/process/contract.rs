//! What the API promises to programs, asked of the real process: lists, what a
//! suite asks for itself, problems and their places, bodies and headers.

use super::binary;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use fault_injection::house::{House, User, id};
use mock_provider::{Role, Script};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The status of an answer, and `path: message` of each of its problems.
async fn refused(user: &User, path: &str, body: &Value) -> (u16, Vec<String>) {
    told(user.post(path, body).await).await
}

async fn told(answer: reqwest::Response) -> (u16, Vec<String>) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let of = |p: &Value| {
        let text = |field: &str| p[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("path"), text("message"))
    };
    let problems = problem["errors"].as_array().map(|all| all.iter().map(of).collect());
    (status, problems.unwrap_or_else(|| vec![text]))
}

#[tokio::test]
async fn a_page_leads_to_the_next_however_long_the_names() {
    let house = House::new(&binary()).await;
    let user = house.user("pages@example.org");
    for n in 0..3 {
        // Four bytes a character.
        let name = format!("{n}{}", "🦀".repeat(199));
        let scenario = json!({"name": name, "category": "information",
            "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
        user.make("/scenarios", &scenario).await;
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
        let answer = user.ask(Method::GET, &format!("{list}?cursor=xyz")).send().await.unwrap();
        let (status, problems) = told(answer).await;
        assert_eq!(status, 422);
        assert!(problems[0].starts_with("cursor: "), "{list}: {problems:?}");
    }
}

#[tokio::test]
async fn a_suite_keeps_its_own_judge_when_it_is_run_again() {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("again@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let connection = &agent["connection_id"];
    let scenario = user.scenario("S", 1).await;
    let choice = |model: &str| json!({"connection_id": connection, "model": model});
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let mut asking = start.clone();
    asking["judge"] = choice("own-judge");
    let judges = async |suite: &Value| {
        user.finished(&id(suite)).await;
        let journal = stand.journal();
        let judge = journal.iter().rev().find(|entry| entry.role == Role::Judge).unwrap();
        judge.model.clone()
    };
    let all = json!({"which": "all"});
    let asked = user.make("/suites", &asking).await;
    assert_eq!(judges(&asked).await, "own-judge");
    // What the settings say today is for suites that asked for nothing.
    let settings = json!({"judge": choice("todays-judge"), "simulated_user": null});
    let saved = user.ask(Method::PUT, "/settings").json(&settings).send().await.unwrap();
    assert_eq!(saved.status(), StatusCode::OK);
    let again = user.make(&format!("/suites/{}/rerun", id(&asked)), &all).await;
    assert_eq!(judges(&again).await, "own-judge");
    let and_again = user.make(&format!("/suites/{}/rerun", id(&again)), &all).await;
    assert_eq!(judges(&and_again).await, "own-judge", "its rerun keeps it too");
    let plain = user.make("/suites", &start).await;
    assert_eq!(judges(&plain).await, "todays-judge");
    let settings = json!({"judge": choice("tomorrows-judge"), "simulated_user": null});
    user.ask(Method::PUT, "/settings").json(&settings).send().await.unwrap();
    let again = user.make(&format!("/suites/{}/rerun", id(&plain)), &all).await;
    assert_eq!(judges(&again).await, "tomorrows-judge");
}

#[tokio::test]
async fn suites_are_listed_by_scenario_and_by_kind_of_error() {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("lists@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let (plain, picky) = (user.scenario("Plain", 1).await, picky(&user, "Picky").await);
    let mut suites = Vec::new();
    for scenario in [&plain, &picky] {
        let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]],
            "skip_incompatible": true});
        suites.push(id(&user.make("/suites", &start).await));
    }
    user.finished(&suites[0]).await;
    let list = async |query: String| -> Vec<String> {
        let page = user.get(&format!("/suites?{query}")).await;
        page["items"].as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(list(format!("scenario={}", id(&plain))).await, suites[..1]);
    assert_eq!(list(format!("scenario={}", id(&picky))).await, suites[1..]);
    assert_eq!(list("error_kind=incompatible".to_owned()).await, suites[1..]);
    assert!(list("error_kind=timeout".to_owned()).await.is_empty());
    let bad = user.ask(Method::GET, "/suites?scenario=x&error_kind=y").send().await.unwrap();
    let (status, problems) = told(bad).await;
    assert_eq!((status, problems.len()), (422, 2), "{problems:?}");
}

/// A scenario that no agent of ours can be given.
async fn picky(user: &User, name: &str) -> Value {
    let scenario = json!({"name": name, "category": "support", "required_tools": ["book"],
        "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
    user.make("/scenarios", &scenario).await
}

#[tokio::test]
async fn every_problem_of_a_start_is_told_at_its_place() {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("places@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let plain = user.scenario("Plain", 1).await;
    let twins = [picky(&user, "Twin").await, picky(&user, "Twin").await];
    let nobody = "01890000-0000-7000-8000-000000000000";

    // An unknown scenario hides no unknown judge; and an id that is named
    // twice moves no other.
    let start = json!({"agent_id": agent["id"],
        "scenario_ids": [plain["id"], plain["id"], nobody],
        "judge": {"connection_id": nobody, "model": "m"}});
    for path in ["/suites", "/suites/preflight"] {
        let (status, problems) = refused(&user, path, &start).await;
        assert_eq!((status, problems.len()), (422, 2), "{path}: {problems:?}");
        assert_eq!(problems[0], "scenario_ids[2]: is not a scenario of yours");
        assert!(problems[1].starts_with("judge.connection_id: is not there"), "{problems:?}");
    }

    let start = json!({"agent_id": agent["id"],
        "scenario_ids": [twins[0]["id"], plain["id"], twins[1]["id"]]});
    let (_, problems) = refused(&user, "/suites", &start).await;
    let places: Vec<_> = problems.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(places, ["scenario_ids[0]", "scenario_ids[2]"], "{problems:?}");
    let start = json!({"agent_id": agent["id"], "filter": {"built_in": false}});
    let (_, problems) = refused(&user, "/suites", &start).await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    for twin in &twins {
        assert!(problems.iter().any(|p| p.contains(&id(twin))), "{problems:?}");
    }

    // A run names one.
    for scenario in [json!(nobody), twins[0]["id"].clone()] {
        let start = json!({"agent_id": agent["id"], "scenario_id": scenario});
        let (status, problems) = refused(&user, "/runs", &start).await;
        assert_eq!((status, problems.len()), (422, 1));
        assert!(problems[0].starts_with("scenario_id: "), "{problems:?}");
    }
}

#[tokio::test]
async fn judging_again_hears_what_it_is_sent() {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("judge@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let scenario = user.scenario("S", 1).await;
    let start = json!({"agent_id": agent["id"], "scenario_id": scenario["id"]});
    let suite = user.make("/runs", &start).await;
    let run = id(&user.finished(&id(&suite)).await["runs"][0]);
    let path = format!("/runs/{run}/evaluate");
    let send = |body: &'static str| {
        let ask = user.ask(Method::POST, &path).header("Idempotency-Key", "k1");
        ask.header("content-type", "application/json").body(body).send()
    };
    assert_eq!(send("{{").await.unwrap().status(), 400);
    assert_eq!(told(send(r#"{"judge": 1}"#).await.unwrap()).await.0, 422);
    assert_eq!(send("").await.unwrap().status(), 202);
    let again = send("{}").await.unwrap();
    assert!(again.headers().contains_key("idempotency-replayed"));
    assert_eq!(send(r#"{"judge": 1}"#).await.unwrap().status(), 422, "another body");
}

#[tokio::test]
async fn a_run_that_is_not_begun_waits_for_a_slot() {
    let stand = mock_provider::start(Script { latency_ms: 60_000, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("slots@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let scenario = user.scenario("S", 1).await;
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]], "repeats": 2,
        "concurrency": 1});
    let started = user.make("/suites", &start).await;
    let slot = json!({"what": "slot", "until": null});
    assert_eq!(started["runs"][1]["waiting_on"], slot);
    let path = format!("/suites/{}", id(&started));
    let began = tokio::time::Instant::now();
    while user.get(&path).await["counts"]["running"] != 1 {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let suite = user.get(&path).await;
    assert_eq!(suite["runs"][0]["waiting_on"], Value::Null, "it has one");
    assert_eq!(suite["runs"][1]["waiting_on"], slot);
    assert_eq!(user.get(&format!("/runs/{}", id(&suite["runs"][1]))).await["waiting_on"], slot);
    user.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(user.finished(&id(&started)).await["runs"][1]["waiting_on"], Value::Null);
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_token_was_revoked() {
    let stand = mock_provider::start(Script { latency_ms: 60_000, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("leaves@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let scenario = user.scenario("S", 1).await;
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let suite = id(&user.make("/suites", &start).await);
    let token = user.make("/tokens", &json!({"name": "leaves"})).await;
    let program = user.with_token(token["token"].as_str().unwrap());
    let stream = program.ask(Method::GET, &format!("/suites/{suite}/events")).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let revoke = user.ask(Method::DELETE, &format!("/tokens/{}", id(&token)));
    assert!(revoke.send().await.unwrap().status().is_success());
    let whole = tokio::time::timeout(Duration::from_secs(30), stream.text());
    let text = whole.await.expect("it ends").unwrap();
    assert!(text.contains("event: snapshot") && !text.contains("event: finished"), "{text}");
    user.post(&format!("/suites/{suite}/cancel"), &json!({})).await;
}

#[tokio::test]
async fn what_would_break_every_call_is_refused_when_it_is_saved() {
    let house = House::new(&binary()).await;
    let user = house.user("saves@example.org");
    let connection = json!({"name": "C", "kind": "openai", "base_url": "http://127.0.0.1:1/v1",
        "headers": {"Transfer-Encoding": "chunked", "X-Team": "a"}});
    let (status, problems) = refused(&user, "/connections", &connection).await;
    assert_eq!((status, problems.len()), (422, 1), "{problems:?}");
    assert!(problems[0].starts_with("headers: Transfer-Encoding"), "{problems:?}");

    let agent = user.agent("openai", "http://127.0.0.1:1/v1").await;
    let with = |parameters: Value| {
        let mut draft = agent.clone();
        draft["tools"] = json!([{"name": "look", "parameters": parameters}]);
        draft
    };
    // The first two the browser says too, the others the server alone.
    for part in [
        json!({"type": "banana"}),
        json!({"properties": 5}),
        json!({"type": "string", "pattern": "("}),
        json!({"anyOf": [{"type": "banana"}]}),
        json!({"minimum": "low"}),
    ] {
        let draft = with(json!({"type": "object", "properties": {"a": part}}));
        let (status, problems) = refused(&user, "/agents", &draft).await;
        assert_eq!((status, problems.len()), (422, 1), "{draft}: {problems:?}");
        assert!(problems[0].starts_with("tools[0].parameters: is no JSON Schema"), "{problems:?}");
    }
    let good = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}});
    user.make("/agents", &with(good)).await;
}

#[tokio::test]
async fn a_log_level_that_is_none_is_told_at_the_start() {
    let mut house = House::of(&binary()).with("REHEARSAL_LOG", "loud");
    house.spawn();
    let (ended, _) = house.ended().await;
    assert!(!ended.success());
    assert!(house.log().contains("\"loud\" is no level"), "{}", house.log());
}

#[tokio::test]
async fn who_sends_too_much_hears_it() {
    const LENGTH: usize = 12 << 20;
    let house = House::new(&binary()).await;
    let user = house.user("much@example.org");
    for framing in [format!("content-length: {LENGTH}"), "transfer-encoding: chunked".to_owned()] {
        let chunked = framing.starts_with("transfer");
        let (reading, mut writing) =
            tokio::net::TcpStream::connect(house.addr).await.unwrap().into_split();
        let head = format!(
            "POST /api/v1/scenarios HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\nconnection: close\r\n{framing}\r\n\r\n",
            house.addr, user.token
        );
        writing.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b' '; 1 << 20];
        for _ in 0..LENGTH / piece.len() {
            if chunked {
                writing.write_all(b"100000\r\n").await.unwrap();
            }
            writing.write_all(&piece).await.expect("it is taken in");
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
        assert!(answer.contains("at most 8 MiB"), "{answer}");
    }
}
