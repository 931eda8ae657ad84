//! Chat completions of OpenAI and of the many servers that speak alike.

use super::classify;
use super::http::{Answer, HttpClient, secret_header};
use super::openai_wire::{Quirks, body, read};
use super::rate_headers::told;
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use super::words::provider_words;
use domain::ConnectionId;
use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::HashMap;

/// Most servers whose quirks are remembered; beyond that all are learned anew.
const MOST_REMEMBERED: usize = 1000;

/// The adapter. It remembers what a server was found not to understand, per
/// connection, address and model.
pub struct OpenAi {
    http: HttpClient,
    learned: Mutex<HashMap<(ConnectionId, String, String), Quirks>>,
}

impl OpenAi {
    /// An adapter over this client that has learned nothing yet.
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self { http, learned: Mutex::default() }
    }

    async fn post(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        quirks: Quirks,
    ) -> Result<Answer, CallError> {
        let unsent = |failure| classify::transport(&failure, endpoint);
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
    /// One attempt. A server that answers 400 to something that not every
    /// server knows is asked again without it at once: at most twice.
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        let key = (endpoint.connection_id, endpoint.base_url.clone(), request.model.clone());
        let known = self.learned.lock().get(&key).copied().unwrap_or_default();
        let mut quirks = known;
        let mut answer = self.post(endpoint, request, quirks).await?;
        while let Some(other) = next_try(&answer, endpoint, request, known, quirks) {
            quirks = other;
            answer = self.post(endpoint, request, quirks).await?;
        }
        let outcome = self.decide(&answer, endpoint, request);
        // An outage or a wrong key says nothing about what was left out.
        if quirks != known && outcome.is_ok() {
            let mut learned = self.learned.lock();
            if learned.len() >= MOST_REMEMBERED {
                learned.clear();
            }
            learned.insert(key, quirks);
        }
        outcome
    }
}

impl OpenAi {
    fn decide(
        &self,
        answer: &Answer,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        let now = self.http.clock().now();
        if !(200..300).contains(&answer.status) {
            return Err(classify::answer(answer, endpoint, &request.model, now));
        }
        let told = told(&answer.headers, now);
        let unreadable =
            |what| CallError { told: told.clone(), ..classify::not_an_answer(answer.status, what) };
        let json: Value =
            serde_json::from_slice(&answer.body).map_err(|_| unreadable("it is not JSON"))?;
        if let Some(status) = classify::hidden_error(&json) {
            let answer = Answer { status, ..answer.clone() };
            return Err(classify::answer(&answer, endpoint, &request.model, now));
        }
        let reply = read(&json, request).map_err(unreadable)?;
        Ok(ChatReply { told, ..reply })
    }
}

/// What to leave out or to spell differently after this answer, if it was
/// about that. The name of a token limit is changed when the server names it;
/// the schema is left out after any other 400, for servers refuse it in all
/// kinds of words.
fn next_try(
    answer: &Answer,
    endpoint: &Endpoint,
    request: &ChatRequest,
    known: Quirks,
    tried: Quirks,
) -> Option<Quirks> {
    if answer.status != 400 {
        return None;
    }
    let words = provider_words(&answer.body, endpoint);
    let names_limit = words.contains("max_tokens") || words.contains("max_completion_tokens");
    if names_limit && tried.completion_tokens == known.completion_tokens {
        return Some(Quirks { completion_tokens: !tried.completion_tokens, ..tried });
    }
    let with_schema = request.output.is_some() && !tried.schema_in_words;
    with_schema.then_some(Quirks { schema_in_words: true, ..tried })
}
