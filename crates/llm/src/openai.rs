//! The adapter of OpenAI's Chat Completions API and compatible servers.

use super::adjusted_call::{Protocol, RequestForm, complete};
use super::adjustment::Learned;
use super::classify;
use super::http::{HttpClient, HttpResponse};
use super::openai_wire::{body, read};
use super::stream::{self, StreamError};
use async_trait::async_trait;
use domain::{ConnectionKind, Timestamp};
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Progress, Provider};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

pub struct OpenAi {
    http: HttpClient,
    learned: Learned,
}

impl OpenAi {
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self::with_learned(http, Learned::default())
    }

    /// An adapter that knows what servers reject.
    #[must_use]
    pub fn with_learned(http: HttpClient, learned: Learned) -> Self {
        Self { http, learned }
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        complete(self, &self.learned, endpoint, request, None).await
    }

    async fn stream(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        progress: &dyn Progress,
    ) -> Result<ChatReply, CallError> {
        complete(self, &self.learned, endpoint, request, Some(progress)).await
    }
}

#[async_trait]
impl Protocol for OpenAi {
    const KIND: ConnectionKind = ConnectionKind::OpenAi;

    async fn post(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        form: RequestForm<'_>,
    ) -> Result<HttpResponse, CallError> {
        let unsent = |failure| classify::transport_error(&failure, endpoint);
        let headers = HeaderMap::new();
        let mut body = body(request, form.adjustments, is_openai(&endpoint.base_url));
        if form.streams() {
            body["stream"] = json!(true);
            // Without it, a stream does not report its usage.
            body["stream_options"] = json!({ "include_usage": true });
        }
        self.http
            .post(endpoint, "/chat/completions", headers, &request.call_id, &body, form.progress)
            .await
            .map_err(unsent)
    }

    fn assemble(body: &[u8]) -> Result<Value, StreamError> {
        stream::chat_completion(body)
    }

    fn read(json: &Value, request: &ChatRequest) -> Result<ChatReply, &'static str> {
        read(json, request)
    }

    fn now(&self) -> Timestamp {
        self.http.clock().now()
    }

    fn max_body(&self) -> usize {
        self.http.options().max_body
    }
}

/// Whether the server belongs to OpenAI or is Azure's copy of it.
fn is_openai(base_url: &str) -> bool {
    let host = base_url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".openai.azure.com")
}
