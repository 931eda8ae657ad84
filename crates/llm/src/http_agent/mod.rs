//! The adapter of deployed agents: one request, and the polls until its reply is there.
//!
//! A request that sends a message is repeated only if nothing of it was sent, or if the
//! agent is declared idempotent; see [`HttpCall::is_repeatable`].

mod errors;
mod exchange;
mod poll;
#[cfg(test)]
mod tests;

use super::error_text::mask_reply;
use super::http::{HttpClient, HttpResponse};
use super::rate_headers::parse_rate_limits;
use async_trait::async_trait;
use domain::http_agent::{HttpAgent, ResponseFormat, SessionIdPart, SessionMode};
use domain::{ErrorKind, FinishReason, ToolCall, replace_nul};
use errors::Failures;
pub(crate) use errors::OUTCOME_UNKNOWN;
use exchange::Exchange;
use http_agent::{ReadError, ReadReply, StreamReader, read_message, read_start};
use llm_types::reply::assemble;
use llm_types::{
    CallError, ChatReply, ChatRequest, Decision, Endpoint, HttpCall, HttpCallKind, HttpReply,
    Provider,
};
use serde_json::Value;
use tokio::time::Instant;

/// The adapter.
pub struct HttpAgents {
    http: HttpClient,
}

impl HttpAgents {
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self { http }
    }

    async fn call(
        &self,
        failures: &Failures<'_>,
        call_id: &str,
        deadline: Instant,
    ) -> Result<ChatReply, CallError> {
        let Failures { endpoint, call, .. } = *failures;
        let request = Exchange::first(endpoint, call, call_id);
        // Finds the end of a stream. Its chunks may contain secrets.
        let mut unmasked = stream_reader(call);
        let mut on_chunk = |status: u16, chunk: &[u8]| -> bool {
            let reader = unmasked.as_mut().filter(|_| (200..300).contains(&status));
            reader.is_some_and(|reader| reader.push(chunk).unwrap_or(true))
        };
        let timeouts = call.agent.timeouts;
        let response = self.http.exchange_streamed(request, timeouts, &mut on_chunk).await;
        let response = response.map_err(|failure| failures.transport(&failure))?;
        if call.kind == HttpCallKind::End {
            return Ok(assemble(String::new(), Vec::new(), FinishReason::Stop, (0, 0)));
        }
        if !(200..300).contains(&response.status) {
            return Err(failures.status(&response));
        }
        drop(unmasked);
        match (call.kind, stream_reader(call)) {
            (HttpCallKind::Message, Some(mut reader)) if response.status != 202 => {
                let read = reader.push(&response.body).and_then(|_| reader.finish());
                let (reply, document) = read.map_err(|error| failures.read(error, &response))?;
                let document = document.unwrap_or_default();
                message_reply(failures, &response, reply, &document)
            }
            (HttpCallKind::Message, _) => {
                let (response, document) =
                    poll::until_done(&self.http, failures, response, deadline).await?;
                let reply = read_message(&call.agent, &document);
                let reply = reply.map_err(|error| failures.read(error, &response))?;
                message_reply(failures, &response, reply, &document)
            }
            _ => start_reply(failures, &response),
        }
    }
}

#[async_trait]
impl Provider for HttpAgents {
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        let Some(call) = &request.http else {
            let message = "This connection leads to a deployed agent, not to a model. Choose another connection.";
            return Err(CallError::new(Decision::GiveUp(ErrorKind::ProviderRejected), message));
        };
        let failures = Failures { endpoint, call, now: self.http.clock().now() };
        let total = call.agent.timeouts.total();
        let attempt = self.call(&failures, &request.call_id, Instant::now() + total);
        let outcome = tokio::time::timeout(total, attempt).await;
        let reply = outcome.unwrap_or_else(|_| Err(failures.timeout(total)))?;
        let rate_limits = reply.rate_limits.clone();
        Ok(ChatReply { rate_limits, ..mask_reply(reply, endpoint) })
    }
}

fn stream_reader(call: &HttpCall) -> Option<StreamReader> {
    let streams = call.agent.response.format != ResponseFormat::Json;
    (streams && call.kind == HttpCallKind::Message).then(|| StreamReader::new(call.agent.clone()))
}

/// Parses a body as JSON.
fn json(body: &[u8]) -> Result<Value, ReadError> {
    let unreadable = |message: String| Err(ReadError::Unreadable(message));
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            return unreadable(format!("it is not valid UTF-8 (at byte {at})"));
        }
    };
    if text.trim().is_empty() {
        return unreadable("it is empty".to_owned());
    }
    match serde_json::from_str(text) {
        Ok(document) => Ok(document),
        Err(_) if errors::is_page(text) => unreadable(errors::describe_page(text)),
        Err(error) => {
            let start: String = text.trim().chars().take(100).collect();
            unreadable(format!("it is not JSON ({error}): {start}"))
        }
    }
}

fn message_reply(
    failures: &Failures<'_>,
    response: &HttpResponse,
    read: ReadReply,
    document: &Value,
) -> Result<ChatReply, CallError> {
    let call = failures.call;
    let session = &call.agent.session;
    // Without a start request, each reply contains the session id for the next message.
    let session_id = if session.mode == SessionMode::Server && session.start.is_none() {
        match (session_id(&call.agent, response, document), call.has_session) {
            (Ok(id), _) => Some(id),
            // The endpoint repeats the id in its first reply only.
            (Err(_), true) => None,
            (Err(problem), false) => {
                return Err(failures.read(ReadError::Unreadable(problem), response));
            }
        }
    } else {
        None
    };
    let (calls, tool_results): (Vec<ToolCall>, Vec<_>) = read.tool_calls.into_iter().unzip();
    let tokens = (read.input_tokens, read.output_tokens);
    let reply = assemble(read.text, calls, FinishReason::Stop, tokens);
    let tool_results = tool_results.into_iter().map(|result| result.map(replace_nul)).collect();
    Ok(ChatReply {
        // The agent has finished its turn, whatever tools it called.
        finish: FinishReason::Stop,
        rate_limits: parse_rate_limits(&response.headers, failures.now),
        http: Some(Box::new(HttpReply { session_id, tool_results, ended: read.ended })),
        ..reply
    })
}

/// The reply to a start request: the session id, and the greeting as its text.
fn start_reply(failures: &Failures<'_>, response: &HttpResponse) -> Result<ChatReply, CallError> {
    let agent = &failures.call.agent;
    let unusable = |error| failures.read(error, response);
    let in_body = agent.session.id.as_ref().is_none_or(|id| id.from == SessionIdPart::Body);
    let needs_body = in_body || agent.session.greeting.is_some();
    let document = if needs_body { json(&response.body).map_err(unusable)? } else { Value::Null };
    let start = read_start(agent, &document).map_err(unusable)?;
    let id = session_id(agent, response, &document);
    let id = id.map_err(|problem| unusable(ReadError::Unreadable(problem)))?;
    let text = start.greeting.unwrap_or_default();
    Ok(ChatReply {
        rate_limits: parse_rate_limits(&response.headers, failures.now),
        http: Some(Box::new(HttpReply { session_id: Some(id), ..HttpReply::default() })),
        ..assemble(text, Vec::new(), FinishReason::Stop, (0, 0))
    })
}

fn session_id(
    agent: &HttpAgent,
    response: &HttpResponse,
    document: &Value,
) -> Result<String, String> {
    let Some(source) = &agent.session.id else {
        return Err("the agent does not say where the session id is (session.id)".to_owned());
    };
    let text = |name: &str| response.headers.get(name).and_then(|value| value.to_str().ok());
    match source.from {
        SessionIdPart::Body => http_agent::session_id(document, &source.at),
        SessionIdPart::Header => http_agent::header_value(text(&source.at), &source.at),
        SessionIdPart::Cookie => {
            let cookies = response.headers.get_all("set-cookie").iter();
            http_agent::cookie_value(cookies.filter_map(|value| value.to_str().ok()), &source.at)
        }
    }
}
