//! Failure mode: unexpected provider data breaks the runner: huge numbers, deep nesting,
//! wrong types, lone surrogates, U+0000, ten thousand tool calls, negative token
//! counts, duplicate ids, empty responses. No such data causes a panic, unbounded
//! memory, or a verdict.

mod arbitrary_json;
mod malformed_bodies;
mod not_http;
mod runs;

use clock::SystemClock;
use domain::{ConnectionId, ConnectionKind, RoleUsage, limits};
use llm::{
    CallError, ChatReply, ChatRequest, Connector, Endpoint, HttpClient, HttpOptions, Message,
    OutputSchema, Provider,
};
use mock_provider::{Action, MockProvider};
use serde_json::{Value, json};
use std::sync::Arc;

const BOTH: [ConnectionKind; 2] = [ConnectionKind::OpenAi, ConnectionKind::Anthropic];

/// Replies 200 with exactly this body.
fn raw_body(body: &str) -> Action {
    Action::Status { status: 200, body: json!(body), headers: [].into() }
}

/// An adapter and the endpoint that it calls.
struct Client {
    connector: Connector,
    endpoint: Endpoint,
}

impl Client {
    fn new(kind: ConnectionKind, openai_url: String, anthropic_url: String) -> Self {
        let options = HttpOptions { allow_private_urls: true, ..HttpOptions::default() };
        let http = HttpClient::new(options, Arc::new(SystemClock)).unwrap();
        let base_url = if kind == ConnectionKind::OpenAi { openai_url } else { anthropic_url };
        let id = ConnectionId(uuid::Uuid::from_u128(1));
        let endpoint = Endpoint::new(id, kind, base_url);
        Self {
            connector: Connector::new(http, Arc::new(demo_model::DemoModel::default())),
            endpoint,
        }
    }

    fn for_provider(kind: ConnectionKind, provider: &MockProvider) -> Self {
        Self::new(kind, provider.openai_url(), provider.anthropic_url())
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.connector.complete(&self.endpoint, request).await
    }
}

fn request() -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![Message::User("hi".into())],
        max_tokens: 16,
        ..ChatRequest::default()
    }
}

/// A request with the output schema of a judge.
fn judge_request() -> ChatRequest {
    let schema = judge::reply_schema(1);
    let output = OutputSchema { name: judge::EVALUATION_SCHEMA.into(), schema };
    ChatRequest { output: Some(output), ..request() }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Checks the invariants of every result.
fn check_result(result: &Result<ChatReply, CallError>) {
    match result {
        Ok(reply) => {
            assert!(!reply.text.contains('\0'));
            for call in &reply.tool_calls {
                assert!(!format!("{}{}{}", call.id, call.name, call.arguments).contains("\\u0000"));
                let deep = depth(&call.arguments);
                assert!(deep <= limits::DEPTH, "stored arguments must be readable: {deep}");
            }
            let mut usage = RoleUsage::default();
            usage.add(reply.input_tokens, reply.output_tokens);
            usage.add(reply.input_tokens, reply.output_tokens);
            let counted = usage.input_tokens.max(usage.output_tokens);
            assert!(counted < 1 << 40, "implausible token counts are ignored: {counted}");
        }
        Err(error) => {
            assert!(error.message.ends_with(['.', '!', '?', '…']), "{}", error.message);
            assert!(error.message.chars().count() < 2_000, "{}", error.message.len());
        }
    }
}
