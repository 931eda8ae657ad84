//! API: statuses, problem documents and idempotency keys.

use super::fake_services::id;
use super::support::{TestRequest, TestResponse, TestServer};
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
async fn anonymous_request_gets_401_with_bearer_challenge() {
    let response = TestServer::new().send(TestRequest::get("/api/v1/agents")).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.header("www-authenticate"), "Bearer");
    response.problem();
}

#[rstest]
#[case("Bearer good", 200)]
#[case("bearer good", 200)]
#[case("Bearer bad", 401)]
#[case("Bearer", 401)]
#[case("Bearer  ", 401)]
#[case("Bearer broken", 503)]
#[case("Basic Zm9vOmJhcg==", 401)] // credentials of a proxy; anonymous
#[tokio::test]
async fn bearer_tokens_authenticate(#[case] header: &str, #[case] status: u16) {
    let request = TestRequest::get("/api/v1/agents").header("authorization", header);
    assert_eq!(TestServer::new().send(request).await.status, status);
}

#[tokio::test]
async fn token_takes_precedence_over_the_cookie() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let request = || TestRequest::get("/api/v1/agents").header("cookie", &cookie);
    assert_eq!(server.send(request()).await.status, 200);
    let bad = server.send(request().header("authorization", "Bearer bad")).await;
    assert_eq!(bad.status, 401);
}

#[rstest]
#[case::no_route("GET", "/api/v1/nothing", 404)]
#[case::outside_the_api("GET", "/api/nothing", 404)]
#[case::no_id("GET", "/api/v1/agents/7", 404)]
#[case::of_another_user("GET", "/api/v1/agents/0190a000-0000-7000-8000-000000000001", 404)]
#[case::method("PATCH", "/api/v1/agents", 405)]
#[case::bad_limit("GET", "/api/v1/agents?limit=201", 422)]
#[case::bad_word("GET", "/api/v1/runs?status=finished&error_kind=oops", 422)]
#[case::unknown_word("GET", "/api/v1/scenarios?categry=booking", 422)]
#[tokio::test]
async fn rejections_are_problem_documents(
    #[case] method: &str,
    #[case] path: &str,
    #[case] status: u16,
) {
    let response = TestServer::new().api(TestRequest::new(method, path, "")).await;
    assert_eq!(response.status, status, "{}", response.text);
    response.problem();
}

#[tokio::test]
async fn every_invalid_parameter_is_reported() {
    let request = TestRequest::get("/api/v1/runs?status=x&error_kind=y&since=z&agent=a&limit=0");
    let problem = TestServer::new().api(request).await.problem();
    let errors = problem["errors"].as_array().expect("errors");
    let paths: Vec<_> = errors.iter().filter_map(|e| e["path"].as_str()).collect();
    for path in ["status", "error_kind", "since", "agent", "limit"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[tokio::test]
async fn filters_are_passed_to_the_service() {
    let server = TestServer::new();
    let request = "/api/v1/scenarios?category=booking&difficulty=&q=seat%20map&built_in=false";
    assert_eq!(server.api(TestRequest::get(request)).await.status, 200);
    let filter = server.fake.filters.lock().remove(0);
    assert_eq!(filter.category, Some(domain::Category::Booking));
    assert_eq!(filter.difficulty, None);
    assert_eq!(filter.q.as_deref(), Some("seat map"));
    assert_eq!(filter.built_in, Some(false));
}

#[tokio::test]
async fn cursors_are_passed_to_the_service() {
    let response =
        TestServer::new().api(TestRequest::get("/api/v1/agents?cursor=abc&limit=2")).await;
    assert_eq!(response.json(), json!({"items": [], "next": "abc"}));
}

#[rstest]
#[case("{\"name\": \n  tru}", 400, "line 2")]
#[case("{} {}", 400, "trailing")]
#[case("", 400, "empty")]
#[case("\u{FEFF}{}", 400, "line 1")]
#[tokio::test]
async fn malformed_json_error_contains_the_position(
    #[case] body: &str,
    #[case] status: u16,
    #[case] position: &str,
) {
    let request = TestRequest::new("POST", "/api/v1/agents", body.to_owned());
    let response = TestServer::new().api(request.header("content-type", "application/json")).await;
    assert_eq!(response.status, status);
    let problem = response.problem();
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains(position)), "{problem}");
}

#[rstest]
#[case("text/plain", 415)]
#[case("application/x-www-form-urlencoded", 415)]
#[case("application/json; charset=utf-8", 201)]
#[case("application/merge-patch+json", 201)]
#[tokio::test]
async fn json_body_requires_a_json_content_type(#[case] kind: &str, #[case] status: u16) {
    let request =
        TestRequest::json("POST", "/api/v1/agents", &agent()).header("content-type", kind);
    let response = TestServer::new().api(request).await;
    assert_eq!(response.status, status, "{}", response.text);
}

#[tokio::test]
async fn oversized_body_is_rejected_with_and_without_content_length() {
    let big = "x".repeat(domain::limits::BODY + 1);
    let chunks = futures::stream::iter(vec![Ok::<_, std::io::Error>(big.clone())]);
    let streamed = axum::body::Body::from_stream(chunks);
    let announced = TestRequest::new("POST", "/api/v1/agents", big.clone())
        .header("content-length", &big.len().to_string());
    for request in [announced, TestRequest::new("POST", "/api/v1/agents", streamed)] {
        let response =
            TestServer::new().api(request.header("content-type", "application/json")).await;
        assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
        response.problem();
    }
}

#[tokio::test]
async fn all_problems_are_reported_with_paths() {
    let body = json!({"name": "", "tools": [{"name": "a b"}], "role": "x"});
    let response = TestServer::new().api(TestRequest::json("POST", "/api/v1/agents", &body)).await;
    assert_eq!(response.status, 422);
    let problem = response.problem();
    let errors = problem["errors"].as_array().expect("errors");
    let paths: Vec<_> = errors.iter().filter_map(|e| e["path"].as_str()).collect();
    for path in ["name", "system_prompt", "connection_id", "model", "tools[0].name", "role"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[tokio::test]
async fn created_object_has_a_location() {
    let response =
        TestServer::new().api(TestRequest::json("POST", "/api/v1/agents", &agent())).await;
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!(response.header("location"), format!("/api/v1/agents/{}", id(10)));
    assert_eq!(response.json()["name"], "A");
}

#[rstest]
#[case(json!(1), 200)]
#[case(json!(7), 409)]
#[case(json!("x"), 422)]
#[case(json!(0), 422)]
#[case(Value::Null, 422)]
#[tokio::test]
async fn update_requires_the_current_revision(#[case] revision: Value, #[case] status: u16) {
    let mut body = agent();
    body["revision"] = revision;
    let path = format!("/api/v1/agents/{}", id(10));
    let response = TestServer::new().api(TestRequest::json("PUT", &path, &body)).await;
    assert_eq!(response.status, status, "{}", response.text);
}

#[tokio::test]
async fn missing_revision_does_not_hide_other_problems() {
    let path = format!("/api/v1/agents/{}", id(10));
    let response =
        TestServer::new().api(TestRequest::json("PUT", &path, &json!({"name": "A"}))).await;
    let problem = response.problem().to_string();
    assert!(problem.contains("\"revision\"") && problem.contains("\"system_prompt\""));
}

#[tokio::test]
async fn conflict_contains_its_link() {
    let mut body = agent();
    body["name"] = json!("Twice");
    let response = TestServer::new().api(TestRequest::json("POST", "/api/v1/agents", &body)).await;
    assert_eq!(
        (response.status.as_u16(), response.problem()["link"].as_str()),
        (409, Some("/agents"))
    );
}

#[tokio::test]
async fn internal_error_reveals_only_an_id() {
    let server = TestServer::new();
    for (name, known) in [("Internal", Some(id(77))), ("Panic", None)] {
        let mut body = agent();
        body["name"] = json!(name);
        let response = server.api(TestRequest::json("POST", "/api/v1/agents", &body)).await;
        assert_eq!(response.status, 500);
        let instance = response.problem()["instance"].as_str().expect("an id").to_owned();
        if let Some(known) = known {
            assert_eq!(instance, format!("urn:uuid:{known}"));
        }
        assert!(
            !response.text.contains("secret") && !response.text.contains("/var"),
            "{}",
            response.text
        );
    }
}

#[tokio::test]
async fn start_returns_the_stored_response_unchanged() {
    let server = TestServer::new();
    let request = |key: &str| {
        TestRequest::json("POST", "/api/v1/suites", &start()).header("idempotency-key", key)
    };
    let first = server.api(request("first")).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(first.header("location"), format!("/api/v1/suites/{}", id(20)));
    assert_eq!(first.text, "{ \"id\":\"the suite\" }");
    assert_eq!(first.header("idempotency-replayed"), "");
    let repeated = server.api(request("\"repeated\"")).await;
    assert_eq!(repeated.header("idempotency-replayed"), "true");
    assert_eq!(repeated.text, first.text);
    let reused = server.api(request("reused")).await;
    assert_eq!((reused.status.as_u16(), &reused.problem()["link"]), (422, &json!("/suites/1")));
    let full = server.api(request("full")).await;
    assert_eq!((full.status.as_u16(), full.header("retry-after")), (429, "30"));
    let bad = server.api(request("\"open")).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn idempotency_key_covers_the_parsed_request() {
    let server = TestServer::new();
    let mut spelled = start();
    spelled["repeats"] = json!(1);
    spelled["note"] = json!("  ");
    for body in [start(), spelled] {
        server.api(TestRequest::json("POST", "/api/v1/suites", &body)).await;
    }
    let starts = server.fake.starts.lock();
    assert_eq!(starts[0].1, starts[1].1);
    assert_eq!(starts[0].1.path, "/suites");
}

#[tokio::test]
async fn starting_a_run_creates_a_suite_of_one() {
    let server = TestServer::new();
    let body = json!({"agent_id": id(10), "scenario_id": id(11)});
    let response = server.api(TestRequest::json("POST", "/api/v1/runs", &body)).await;
    assert_eq!(response.status, StatusCode::ACCEPTED);
    let starts = server.fake.starts.lock();
    assert_eq!(starts[0].0.scenario_ids.as_ref().map(Vec::len), Some(1));
    assert_eq!(starts[0].1.path, "/runs");
}

#[tokio::test]
async fn validation_reports_all_problems_without_saving() {
    let body = json!({"name": "S", "category": "booking", "conversation_flow": [{"role": "user"}]});
    let response =
        TestServer::new().api(TestRequest::json("POST", "/api/v1/scenarios/validate", &body)).await;
    assert_eq!(response.status, 200);
    let text = response.text;
    for path in ["conversation_flow[0].speaker", "conversation_flow[0].role"] {
        assert!(text.contains(path), "{path} in {text}");
    }
}

#[tokio::test]
async fn connection_test_accepts_an_optional_model() {
    let path = format!("/api/v1/connections/{}/test", id(3));
    let server = TestServer::new();
    let bare = server.api(TestRequest::new("POST", &path, "")).await;
    assert_eq!(
        (bare.status.as_u16(), bare.json()["message"].as_str()),
        (200, Some("None answers"))
    );
    let response = server.api(TestRequest::json("POST", &path, &json!({"model": "m"}))).await;
    assert_eq!(response.json()["message"], "Some(\"m\") answers");
    let wrong = server.api(TestRequest::json("POST", &path, &json!({"modle": "m"}))).await;
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
async fn import_selects_the_format_by_content_type(
    #[case] kind: &str,
    #[case] body: &str,
    #[case] query: &str,
    #[case] status: u16,
) {
    let server = TestServer::new();
    let request = TestRequest::new("POST", &format!("/api/v1/import{query}"), body.to_owned());
    let response = server.api(request.header("content-type", kind)).await;
    assert_eq!(response.status, status, "{}", response.text);
    let imported = server.fake.imported.lock();
    assert_eq!(imported.len(), usize::from(status < 300));
    if status == 200 {
        assert!(imported[0].1 && imported[0].0.len() == 2);
    }
}

/// A `multipart/form-data` body with these file names and contents.
fn multipart(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in files {
        let head = format!(
            "--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(b"--cut--\r\n");
    body
}

async fn upload(server: &TestServer, query: &str, body: Vec<u8>) -> TestResponse {
    let request = TestRequest::new("POST", &format!("/api/v1/import{query}"), body);
    server.api(request.header("content-type", "multipart/form-data; boundary=cut")).await
}

#[tokio::test]
async fn uploaded_definitions_are_converted_and_what_is_lost_is_reported() {
    let server = TestServer::new();
    let retell = br#"{"general_prompt": "Be kind.", "begin_message": "Hello!", "llm_id": "x"}"#;
    let files: [(&str, &[u8]); 2] = [("desk.json", retell), ("dir/policy.md", b"# Policy\n")];
    let response = upload(&server, "?connection=Mine&model=m", multipart(&files)).await;
    assert_eq!(response.status, 201, "{}", response.text);
    let report = response.json();
    assert_eq!(report["files"][0], json!({"name": "desk.json", "format": "Retell LLM"}));
    assert_eq!(report["files"][1]["name"], "policy.md");
    let note = &report["notes"][0];
    assert_eq!((&note["kind"], &note["path"]), (&"not_carried_over".into(), &"llm_id".into()));
    assert_eq!((&note["file"], &report["note_count"]), (&"desk.json".into(), &1.into()));
    let imported = server.fake.imported.lock();
    let agents: Vec<_> = imported[0].0.iter().map(|agent| agent.text("name")).collect();
    assert_eq!(agents, ["desk", "Policy"]);
    for agent in &imported[0].0 {
        assert_eq!(
            (agent.text("connection").as_str(), agent.text("model").as_str()),
            ("Mine", "m")
        );
    }
}

#[rstest]
#[case::no_file(multipart(&[]), 422, "must be selected")]
#[case::no_file_selected(multipart(&[("", b"")]), 422, "must be selected")]
#[case::unknown_type(multipart(&[("a.exe", b"x")]), 415, "a.exe: unsupported file type")]
#[case::not_utf8(multipart(&[("a.json", b"\xff\xfe")]), 400, "a.json: the file is not text")]
#[case::broken_json(multipart(&[("a.json", b"{}"), ("b.json", b"{")]), 422, "a.json: ")]
#[case::cut_off(b"--cut\r\ncontent-dispo".to_vec(), 400, "incomplete")]
#[case::no_multipart(b"x".to_vec(), 400, "incomplete")]
#[case::too_many(multipart(&[("a.md", b"x".as_slice()); 51]), 422, "at most 50 files")]
#[case::wrong_definition(multipart(&[("a.json", br#"{"llm_id": "a", "states": 7}"#)]), 422, "states: must be a list")]
#[tokio::test]
async fn unusable_upload_is_refused(
    #[case] body: Vec<u8>,
    #[case] status: u16,
    #[case] words: &str,
) {
    let server = TestServer::new();
    let response = upload(&server, "", body).await;
    assert_eq!(response.status, status, "{}", response.text);
    let problem = response.problem();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(words), "{detail}");
    assert!(server.fake.imported.lock().is_empty());
}
