use super::*;
use domain::{AuthScheme, ConnectionAuth, FinishReason};
use llm_types::ResponseLog;

#[tokio::test]
async fn message_is_sent_and_reply_is_read() {
    let parts = json!({
        "idempotent": true, "tools": "in_response",
        "request": {"headers": {"X-Turn": "{{turn}}"}},
        "response": {"end": "/done", "input_tokens": "/usage/in",
            "tool_calls": {"list": "/calls", "name": "/name", "result": "/result"}},
    });
    let (outcome, requests) = send(&parts, |_| {
        json_response(
            200,
            &json!({"reply": "Booked.", "done": true, "usage": {"in": 12},
            "calls": [{"name": "book", "result": {"ok": true}}, {"name": "mail"}]}),
        )
    })
    .await;
    let reply = outcome.expect("a reply");
    assert_eq!((reply.text.as_str(), reply.input_tokens), ("Booked.", 12));
    assert_eq!(reply.finish, FinishReason::Stop, "the agent has finished its turn");
    let http = reply.http.expect("an agent's reply");
    assert!(http.ended && http.session_id.is_none());
    assert_eq!(http.tool_results, [Some("{\"ok\":true}".to_owned()), None]);
    let names: Vec<_> = reply.tool_calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["book", "mail"]);
    let request = &requests[0];
    assert_eq!(request.line, "POST /chat");
    assert_eq!(request.body, json!({"id": "s-1", "text": "A table, please."}));
    assert_eq!(request.header("authorization"), Some("bearer test-key"));
    assert_eq!(request.header("idempotency-key"), Some(CALL));
    assert_eq!(request.header("x-rehearsal-call"), Some("call-1"));
    assert_eq!(request.header("x-turn"), Some("1"));
    let trace = "00-018f2f1e000070008000000000000001-800000000000000a-01";
    assert_eq!(request.header("traceparent"), Some(trace));
}

#[tokio::test]
async fn session_id_is_read_from_body_header_or_cookie() {
    let cases = [
        (json!({"at": "/data/id"}), json!({"data": {"id": "s-9"}}), ""),
        (json!({"from": "header", "at": "X-Session"}), json!({}), "x-session: s-9\r\n"),
        (json!({"from": "cookie", "at": "sid"}), json!({}), "set-cookie: sid=s-9; Path=/\r\n"),
    ];
    for (id, body, headers) in cases {
        let agent = agent(&server_session(id.clone()));
        let server =
            TestServer::start(move |_| response(201, headers, body.to_string().as_bytes())).await;
        let reply = complete(&endpoint_at(&server.url), call(&agent, true, false)).await;
        let http = reply.expect("a session").http.expect("an agent's reply");
        assert_eq!(http.session_id.as_deref(), Some("s-9"), "{id}");
        assert_eq!(server.requests()[0].line, "POST /sessions");
        assert_eq!(server.requests()[0].header("idempotency-key"), None);
    }
}

#[tokio::test]
async fn first_reply_may_contain_the_session_id() {
    let session = json!({"session": {"mode": "server", "id": {"at": "/conversation"}}});
    let agent = agent(&session);
    let server = TestServer::start(|request| match request.body["id"].as_str() {
        Some("") => json_response(200, &json!({"reply": "Hi", "conversation": "c-1"})),
        _ => json_response(200, &json!({"reply": "Hi"})),
    })
    .await;
    let first = HttpCall { has_session: false, ..call(&agent, false, false) };
    let mut unknown = first.clone();
    unknown.request.body = Some(json!({"id": "", "text": "x"}));
    let reply = complete(&endpoint_at(&server.url), unknown).await.expect("a reply");
    assert_eq!(reply.http.expect("http").session_id.as_deref(), Some("c-1"));
    let later = complete(&endpoint_at(&server.url), call(&agent, false, true)).await;
    assert_eq!(later.expect("a reply").http.expect("http").session_id, None, "it is kept");
    let error = complete(&endpoint_at(&server.url), first).await.expect_err("no session id");
    assert!(error.message.contains("no session id at /conversation"), "{error}");
}

#[tokio::test]
async fn streams_are_read_until_they_stop() {
    let parts = json!({"response": {"format": "sse", "text": "/delta", "stop": "[DONE]"}});
    let (outcome, _) = send(&parts, |_| {
        let body =
            "data: {\"delta\":\"Hel\"}\n\n: ping\n\ndata: {\"delta\":\"lo\"}\n\ndata: [DONE]\n\n";
        // The connection stays open after the marker, as far as the length says.
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n";
        [head.as_bytes(), body.as_bytes()].concat()
    })
    .await;
    assert_eq!(outcome.expect("a reply").text, "Hello");
    let parts = json!({"response": {"format": "ndjson", "text": "/delta"}});
    let (outcome, _) =
        send(&parts, |_| response(200, "", b"{\"delta\":\"a\"}\n{\"delta\":\"b\"}\n")).await;
    assert_eq!(outcome.expect("a reply").text, "ab");
}

#[tokio::test]
async fn secrets_in_a_reply_are_masked() {
    let (outcome, _) =
        send(&json!({}), |_| json_response(200, &json!({"reply": "You sent test-key."}))).await;
    assert_eq!(outcome.expect("a reply").text, "You sent [key].");
}

#[tokio::test]
async fn derived_secrets_in_a_stream_are_masked() {
    let parts = json!({"response": {"format": "ndjson", "text": "/delta", "error": "/error"}});
    let agent = agent(&parts);
    // "ana:test-key" in Base64
    let secret = "YW5hOnRlc3Qta2V5";
    for (event, expected) in [
        (format!("{{\"delta\":\"You sent {secret}.\"}}\n"), Ok("You sent [key].")),
        (format!("{{\"error\":\"who is {secret}\"}}\n"), Err("who is [key]")),
        (format!("no JSON {secret}\n"), Err("no JSON [key]")),
    ] {
        let server = TestServer::start(move |_| response(200, "", event.as_bytes())).await;
        let auth = ConnectionAuth { username: "ana".into(), ..AuthScheme::Basic.into() };
        let endpoint = Endpoint { auth, ..endpoint_at(&server.url) };
        let outcome = complete(&endpoint, call(&agent, false, false)).await;
        assert!(!format!("{outcome:?}").contains(secret), "{outcome:?}");
        match (outcome, expected) {
            (Ok(reply), Ok(text)) => assert_eq!(reply.text, text),
            (Err(error), Err(text)) => assert!(error.message.contains(text), "{error}"),
            (outcome, _) => panic!("expected {expected:?}, got {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn log_shows_the_response_without_secrets() {
    let agent = agent(&server_session(json!({"from": "header", "at": "X-Session"})));
    let server = TestServer::start(|request| {
        let body = json!({"reply": "Hi", "echo": request.head, "key": "sk-test-1234567"});
        let headers = "content-type: application/json\r\nx-session: s-7\r\nserver: x\r\n\
                       set-cookie: sid=secret-value; HttpOnly\r\n";
        response(200, headers, body.to_string().as_bytes())
    })
    .await;
    let mut endpoint = endpoint_at(&server.url);
    endpoint.key = Some("sk-test-1234567".into());
    endpoint.headers.insert("X-Api-Token".to_owned(), "another-secret".to_owned());
    let log = ResponseLog::default();
    let call = HttpCall { log: Some(log.clone()), ..call(&agent, false, false) };
    complete(&endpoint, call).await.expect("a reply");
    let [response] = log.responses().try_into().expect("one response");
    assert_eq!(response.status, 200);
    let headers = [
        ("content-type", "application/json"),
        ("x-session", "s-7"),
        ("set-cookie", "sid=••••••••"),
    ];
    let shown: Vec<_> =
        response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(shown, headers);
    assert!(response.body.contains("\"reply\":\"Hi\""), "{}", response.body);
    for secret in ["sk-test-1234567", "another-secret"] {
        assert!(!response.body.contains(secret), "{}", response.body);
    }
}
