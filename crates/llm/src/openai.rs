//! The adapter of OpenAI's Chat Completions API and compatible servers.

use super::adjusted_call::{Adapter, Protocol, RequestForm};
use super::openai_wire::{body, read};
use super::stream::{self, StreamError};
use domain::ConnectionKind;
use llm_types::{ChatReply, ChatRequest, Endpoint};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// The adapter of this protocol.
pub type OpenAi = Adapter<ChatCompletions>;

/// The Chat Completions API.
pub enum ChatCompletions {}

impl Protocol for ChatCompletions {
    const KIND: ConnectionKind = ConnectionKind::OpenAi;
    const PATH: &'static str = "/chat/completions";

    fn headers(_: &Endpoint) -> HeaderMap {
        HeaderMap::new()
    }

    fn body(endpoint: &Endpoint, request: &ChatRequest, form: RequestForm<'_>) -> Value {
        let mut body = body(request, form.adjustments, is_openai(&endpoint.base_url));
        if form.streams() {
            body["stream"] = json!(true);
            // Without it, a stream does not report its usage.
            body["stream_options"] = json!({ "include_usage": true });
        }
        body
    }

    fn assemble(body: &[u8]) -> Result<Value, StreamError> {
        stream::chat_completion(body)
    }

    fn read(json: &Value, request: &ChatRequest) -> Result<ChatReply, &'static str> {
        read(json, request)
    }
}

/// Whether the server belongs to OpenAI or is Azure's copy of it.
fn is_openai(base_url: &str) -> bool {
    let host = base_url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".openai.azure.com")
}
