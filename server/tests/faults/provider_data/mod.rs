//! Whatever a provider sends is data: huge numbers, deep nests, wrong types,
//! lone surrogates, U+0000, ten thousand calls of tools, negative tokens, ids
//! twice, nothing at all. No panic, no memory without end, and never a verdict
//! out of nothing.
//!
//! Here: an adapter to ask, and what holds of everything that it reads.

mod any_json;
mod bodies;
mod no_http;
mod whole_runs;

use domain::{ConnectionId, ConnectionKind, RoleUsage, limits};
use serde_json::{Value, json};
use clock::SystemClock;
use llm::{
    CallError, ChatReply, ChatRequest, Connector, Endpoint, HttpClient, HttpOptions, Message,
    OutputSchema, Provider,
};
use mock_provider::{Action, Stand};
use std::sync::Arc;

const BOTH: [ConnectionKind; 2] = [ConnectionKind::OpenAi, ConnectionKind::Anthropic];

/// Answers 200 with exactly this body.
fn exactly(body: &str) -> Action {
    Action::Status { status: 200, body: json!(body), headers: [].into() }
}

struct Rig {
    connector: Connector,
    endpoint: Endpoint,
}

impl Rig {
    fn new(kind: ConnectionKind, openai_url: String, anthropic_url: String) -> Self {
        let options = HttpOptions { allow_private_urls: true, ..HttpOptions::default() };
        let http = HttpClient::new(options, Arc::new(SystemClock)).unwrap();
        let base_url = if kind == ConnectionKind::OpenAi { openai_url } else { anthropic_url };
        let endpoint = Endpoint {
            connection_id: ConnectionId(uuid::Uuid::from_u128(1)),
            kind,
            base_url,
            headers: [].into(),
            key: None,
        };
        Self { connector: Connector::new(http, Arc::new(demo_model::Demo::default())), endpoint }
    }

    fn over(kind: ConnectionKind, stand: &Stand) -> Self {
        Self::new(kind, stand.openai_url(), stand.anthropic_url())
    }

    async fn ask(&self, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.connector.complete(&self.endpoint, request).await
    }
}

fn question() -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![Message::User("hi".into())],
        max_tokens: 16,
        ..ChatRequest::default()
    }
}

/// The question of a judge.
fn question_in_a_form() -> ChatRequest {
    let schema = judge::reply_schema(1);
    let output = OutputSchema { name: judge::EVALUATION.into(), schema };
    ChatRequest { output: Some(output), ..question() }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What holds of everything that is read.
fn check(answer: &Result<ChatReply, CallError>) {
    match answer {
        Ok(reply) => {
            assert!(!reply.text.contains('\0'));
            for call in &reply.tool_calls {
                assert!(!format!("{}{}{}", call.id, call.name, call.arguments).contains("\\u0000"));
                let deep = depth(&call.arguments);
                assert!(deep <= limits::DEPTH, "what is stored must be readable again: {deep}");
            }
            let mut usage = RoleUsage::default();
            usage.add(reply.input_tokens, reply.output_tokens);
            usage.add(reply.input_tokens, reply.output_tokens);
            let counted = usage.input_tokens.max(usage.output_tokens);
            assert!(counted < 1 << 40, "what no answer has is not counted: {counted}");
        }
        Err(error) => {
            assert!(error.message.ends_with(['.', '!', '?', '…']), "{}", error.message);
            assert!(error.message.chars().count() < 2_000, "{}", error.message.len());
        }
    }
}
