//! One request and its response.

use crate::authentication::mask;
use crate::error_text::mask_text;
use crate::http::{HttpClient, HttpRequest, HttpResponse, SentRequest, TransportError, root_cause};
use domain::http_agent::{AgentTimeouts, HttpMethod};
use llm_types::{Endpoint, HttpCall, LoggedResponse};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// The headers that help to configure an agent.
const SHOWN_HEADERS: [&str; 6] =
    ["content-type", "location", "retry-after", "set-cookie", "x-request-id", "request-id"];

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
        let (call, started) = (exchange.call, Instant::now());
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
        if let Some(log) = &call.log {
            log.add(logged(call, &endpoint, &response, started.elapsed()));
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

/// What a person sees of a response.
fn logged(
    call: &HttpCall,
    endpoint: &Endpoint,
    response: &HttpResponse,
    latency: Duration,
) -> LoggedResponse {
    let session_header = call.agent.session.id.as_ref().map(|id| id.at.as_str());
    let is_shown = |name: &str| {
        SHOWN_HEADERS.contains(&name)
            || name.starts_with("x-ratelimit-")
            || session_header.is_some_and(|at| at.eq_ignore_ascii_case(name))
    };
    let headers = response.headers.iter().filter(|(name, _)| is_shown(name.as_str()));
    let headers = headers.map(|(name, value)| {
        let mut value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        mask_text(&mut value, endpoint);
        // The value of a cookie is a credential; its name is needed to configure a session.
        if name == "set-cookie" {
            let cookie = value.split('=').next().unwrap_or_default();
            value = format!("{cookie}=••••••••");
        }
        (name.to_string(), value)
    });
    let mut body = String::from_utf8_lossy(&response.body).into_owned();
    mask_text(&mut body, endpoint);
    LoggedResponse { status: response.status, headers: headers.collect(), body, latency }
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
