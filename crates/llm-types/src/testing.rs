//! Endpoints, requests and replies for tests.

use crate::{ChatReply, ChatRequest, Endpoint, Message};
use domain::{ConnectionId, ConnectionKind, FinishReason};
use std::time::Duration;
use uuid::Uuid;

/// An endpoint of an OpenAI-compatible server with the key `test-key`.
pub fn endpoint(base_url: &str) -> Endpoint {
    let id = ConnectionId(Uuid::from_u128(1));
    let endpoint = Endpoint::new(id, ConnectionKind::OpenAi, base_url.to_owned());
    Endpoint { key: Some("test-key".into()), ..endpoint }
}

/// A request with one user message.
pub fn chat_request(text: &str) -> ChatRequest {
    ChatRequest {
        model: "m-1".into(),
        system: "You help.".into(),
        messages: vec![Message::User(text.into())],
        max_tokens: 256,
        call_id: "call-1".into(),
        ..ChatRequest::default()
    }
}

/// A reply with this token usage.
pub fn reply(input_tokens: u64, output_tokens: u64) -> ChatReply {
    ChatReply {
        text: "Yes.".into(),
        tool_calls: Vec::new(),
        finish: FinishReason::Stop,
        input_tokens,
        output_tokens,
        latency: Duration::ZERO,
        first_token: None,
        attempts: 1,
        rate_limits: None,
        adjustments: Vec::new(),
        token_parts: domain::TokenParts::default(),
        provider_state: None,
        http: None,
    }
}
