//! The part `http` of an agent.

use super::http_agent::{HttpMethod, SessionIdPart, SessionMode, ToolVisibility};
use super::{AgentSpec, Draft, mask_request_headers};
use rstest::rstest;
use serde_json::{Value, json};

const CONNECTION: &str = "018f2f1e-0000-7000-8000-000000000001";

/// An agent without a session, changed at these paths.
fn draft(changes: &[(&str, Value)]) -> Draft {
    let mut draft = json!({
        "name": "Desk", "connection_id": CONNECTION,
        "http": {
            "purpose": "Books tables.",
            "request": {"path": "/chat", "body": {"messages": "{{messages}}"}},
            "response": {"text": "/reply"},
        }
    });
    for (path, value) in changes {
        let mut at = &mut draft["http"];
        for step in path.split('.') {
            at = &mut at[step];
        }
        *at = value.clone();
    }
    Draft(draft)
}

fn problems(changes: &[(&str, Value)]) -> Vec<String> {
    let parsed = AgentSpec::parse(&draft(changes));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn server_session() -> Vec<(&'static str, Value)> {
    vec![
        ("session", json!({"mode": "server", "id": {"at": "/id"}, "start": {"path": "/sessions"}})),
        ("request.body", json!({"id": "{{session_id}}", "text": "{{message}}"})),
    ]
}

#[test]
fn defaults_are_filled_in_and_prompt_and_model_are_optional() {
    let agent = AgentSpec::parse(&draft(&[])).expect("valid");
    assert_eq!((agent.system_prompt.as_str(), agent.model.as_str()), ("", ""));
    assert_eq!(agent.instructions(), "Books tables.");
    let http = agent.http.expect("deployed");
    assert_eq!(http.request.method, HttpMethod::Post);
    assert_eq!((http.session.mode, http.tools), (SessionMode::None, ToolVisibility::None));
    assert!(!http.idempotent && http.poll.is_none() && http.session.start.is_none());
}

#[test]
fn stored_agent_parses_to_itself() {
    let mut changes = server_session();
    changes.extend([
        ("tools", json!("in_response")),
        ("response.tool_calls", json!({"list": "/calls", "name": "/name", "result": "/out"})),
        ("request.headers", json!({"X-Turn": "{{turn}}"})),
        ("poll", json!({"status": "/state", "done": "ready"})),
    ]);
    let agent = AgentSpec::parse(&draft(&changes)).expect("valid");
    let stored = serde_json::to_value(&agent).expect("JSON");
    assert_eq!(AgentSpec::parse(&Draft(stored)).expect("valid"), agent);
}

#[test]
fn form_and_json_are_read_alike() {
    let form = Draft(json!({
        "name": "Desk", "connection_id": CONNECTION, "system_prompt": "", "model": "",
        "http": {
            "purpose": "Books tables.", "begins": "user", "idempotent": "false",
            "request": {"method": "POST", "path": "/chat", "headers": "X-Turn: {{turn}}\n",
                "body": "{\"messages\": \"{{messages}}\"}"},
            "session": {"mode": "none", "id": {"from": "body", "at": ""},
                "start": {"method": "POST", "path": "", "headers": "", "body": " "},
                "greeting": "", "end": {"method": "DELETE", "path": "", "body": ""}},
            "response": {"format": "json", "text": "/reply", "events": "", "stop": "",
                "tool_calls": {"list": "", "name": "", "arguments": "", "result": ""},
                "end": "", "end_value": "", "input_tokens": "", "output_tokens": "", "error": ""},
            "poll": {"url": "", "status": "", "done": "", "failed": "", "interval_ms": ""},
            "tools": "none",
            "timeouts": {"first_byte_seconds": "", "idle_seconds": "30", "total_seconds": ""},
        }
    }));
    let form = AgentSpec::parse(&form).expect("valid");
    let header = [("request.headers", json!({"X-Turn": "{{turn}}"}))];
    assert_eq!(form, AgentSpec::parse(&draft(&header)).expect("valid"));
}

#[test]
fn session_of_the_server_is_read() {
    let agent = AgentSpec::parse(&draft(&server_session())).expect("valid");
    let http = agent.http.expect("deployed");
    let id = http.session.id.as_ref().expect("an id");
    assert_eq!((id.from, id.at.as_str()), (SessionIdPart::Body, "/id"));
    assert!(http.starts_session());
}

#[rstest]
#[case("purpose", json!(" "), "http.purpose: must not be empty")]
#[case("request.path", json!("chat"), "http.request.path: must begin with / or ?")]
#[case("request.path", json!("/a b"), "http.request.path: must not contain spaces")]
#[case("request.path", json!("/{{no/pe}}"), "http.request.path: contains {{no/pe}}, which is no variable")]
#[case("request.body", json!({"a": "{{messages"}), "http.request.body: at /a: contains {{messages, which is not closed")]
#[case("request.body", json!({"a": "{{x y}}", "m": "{{messages}}"}), "http.request.body: at /a: contains {{x y}}")]
#[case("request.body", json!({"m": "Hi {{messages}}"}), "http.request.body: at /m: {{messages}} must be a JSON value")]
#[case("request.body", json!({"m": "{{message}}"}), "http.request.body: must contain {{messages}}")]
#[case("request.body", json!("{\"m\": {{messages}}}"), "http.request.body: must be JSON")]
#[case("request.body", json!({"m": "{{messages}}", "s": "{{session_id}}"}), "http.session.mode: must not be none")]
#[case("request.method", json!("BREW"), "http.request.method: must be one of")]
#[case("request.headers", json!({"Host": "x"}), "http.request.headers: Host is set by Rehearsal")]
#[case("request.headers", json!({"X-Api-Key": "abc"}), "http.request.headers: X-Api-Key is set by Rehearsal")]
#[case("request.headers", json!({"X-Token": "abc"}), "http.request.headers: X-Token may be a secret")]
#[case("request.headers", json!("nonsense"), "http.request.headers: line 1: must have the form")]
#[case("response.text", json!(null), "http.response.text: must be a JSON Pointer")]
#[case("response.text", json!("reply"), "http.response.text: must be a JSON Pointer, which begins with /")]
#[case("response.stop", json!("[DONE]"), "http.response.stop: is possible with a streamed response only")]
#[case("response.end_value", json!("x"), "http.response.end_value: needs the pointer end")]
#[case("response.tool_calls", json!({"list": "/c", "name": "/n"}), "http.response.tool_calls.list: is read with the tools in_response only")]
#[case("tools", json!("in_response"), "http.response.tool_calls.list: must say where")]
#[case("session.mode", json!("client"), "http.request.body: must send {{session_id}}")]
#[case("session.mode", json!("server"), "http.session.id.at: must say where")]
#[case("session.start", json!({"path": "/s"}), "http.session.start: is possible with a session of mode server only")]
#[case("session.greeting", json!("/hi"), "http.session.greeting: is read from the response to start")]
#[case("poll", json!({"done": "ready"}), "http.poll.status: must be a JSON Pointer")]
#[case("poll", json!({"status": "/s"}), "http.poll.done: must list")]
#[case("timeouts.total_seconds", json!(0), "http.timeouts.total_seconds: must be from 1 to 600")]
#[case("colour", json!("red"), "http.colour: is not a known field")]
fn problem_is_reported_with_its_path(
    #[case] path: &str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    let found = problems(&[(path, value)]);
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:#?}");
}

#[test]
fn start_request_cannot_contain_messages_or_its_own_session() {
    let mut changes = server_session();
    changes.push(("session.start.body", json!({"m": "{{message}}", "s": "{{session_id}}"})));
    let found = problems(&changes);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|problem| problem.starts_with("http.session.start.body: cannot")));
}

#[test]
fn cookie_carries_the_session_by_itself() {
    let mut changes = server_session();
    changes.push(("session.id", json!({"from": "cookie", "at": "sid"})));
    changes.push(("request.body", json!({"text": "{{message}}"})));
    assert_eq!(problems(&changes), Vec::<String>::new());
}

#[test]
fn prompt_agent_still_needs_prompt_and_model() {
    let draft = Draft(json!({"name": "Desk", "connection_id": CONNECTION, "http": null}));
    let found = AgentSpec::parse(&draft).expect_err("problems");
    let paths: Vec<_> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["system_prompt", "model"]);
}

#[test]
fn secret_headers_of_all_requests_are_masked_and_refused() {
    let mut changes = server_session();
    changes.extend([
        ("request.headers", json!("X-Team: desk\nX-Token: abc\nX-Session: {{session_id}}")),
        ("session.start.headers", json!({"X-Upstream": "Bearer abc", "X-Team": "desk"})),
        ("session.end", json!({"path": "/end", "headers": {"X-Signature": 7}})),
        ("request.body", json!({"id": "{{session_id}}", "token": "abc"})),
    ]);
    let mut masked = draft(&changes);
    mask_request_headers(&mut masked);
    let Draft(Value::Object(fields)) = &masked else { panic!("an object") };
    let http = &fields["http"];
    assert_eq!(
        http["request"]["headers"],
        json!("X-Team: desk\nX-Token: ••••••••\nX-Session: {{session_id}}")
    );
    let upstream = json!({"X-Upstream": "••••••••", "X-Team": "desk"});
    assert_eq!(http["session"]["start"]["headers"], upstream);
    assert_eq!(http["session"]["end"]["headers"], json!({"X-Signature": "••••••••"}));
    assert_eq!(http["request"]["body"]["token"], "abc", "only headers are masked");
    let problems = AgentSpec::parse(&masked).expect_err("masks are refused");
    let headers = problems.iter().filter(|problem| problem.path.ends_with("headers"));
    assert_eq!(headers.count(), 3, "{problems:?}");
}
