//! One request and its response.

use crate::authentication::mask;
use crate::http::{HttpClient, HttpRequest, HttpResponse, SentRequest, TransportError, root_cause};
use domain::http_agent::{AgentTimeouts, HttpMethod};
use llm_types::{Endpoint, HttpCall};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::time::Duration;

/// A request to the endpoint of an agent.
pub(super) struct Exchange<'a> {
    endpoint: &'a Endpoint,
    call: &'a HttpCall,
    method: HttpMethod,
    /// The URL of a poll, in place of the base URL and the path.
    poll_url: Option<String>,
    body: Option<&'a Value>,
    call_id: &'a str,
}

/// Why there is no complete response.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent.
    NotSent(TransportError),
    /// The connection ended before the response began.
    Closed(String),
    /// The response did not begin in time.
    NoResponse(Duration),
    /// The response stopped.
    Idle(Duration),
    /// The response was cut.
    Truncated(String),
    TooLarge(usize),
}

impl<'a> Exchange<'a> {
    /// The request of a call.
    pub(super) fn first(endpoint: &'a Endpoint, call: &'a HttpCall, call_id: &'a str) -> Self {
        Self {
            endpoint,
            call,
            method: call.request.method,
            poll_url: None,
            body: call.request.body.as_ref(),
            call_id,
        }
    }

    /// A request for a reply that comes later.
    pub(super) fn poll(endpoint: &'a Endpoint, call: &'a HttpCall, url: String) -> Self {
        let poll_url = Some(url);
        Self { endpoint, call, method: HttpMethod::Get, poll_url, body: None, call_id: "" }
    }

    fn headers(&self) -> Result<HeaderMap, TransportError> {
        let mut headers = HeaderMap::new();
        let is_first = !self.call_id.is_empty();
        let mut own: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &self.call.request.headers {
            own.push((name, value));
        }
        if is_first && self.call.agent.idempotent {
            own.push(("idempotency-key", &self.call.idempotency_key));
        }
        own.push(("x-rehearsal-call", self.call_id));
        own.push(("traceparent", &self.call.traceparent));
        for (name, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
            let unusable = || TransportError::Unusable(format!("the header {name:?} is not valid"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| unusable())?);
        }
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }
}

impl HttpClient {
    /// Makes one request. `on_chunk` gets each piece of the body with the status, and
    /// returns whether nothing more is needed.
    pub(super) async fn exchange_streamed(
        &self,
        exchange: Exchange<'_>,
        timeouts: AgentTimeouts,
        on_chunk: &mut (dyn FnMut(u16, &[u8]) -> bool + Send),
    ) -> Result<HttpResponse, Failure> {
        let request = HttpRequest {
            method: method(exchange.method),
            path: match &exchange.poll_url {
                Some(_) => String::new(),
                None => exchange.call.request.path.clone(),
            },
            headers: exchange.headers().map_err(Failure::NotSent)?,
            body: exchange.body.map(|body| body.to_string().into_bytes()),
        };
        let mut endpoint = exchange.endpoint.clone();
        if let Some(url) = exchange.poll_url {
            endpoint.base_url = url;
        }
        let first_byte = Duration::from_secs(timeouts.first_byte_seconds.into());
        let SentRequest { response, secret } =
            tokio::time::timeout(first_byte, self.send(&endpoint, request))
                .await
                .map_err(|_| Failure::NoResponse(first_byte))?
                .map_err(not_sent_or_closed)?;
        let mut response = self.read_chunks(response, timeouts, on_chunk).await?;
        if let Some(secret) = &secret {
            mask(&mut response.body, secret);
        }
        Ok(response)
    }

    async fn read_chunks(
        &self,
        mut response: reqwest::Response,
        timeouts: AgentTimeouts,
        on_chunk: &mut (dyn FnMut(u16, &[u8]) -> bool + Send),
    ) -> Result<HttpResponse, Failure> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let idle = Duration::from_secs(timeouts.idle_seconds.into());
        let mut body = Vec::new();
        loop {
            let chunk = tokio::time::timeout(idle, response.chunk())
                .await
                .map_err(|_| Failure::Idle(idle))?
                .map_err(|error| Failure::Truncated(root_cause(&error)))?;
            let Some(chunk) = chunk else { break };
            if body.len() + chunk.len() > self.options().max_body {
                return Err(Failure::TooLarge(self.options().max_body));
            }
            body.extend_from_slice(&chunk);
            if on_chunk(status, &chunk) {
                break;
            }
        }
        Ok(HttpResponse { status, headers, body })
    }
}

/// A failed connection is certain to have sent nothing.
fn not_sent_or_closed(error: TransportError) -> Failure {
    match error {
        TransportError::Closed(cause) => Failure::Closed(cause),
        error => Failure::NotSent(error),
    }
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Get => Method::GET,
        HttpMethod::Delete => Method::DELETE,
    }
}
