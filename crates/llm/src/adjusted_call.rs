//! The adapter of a protocol: one attempt, repeated without what the server rejects.

use super::adjustment::{AdjustmentKey, Adjustments, Field, Learned, next_adjustment};
use super::classify;
use super::event_stream::is_event_stream;
use super::http::{HttpClient, HttpResponse, TransportError};
use super::stream::StreamError;
use async_trait::async_trait;
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Progress, Provider};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// The maximum number of adjustments within one attempt.
const MAX_ADJUSTMENTS: usize = 4;

/// A protocol of one or several APIs.
pub trait Protocol: Send + Sync + 'static {
    /// The headers that every request needs.
    fn headers(endpoint: &Endpoint) -> HeaderMap;

    /// The API to call.
    fn api(endpoint: &Endpoint, adjustments: &Adjustments) -> &'static Api;
}

/// How requests to an API are written and its replies read.
pub struct Api {
    /// Appended to the base URL of the connection.
    pub(crate) path: &'static str,
    /// The body of a request to which the adjustments are applied already.
    pub(crate) body: fn(&Endpoint, &ChatRequest, RequestForm<'_>) -> Value,
    /// Assembles a streamed answer to the body that would have come at once.
    pub(crate) assemble: fn(&[u8]) -> Result<Value, StreamError>,
    /// Parses a reply to the request without adjustments. The error describes the
    /// unexpected structure.
    pub(crate) read: fn(&Value, &ChatRequest) -> Result<ChatReply, &'static str>,
}

/// Calls servers over one protocol.
pub struct Adapter<P> {
    http: HttpClient,
    learned: Learned,
    protocol: PhantomData<P>,
}

impl<P: Protocol> Adapter<P> {
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self::with_learned(http, Learned::default())
    }

    /// An adapter that knows what servers reject.
    #[must_use]
    pub fn with_learned(http: HttpClient, learned: Learned) -> Self {
        Self { http, learned, protocol: PhantomData }
    }

    /// Makes one attempt with the known adjustments. If the server rejects a field or a
    /// value, repeats the request without it, at most four times.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        progress: Option<&dyn Progress>,
    ) -> Result<ChatReply, CallError> {
        let key = AdjustmentKey::new(endpoint, &request.model);
        let known = self.learned.get(&key);
        let mut used = known.clone();
        let mut lasting_limit = known.max_tokens;
        let mut response = self.send(endpoint, request, &used, progress).await?;
        for _ in 0..MAX_ADJUSTMENTS {
            let rejected = (response.status, response.body.as_slice());
            let Some(next) = next_adjustment(rejected, endpoint.kind, request, &used) else {
                break;
            };
            if next.lasting && next.adjustments.max_tokens != used.max_tokens {
                lasting_limit = next.adjustments.max_tokens;
            }
            used = next.adjustments;
            response = self.send(endpoint, request, &used, progress).await?;
        }
        let api = P::api(endpoint, &used);
        if is_event_stream(&response.headers) {
            response.body = self.whole_body(&response, endpoint, api)?;
        }
        let reply =
            classify::reply(&response, endpoint, request, self.http.clock().now(), api.read)?;
        // After a failure it is unknown whether the adjustments work.
        let lasting = Adjustments { max_tokens: lasting_limit, ..used.clone() };
        if lasting != known {
            self.learned.remember(&key, &lasting);
        }
        Ok(ChatReply { adjustments: used.describe(request), ..reply })
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        adjustments: &Adjustments,
        progress: Option<&dyn Progress>,
    ) -> Result<HttpResponse, CallError> {
        let request = adjustments.apply(request);
        let api = P::api(endpoint, adjustments);
        let body = (api.body)(endpoint, &request, RequestForm { adjustments, progress });
        let headers = P::headers(endpoint);
        self.http
            .post(endpoint, api.path, headers, &request.call_id, &body, progress)
            .await
            .map_err(|failure| classify::transport_error(&failure, endpoint))
    }

    fn whole_body(
        &self,
        response: &HttpResponse,
        endpoint: &Endpoint,
        api: &Api,
    ) -> Result<Vec<u8>, CallError> {
        let max_body = self.http.options().max_body;
        let failure = match (api.assemble)(&response.body).map(|body| body.to_string().into_bytes())
        {
            Ok(body) if body.len() <= max_body => return Ok(body),
            // The body is classified as it is: not JSON, or an error response.
            Err(StreamError::Unreadable) if response.body.len() <= max_body => {
                return Ok(response.body.clone());
            }
            Err(StreamError::Incomplete) => {
                TransportError::Truncated("the stream ended before the answer".into())
            }
            _ => TransportError::TooLarge(max_body),
        };
        Err(classify::transport_error(&failure, endpoint))
    }
}

#[async_trait]
impl<P: Protocol> Provider for Adapter<P> {
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        self.attempt(endpoint, request, None).await
    }

    async fn stream(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        progress: &dyn Progress,
    ) -> Result<ChatReply, CallError> {
        self.attempt(endpoint, request, Some(progress)).await
    }
}

/// How a request is sent.
#[derive(Clone, Copy)]
pub(crate) struct RequestForm<'a> {
    pub(crate) adjustments: &'a Adjustments,
    /// Learns of the parts of a streamed answer; `None` if it is to come at once.
    pub(crate) progress: Option<&'a dyn Progress>,
}

impl RequestForm<'_> {
    /// Whether the answer is to be streamed.
    pub(crate) fn streams(&self) -> bool {
        self.progress.is_some() && !self.adjustments.dropped.contains(&Field::Stream)
    }
}

/// Adds the fields of the user to a body. Objects are merged, so that a field within one
/// (`output_config`) does not remove the others.
pub(crate) fn merge(body: &mut Map<String, Value>, extra: &Map<String, Value>) {
    for (name, value) in extra {
        match (body.get_mut(name), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more),
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn objects_are_merged_and_other_fields_replaced() {
        let mut body = map(json!({"a": 1, "output_config": {"format": {"type": "json_schema"}}}));
        merge(&mut body, &map(json!({"a": 2, "b": [3], "output_config": {"effort": "low"}})));
        let expected = json!({"a": 2, "b": [3], "output_config": {"format": {"type": "json_schema"}, "effort": "low"}});
        assert_eq!(Value::Object(body), expected);
    }
}
