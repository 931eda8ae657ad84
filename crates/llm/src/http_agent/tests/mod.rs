//! The adapter over real sockets against small servers.

mod failures;
mod outbound;
mod polling;
mod replies;
mod server;

use super::HttpAgents;
use crate::http::{HttpClient, HttpOptions};
use crate::testing::endpoint;
use clock::SystemClock;
use domain::http_agent::HttpAgent;
use domain::{AgentSpec, ConnectionKind, Draft, RunId, ScenarioSpec, Speaker, Timestamp, Turn};
use http_agent::{Context, message_request, start_request};
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, HttpCall, Provider};
use serde_json::{Value, json};
use server::{Request, TestServer};
use std::sync::Arc;
use uuid::Uuid;

const RUN: u128 = 0x018f_2f1e_0000_7000_8000_0000_0000_0001;
const CALL: &str = "018f2f1e-0000-7000-8000-00000000000a";

/// An agent with a session that Rehearsal makes, changed by `parts`.
fn agent(parts: &Value) -> Arc<HttpAgent> {
    let mut http = json!({
        "purpose": "Helps.",
        "request": {"path": "/chat", "body": {"id": "{{session_id}}", "text": "{{message}}"}},
        "session": {"mode": "client"},
        "response": {"text": "/reply", "error": "/error"},
    });
    for (key, value) in parts.as_object().into_iter().flatten() {
        match (&mut http[key], value) {
            (Value::Object(known), Value::Object(new)) => known.extend(new.clone()),
            (slot, value) => *slot = value.clone(),
        }
    }
    let draft = json!({"name": "A", "connection_id": Uuid::from_u128(1).to_string(), "http": http});
    let spec = AgentSpec::parse(&Draft(draft)).expect("a valid agent");
    spec.http.map(|http| Arc::new(*http)).expect("a deployed agent")
}

fn server_session(id: Value) -> Value {
    json!({"session": {"mode": "server", "id": id, "start": {"path": "/sessions", "body": {}}}})
}

/// The call of this kind, in a conversation in which the agent has answered or not.
fn call(agent: &Arc<HttpAgent>, starts: bool, answered: bool) -> HttpCall {
    let scenario = ScenarioSpec::parse(&Draft(json!({"name": "S", "category": "support",
        "conversation_flow": [{"speaker": "user", "message": "Hi"}]})));
    let scenario = scenario.expect("a valid scenario");
    let turn = |speaker, text: &str| Turn::text(speaker, text, Timestamp(0));
    let mut transcript = vec![turn(Speaker::User, "Hi"), turn(Speaker::Agent, "Hello")];
    transcript.truncate(if answered { 2 } else { 0 });
    transcript.push(turn(Speaker::User, "A table, please."));
    let context = Context {
        scenario: &scenario,
        variables: &domain::variables::Variables::default(),
        transcript: &transcript,
        session_id: if starts { "" } else { "s-1" },
        run_id: RunId(Uuid::from_u128(RUN)),
        call_id: CALL,
    };
    if starts {
        start_request(agent, &context).expect("a start request")
    } else {
        message_request(agent, &context)
    }
}

fn client(max_body: usize) -> HttpAgents {
    let options = HttpOptions { allow_private_urls: true, max_body, ..HttpOptions::default() };
    HttpAgents::new(HttpClient::new(options, Arc::new(SystemClock)).expect("a client"))
}

async fn complete(endpoint: &Endpoint, call: HttpCall) -> Result<ChatReply, CallError> {
    let request = ChatRequest {
        call_id: "call-1".to_owned(),
        http: Some(Box::new(call)),
        ..ChatRequest::default()
    };
    client(64 * 1024).complete(endpoint, &request).await
}

fn endpoint_at(url: &str) -> Endpoint {
    Endpoint { kind: ConnectionKind::HttpAgent, ..endpoint(url) }
}

/// Sends a message to a server that answers in this way.
async fn send(
    parts: &Value,
    answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> (Result<ChatReply, CallError>, Vec<Request>) {
    let agent = agent(parts);
    let server = TestServer::start(answer).await;
    let outcome = complete(&endpoint_at(&server.url), call(&agent, false, false)).await;
    (outcome, server.requests())
}

/// An HTTP response with a JSON body.
fn json_response(status: u16, body: &Value) -> Vec<u8> {
    response(status, "content-type: application/json\r\n", body.to_string().as_bytes())
}

fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
