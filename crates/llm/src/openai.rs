//! The adapter of OpenAI's Chat Completions API and compatible servers.

use super::classify;
use super::error_text::provider_message;
use super::http::{HttpClient, HttpResponse, secret_header};
use super::openai_wire::{Quirks, body, read};
use async_trait::async_trait;
use domain::ConnectionId;
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::ExposeSecret;
use std::collections::HashMap;

/// The maximum number of remembered quirks. Beyond it all are forgotten.
const MAX_REMEMBERED: usize = 1000;

/// The adapter. It remembers the quirks of servers per connection, address and model.
pub struct OpenAi {
    http: HttpClient,
    quirks: Mutex<HashMap<(ConnectionId, String, String), Quirks>>,
}

impl OpenAi {
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self { http, quirks: Mutex::default() }
    }

    async fn post(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        quirks: Quirks,
    ) -> Result<HttpResponse, CallError> {
        let unsent = |failure| classify::transport_error(&failure, endpoint);
        let mut headers = HeaderMap::new();
        if let Some(key) = &endpoint.key {
            let bearer = format!("Bearer {}", key.expose_secret());
            headers.insert(AUTHORIZATION, secret_header(&bearer).map_err(unsent)?);
        }
        let body = body(request, quirks);
        self.http
            .post(endpoint, "/chat/completions", headers, &request.call_id, &body)
            .await
            .map_err(unsent)
    }
}

#[async_trait]
impl Provider for OpenAi {
    /// Makes one attempt. If the server rejects a field that not all servers support
    /// with 400, repeats the request without it, at most twice.
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        let key = (endpoint.connection_id, endpoint.base_url.clone(), request.model.clone());
        let known = self.quirks.lock().get(&key).copied().unwrap_or_default();
        let mut quirks = known;
        let mut response = self.post(endpoint, request, quirks).await?;
        while let Some(next) = next_quirks(&response, endpoint, request, known, quirks) {
            quirks = next;
            response = self.post(endpoint, request, quirks).await?;
        }
        let now = self.http.clock().now();
        let outcome = classify::reply(&response, endpoint, request, now, read);
        // After a failure it is unknown whether the fallback works.
        if quirks != known && outcome.is_ok() {
            let mut remembered = self.quirks.lock();
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(key, quirks);
        }
        outcome
    }
}

/// The quirks of the next request, if the response is a 400. Switches the name of the
/// token limit if the message mentions it; otherwise moves the schema to the prompt,
/// because servers reject `response_format` with many different messages.
fn next_quirks(
    response: &HttpResponse,
    endpoint: &Endpoint,
    request: &ChatRequest,
    known: Quirks,
    tried: Quirks,
) -> Option<Quirks> {
    if response.status != 400 {
        return None;
    }
    let message = provider_message(&response.body, endpoint);
    let names_limit = message.contains("max_tokens") || message.contains("max_completion_tokens");
    if names_limit && tried.completion_tokens == known.completion_tokens {
        return Some(Quirks { completion_tokens: !tried.completion_tokens, ..tried });
    }
    let sent_schema = request.output.is_some() && !tried.schema_in_prompt;
    sent_schema.then_some(Quirks { schema_in_prompt: true, ..tried })
}
