//! The OpenAPI document matches the router, and no input causes an internal error.

use super::fake_services::id;
use super::support::{TestRequest, TestServer};
use serde_json::Value;

/// Method and path of every operation, with `id` filled in.
fn operations(id: &str) -> Vec<(String, String)> {
    let document = serde_json::to_value(crate::http::api::document()).expect("a document");
    let paths = document["paths"].as_object().expect("paths");
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in ["get", "post", "put", "delete"] {
            if item.get(method).is_some() {
                operations.push((method.to_uppercase(), path.replace("{id}", id)));
            }
        }
    }
    operations
}

/// The routes that API clients rely on.
const DOCUMENTED_ROUTES: [(&str, &str); 57] = [
    ("GET", "/agents"),
    ("POST", "/agents"),
    ("GET", "/agents/{id}"),
    ("PUT", "/agents/{id}"),
    ("DELETE", "/agents/{id}"),
    ("POST", "/agents/{id}/duplicate"),
    ("GET", "/agents/{id}/revisions"),
    ("GET", "/agents/{id}/cost"),
    ("GET", "/scenarios"),
    ("POST", "/scenarios"),
    ("GET", "/scenarios/{id}"),
    ("PUT", "/scenarios/{id}"),
    ("DELETE", "/scenarios/{id}"),
    ("POST", "/scenarios/{id}/duplicate"),
    ("GET", "/scenarios/{id}/revisions"),
    ("POST", "/scenarios/validate"),
    ("GET", "/scenarios/export"),
    ("GET", "/profiles"),
    ("POST", "/profiles"),
    ("GET", "/profiles/export"),
    ("GET", "/profiles/{id}"),
    ("PUT", "/profiles/{id}"),
    ("DELETE", "/profiles/{id}"),
    ("POST", "/import"),
    ("GET", "/connections"),
    ("POST", "/connections"),
    ("GET", "/connections/{id}"),
    ("PUT", "/connections/{id}"),
    ("DELETE", "/connections/{id}"),
    ("POST", "/connections/{id}/test"),
    ("GET", "/connections/{id}/prices"),
    ("PUT", "/connections/{id}/prices"),
    ("GET", "/budget"),
    ("PUT", "/budget"),
    ("GET", "/settings"),
    ("PUT", "/settings"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", "/tokens/{id}"),
    ("POST", "/suites"),
    ("POST", "/suites/preflight"),
    ("GET", "/suites"),
    ("GET", "/suites/{id}"),
    ("POST", "/suites/{id}/cancel"),
    ("POST", "/suites/{id}/rerun"),
    ("GET", "/suites/{id}/events"),
    ("GET", "/suites/{id}/report.csv"),
    ("GET", "/suites/{id}/report.html"),
    ("GET", "/suites/{id}/report.json"),
    ("GET", "/suites/{id}/report.md"),
    ("GET", "/suites/{id}/report.xml"),
    ("POST", "/runs"),
    ("GET", "/runs"),
    ("GET", "/runs/{id}"),
    ("POST", "/runs/{id}/cancel"),
    ("POST", "/runs/{id}/evaluate"),
    ("GET", "/events"),
];

#[test]
fn openapi_document_contains_all_documented_routes() {
    let mut expected: Vec<_> =
        DOCUMENTED_ROUTES.iter().map(|(m, p)| ((*m).to_owned(), format!("/api/v1{p}"))).collect();
    let mut response = operations("{id}");
    expected.sort();
    response.sort();
    assert_eq!(response, expected);
}

/// Generated clients name their types after the schemas, whatever the types are called here.
#[test]
fn schemas_keep_their_names() {
    let document = serde_json::to_value(crate::http::api::document()).expect("a document");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for name in
        ["Page_Agent", "Page_Run", "Page_Suite", "TextItem", "Incompatibility", "ToolResult"]
    {
        assert!(schemas.contains_key(name), "{name} is not among {:?}", schemas.keys());
    }
}

#[tokio::test]
async fn every_operation_requires_authentication() {
    let server = TestServer::new();
    let id = id(5).to_string();
    for (method, path) in operations(&id) {
        let response = server.send(TestRequest::new(&method, &path, "")).await;
        assert_eq!(response.status, 401, "{method} {path}");
        response.problem();
    }
}

#[tokio::test]
async fn openapi_references_resolve() {
    let response = TestServer::new().send(TestRequest::get("/api/v1/openapi.json")).await;
    let document = response.json();
    assert_eq!(document["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                references.push(reference.clone());
            }
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn documentation_page_describes_routes_and_errors() {
    let response = TestServer::new().send(TestRequest::get("/api/docs")).await;
    assert_eq!(response.status, 200);
    for text in ["/api/v1/suites/{id}/rerun", "Idempotency-Key", "id=\"conflict\""] {
        assert!(response.text.contains(text), "{text}");
    }
    assert!(!response.text.contains("<script") && !response.text.contains("http://"));
}

#[tokio::test]
async fn malformed_input_never_causes_a_500() {
    let server = TestServer::new();
    let deep = "[".repeat(100_000);
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "7",
        "\"text\"",
        "{\"\\u0000\": \"\\u0000\"}",
        "{\"name\": [[]], \"tools\": {\"0\": 1}, \"revision\": -1, \"which\": {}}",
        "{\"agent_id\": [], \"scenario_ids\": {\"a\": 1}, \"filter\": [], \"repeats\": 1e400}",
        "{\"judge\": 1, \"simulated_user\": {\"model\": {}}, \"headers\": [1]}",
        "\u{FFFD}",
        deep.as_str(),
    ];
    let known = id(5).to_string();
    for id in [known.as_str(), "x", "%00", "%FF", "..%2f"] {
        for (method, path) in operations(id) {
            for body in bodies {
                for query in ["", "?cursor=%00&limit=-1&after=x&dry_run=%FF"] {
                    let request =
                        TestRequest::new(&method, &format!("{path}{query}"), body.to_owned());
                    let request = request.header("content-type", "application/json");
                    let response =
                        server.send_raw(request.header("authorization", "Bearer good").0).await;
                    // Streams stay open, so the body is not read.
                    let status = response.status();
                    assert!(!status.is_server_error(), "{method} {path}{query} {body:.40}");
                }
            }
        }
    }
}
