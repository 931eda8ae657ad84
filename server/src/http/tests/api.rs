//! Statuses, problem documents, places and keys of the API.

use super::fake_services::id;
use super::support::{Ask, Server};
use axum::http::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};

fn agent() -> Value {
    json!({"name": "A", "system_prompt": "Be kind.", "connection_id": id(3), "model": "m"})
}

fn start() -> Value {
    json!({"agent_id": id(10), "scenario_ids": [id(11)]})
}

#[tokio::test]
async fn nobody_is_asked_for_a_token() {
    let told = Server::new().told(Ask::get("/api/v1/agents")).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    assert_eq!(told.header("www-authenticate"), "Bearer");
    told.problem();
}

#[rstest]
#[case("Bearer good", 200)]
#[case("bearer good", 200)]
#[case("Bearer bad", 401)]
#[case("Bearer", 401)]
#[case("Bearer  ", 401)]
#[case("Bearer broken", 503)]
#[case("Basic Zm9vOmJhcg==", 401)] // a proxy's; nobody is signed in
#[tokio::test]
async fn tokens_let_in(#[case] header: &str, #[case] status: u16) {
    let ask = Ask::get("/api/v1/agents").header("authorization", header);
    assert_eq!(Server::new().told(ask).await.status, status);
}

#[tokio::test]
async fn a_token_ignores_the_cookie() {
    let server = Server::new();
    let cookie = server.cookie().await;
    let ask = || Ask::get("/api/v1/agents").header("cookie", &cookie);
    assert_eq!(server.told(ask()).await.status, 200);
    let bad = server.told(ask().header("authorization", "Bearer bad")).await;
    assert_eq!(bad.status, 401);
}

#[rstest]
#[case::no_route("GET", "/api/v1/nothing", 404)]
#[case::no_route_at_all("GET", "/api/nothing", 404)]
#[case::no_id("GET", "/api/v1/agents/7", 404)]
#[case::somebody_elses("GET", "/api/v1/agents/0190a000-0000-7000-8000-000000000001", 404)]
#[case::method("PATCH", "/api/v1/agents", 405)]
#[case::bad_limit("GET", "/api/v1/agents?limit=201", 422)]
#[case::bad_word("GET", "/api/v1/runs?status=finished&error_kind=oops", 422)]
#[case::unknown_word("GET", "/api/v1/scenarios?categry=booking", 422)]
#[tokio::test]
async fn refusals_are_problems(#[case] method: &str, #[case] path: &str, #[case] status: u16) {
    let told = Server::new().api(Ask::new(method, path, "")).await;
    assert_eq!(told.status, status, "{}", told.text);
    told.problem();
}

#[tokio::test]
async fn every_wrong_parameter_is_named() {
    let ask = Ask::get("/api/v1/runs?status=x&error_kind=y&since=z&agent=a&limit=0");
    let problem = Server::new().api(ask).await.problem();
    let errors = problem["errors"].as_array().expect("errors");
    let paths: Vec<_> = errors.iter().filter_map(|e| e["path"].as_str()).collect();
    for path in ["status", "error_kind", "since", "agent", "limit"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[tokio::test]
async fn filters_reach_the_backend() {
    let server = Server::new();
    let ask = "/api/v1/scenarios?category=booking&difficulty=&q=seat%20map&built_in=false";
    assert_eq!(server.api(Ask::get(ask)).await.status, 200);
    let filter = server.fake.filters.lock().remove(0);
    assert_eq!(filter.category, Some(domain::Category::Booking));
    assert_eq!(filter.difficulty, None);
    assert_eq!(filter.q.as_deref(), Some("seat map"));
    assert_eq!(filter.built_in, Some(false));
}

#[tokio::test]
async fn cursors_go_round() {
    let told = Server::new().api(Ask::get("/api/v1/agents?cursor=abc&limit=2")).await;
    assert_eq!(told.json(), json!({"items": [], "next": "abc"}));
}

#[rstest]
#[case("{\"name\": \n  tru}", 400, "line 2")]
#[case("{} {}", 400, "trailing")]
#[case("", 400, "empty")]
#[case("\u{FEFF}{}", 400, "line 1")]
#[tokio::test]
async fn what_is_not_json_is_told_where(
    #[case] body: &str,
    #[case] status: u16,
    #[case] words: &str,
) {
    let ask = Ask::new("POST", "/api/v1/agents", body.to_owned());
    let told = Server::new().api(ask.header("content-type", "application/json")).await;
    assert_eq!(told.status, status);
    let problem = told.problem();
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains(words)), "{problem}");
}

#[rstest]
#[case("text/plain", 415)]
#[case("application/x-www-form-urlencoded", 415)]
#[case("application/json; charset=utf-8", 201)]
#[case("application/merge-patch+json", 201)]
#[tokio::test]
async fn the_content_type_counts(#[case] kind: &str, #[case] status: u16) {
    let ask = Ask::json("POST", "/api/v1/agents", &agent()).header("content-type", kind);
    let told = Server::new().api(ask).await;
    assert_eq!(told.status, status, "{}", told.text);
}

#[tokio::test]
async fn too_much_is_413_whether_or_not_it_was_announced() {
    let big = "x".repeat(domain::limits::BODY + 1);
    let chunks = futures::stream::iter(vec![Ok::<_, std::io::Error>(big.clone())]);
    let streamed = axum::body::Body::from_stream(chunks);
    let announced = Ask::new("POST", "/api/v1/agents", big.clone())
        .header("content-length", &big.len().to_string());
    for ask in [announced, Ask::new("POST", "/api/v1/agents", streamed)] {
        let told = Server::new().api(ask.header("content-type", "application/json")).await;
        assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE);
        told.problem();
    }
}

#[tokio::test]
async fn all_problems_come_with_paths() {
    let body = json!({"name": "", "tools": [{"name": "a b"}], "role": "x"});
    let told = Server::new().api(Ask::json("POST", "/api/v1/agents", &body)).await;
    assert_eq!(told.status, 422);
    let problem = told.problem();
    let errors = problem["errors"].as_array().expect("errors");
    let paths: Vec<_> = errors.iter().filter_map(|e| e["path"].as_str()).collect();
    for path in ["name", "system_prompt", "connection_id", "model", "tools[0].name", "role"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[tokio::test]
async fn what_is_made_has_a_place() {
    let told = Server::new().api(Ask::json("POST", "/api/v1/agents", &agent())).await;
    assert_eq!(told.status, StatusCode::CREATED);
    assert_eq!(told.header("location"), format!("/api/v1/agents/{}", id(10)));
    assert_eq!(told.json()["name"], "A");
}

#[rstest]
#[case(json!(1), 200)]
#[case(json!(7), 409)]
#[case(json!("x"), 422)]
#[case(json!(0), 422)]
#[case(Value::Null, 422)]
#[tokio::test]
async fn a_change_names_its_revision(#[case] revision: Value, #[case] status: u16) {
    let mut body = agent();
    body["revision"] = revision;
    let path = format!("/api/v1/agents/{}", id(10));
    let told = Server::new().api(Ask::json("PUT", &path, &body)).await;
    assert_eq!(told.status, status, "{}", told.text);
}

#[tokio::test]
async fn a_missing_revision_does_not_hide_other_problems() {
    let path = format!("/api/v1/agents/{}", id(10));
    let told = Server::new().api(Ask::json("PUT", &path, &json!({"name": "A"}))).await;
    let problem = told.problem().to_string();
    assert!(problem.contains("\"revision\"") && problem.contains("\"system_prompt\""));
}

#[tokio::test]
async fn conflicts_carry_their_link() {
    let mut body = agent();
    body["name"] = json!("Twice");
    let told = Server::new().api(Ask::json("POST", "/api/v1/agents", &body)).await;
    assert_eq!((told.status.as_u16(), told.problem()["link"].as_str()), (409, Some("/agents")));
}

#[tokio::test]
async fn our_faults_give_an_id_and_nothing_else() {
    let server = Server::new();
    for (name, known) in [("Internal", Some(id(77))), ("Panic", None)] {
        let mut body = agent();
        body["name"] = json!(name);
        let told = server.api(Ask::json("POST", "/api/v1/agents", &body)).await;
        assert_eq!(told.status, 500);
        let instance = told.problem()["instance"].as_str().expect("an id").to_owned();
        if let Some(known) = known {
            assert_eq!(instance, format!("urn:uuid:{known}"));
        }
        assert!(!told.text.contains("secret") && !told.text.contains("/var"), "{}", told.text);
    }
}

#[tokio::test]
async fn a_start_answers_its_very_bytes() {
    let server = Server::new();
    let ask =
        |key: &str| Ask::json("POST", "/api/v1/suites", &start()).header("idempotency-key", key);
    let first = server.api(ask("first")).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(first.header("location"), format!("/api/v1/suites/{}", id(20)));
    assert_eq!(first.text, "{ \"id\":\"the suite\" }");
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = server.api(ask("\"again\"")).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.text, first.text);
    let reused = server.api(ask("reused")).await;
    assert_eq!((reused.status.as_u16(), &reused.problem()["link"]), (422, &json!("/suites/1")));
    let full = server.api(ask("full")).await;
    assert_eq!((full.status.as_u16(), full.header("retry-after")), (429, "30"));
    let bad = server.api(ask("\"open")).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn a_key_covers_the_parsed_request() {
    let server = Server::new();
    let mut spelled = start();
    spelled["repeats"] = json!(1);
    spelled["note"] = json!("  ");
    for body in [start(), spelled] {
        server.api(Ask::json("POST", "/api/v1/suites", &body)).await;
    }
    let starts = server.fake.starts.lock();
    assert_eq!(starts[0].1, starts[1].1);
    assert_eq!(starts[0].1.path, "/suites");
}

#[tokio::test]
async fn a_run_is_a_suite_of_one() {
    let server = Server::new();
    let body = json!({"agent_id": id(10), "scenario_id": id(11)});
    let told = server.api(Ask::json("POST", "/api/v1/runs", &body)).await;
    assert_eq!(told.status, StatusCode::ACCEPTED);
    let starts = server.fake.starts.lock();
    assert_eq!(starts[0].0.scenario_ids.as_ref().map(Vec::len), Some(1));
    assert_eq!(starts[0].1.path, "/runs");
}

#[tokio::test]
async fn validation_saves_nothing_and_says_everything() {
    let body = json!({"name": "S", "category": "booking", "conversation_flow": [{"role": "user"}]});
    let told = Server::new().api(Ask::json("POST", "/api/v1/scenarios/validate", &body)).await;
    assert_eq!(told.status, 200);
    let text = told.text;
    for path in ["conversation_flow[0].speaker", "conversation_flow[0].role"] {
        assert!(text.contains(path), "{path} in {text}");
    }
}

#[tokio::test]
async fn a_test_needs_no_body_and_takes_a_model() {
    let path = format!("/api/v1/connections/{}/test", id(3));
    let server = Server::new();
    let bare = server.api(Ask::new("POST", &path, "")).await;
    assert_eq!(
        (bare.status.as_u16(), bare.json()["message"].as_str()),
        (200, Some("None answers"))
    );
    let told = server.api(Ask::json("POST", &path, &json!({"model": "m"}))).await;
    assert_eq!(told.json()["message"], "Some(\"m\") answers");
    let wrong = server.api(Ask::json("POST", &path, &json!({"modle": "m"}))).await;
    assert_eq!(wrong.status, 422);
}

#[rstest]
#[case("application/yaml", "- {kind: scenario, name: S}\n- {kind: agent}", "?dry_run=true", 200)]
#[case("text/markdown", "# A\nBe kind.", "", 201)]
#[case("application/json", "{\"kind\": \"agent\"}", "?dry_run=false", 201)]
#[case("application/json", "{", "", 400)]
#[case("application/json", "[{\"kind\": 1}]", "", 422)]
#[case("application/json", "{}", "?dry_run=perhaps", 422)]
#[case("image/png", "x", "", 415)]
#[tokio::test]
async fn import_reads_by_content_type(
    #[case] kind: &str,
    #[case] body: &str,
    #[case] query: &str,
    #[case] status: u16,
) {
    let server = Server::new();
    let ask = Ask::new("POST", &format!("/api/v1/import{query}"), body.to_owned());
    let told = server.api(ask.header("content-type", kind)).await;
    assert_eq!(told.status, status, "{}", told.text);
    let imported = server.fake.imported.lock();
    assert_eq!(imported.len(), usize::from(status < 300));
    if status == 200 {
        assert!(imported[0].1 && imported[0].0.len() == 2);
    }
}
