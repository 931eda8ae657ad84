//! The import in the browser: files are checked first, then saved.

use super::fake_services::id;
use super::support::{TestRequest, TestResponse, TestServer};
use axum::http::StatusCode;
use domain::services::ImportReport;

const RETELL: &str = r#"{"general_prompt": "Be kind.", "begin_message": "Hello!", "llm_id": "x",
    "general_tools": [{"type": "custom", "name": "t",
        "parameters": {"type": "object", "properties": {"token": {"type": "string"}}}}]}"#;

async fn upload(server: &TestServer, cookie: &str, name: &str, text: &str) -> TestResponse {
    let body = format!(
        "--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n\
         {text}\r\n--cut--\r\n"
    );
    let request = TestRequest::new("POST", "/forms/import", body);
    let request = request.header("content-type", "multipart/form-data; boundary=cut");
    server.send(request.header("cookie", cookie)).await
}

async fn save(server: &TestServer, cookie: &str, body: &str) -> TestResponse {
    server.send(TestRequest::form("/forms/import/save", body).header("cookie", cookie)).await
}

/// The report in the last stored form.
fn report(server: &TestServer) -> ImportReport {
    let forms = server.fake.saved_forms.lock();
    serde_json::from_str(&forms.last().expect("a form").draft.text("report")).expect("a report")
}

#[tokio::test]
async fn files_are_checked_and_then_saved_with_the_selected_model() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let checked = upload(&server, &cookie, "desk.json", RETELL).await;
    assert_eq!(checked.location(), format!("/import?saved_form={}", id(900)));
    let shown = report(&server);
    assert!(shown.dry_run);
    assert_eq!(shown.files[0].format, "Retell LLM");
    assert!(shown.notes.iter().any(|note| note.path == "llm_id"));

    let saved = save(&server, &cookie, &format!("upload={}&model=m", id(900))).await;
    assert!(saved.location().starts_with("/import?saved_form="), "{}", saved.location());
    let shown = report(&server);
    assert!(!shown.dry_run && shown.notes.iter().any(|note| note.path == "llm_id"));
    let imported = server.fake.imported.lock();
    assert_eq!(imported.iter().map(|(_, dry_run)| *dry_run).collect::<Vec<_>>(), [true, false]);
    let agent = &imported[1].0[0];
    assert_eq!((agent.text("name").as_str(), agent.text("model").as_str()), ("desk", "m"));
    // Stored forms lose fields with such names, but schemas of tools may have them.
    assert_eq!(agent.text("tools[0].parameters.properties.token.type"), "string");
}

#[tokio::test]
async fn secret_headers_in_files_are_not_stored() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    let agent = r#"{"kind": "agent", "name": "Desk",
        "http": {"request": {"headers": {"X-Token": "abc-secret", "X-Team": "desk"}}},
        "tools": [{"name": "t", "parameters": {"properties": {"token": {"type": "string"}}}}]}"#;
    upload(&server, &cookie, "desk.json", agent).await;
    assert_eq!(
        server.fake.imported.lock()[0].0[0].text("http.request.headers.X-Token"),
        "abc-secret",
        "what the user sent is checked"
    );
    let forms = server.fake.saved_forms.lock();
    let stored = forms.last().expect("a form").draft.0.to_string();
    assert!(!stored.contains("abc-secret"), "{stored}");
    for kept in ["••••••••", "desk", "token"] {
        assert!(stored.contains(kept), "{kept}: {stored}");
    }
}

#[tokio::test]
async fn unreadable_file_is_reported_on_the_page() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    for (name, text, words) in [
        ("a.json", "{", "This is not JSON"),
        ("a.png", "x", "a.png: unsupported file type"),
        ("a.json", r#"{"general_prompt": "P", "states": 7}"#, "states: must be a list"),
        ("", "", "must be selected"),
    ] {
        let response = upload(&server, &cookie, name, text).await;
        assert!(response.location().starts_with("/import?saved_form="), "{}", response.location());
        let forms = server.fake.saved_forms.lock();
        let detail = &forms.last().expect("a form").detail;
        assert!(detail.contains(words), "{detail}");
    }
    assert!(server.fake.imported.lock().is_empty());
}

#[tokio::test]
async fn expired_check_is_reported_on_the_page() {
    let server = TestServer::new();
    let cookie = server.cookie().await;
    for upload in ["", "no-id", &id(900).to_string()] {
        let response = save(&server, &cookie, &format!("upload={upload}")).await;
        assert!(response.location().starts_with("/import?saved_form="));
        let forms = server.fake.saved_forms.lock();
        let detail = &forms.last().expect("a form").detail;
        assert!(detail.contains("Select the files again."), "{detail}");
    }
    assert!(server.fake.imported.lock().is_empty());
}

#[tokio::test]
async fn import_without_a_session_leads_to_the_sign_in_page() {
    let server = TestServer::new();
    for response in
        [upload(&server, "", "a.json", RETELL).await, save(&server, "", "upload=x").await]
    {
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        assert_eq!(response.location(), "/sign-in?next=%2Fimport");
    }
    assert!(server.fake.saved_forms.lock().is_empty());
}
