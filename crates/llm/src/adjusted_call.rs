//! One attempt, repeated without what the server rejects.

use super::adjustment::{AdjustmentKey, Adjustments, Field, Learned, next_adjustment};
use super::classify;
use super::http::{HttpResponse, TransportError, is_event_stream};
use super::stream::StreamError;
use async_trait::async_trait;
use domain::{ConnectionKind, Timestamp};
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Progress};
use serde_json::{Map, Value};

/// The maximum number of adjustments within one attempt.
const MAX_ADJUSTMENTS: usize = 4;

/// A protocol: how a request is sent and its reply read.
#[async_trait]
pub(crate) trait Protocol: Send + Sync {
    const KIND: ConnectionKind;

    /// Sends a request to which the adjustments are applied already.
    async fn post(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        form: RequestForm<'_>,
    ) -> Result<HttpResponse, CallError>;

    /// Assembles a streamed answer to the body that would have come at once.
    fn assemble(body: &[u8]) -> Result<Value, StreamError>;

    /// Parses a reply to the request without adjustments. The error describes the
    /// unexpected structure.
    fn read(json: &Value, request: &ChatRequest) -> Result<ChatReply, &'static str>;

    fn now(&self) -> Timestamp;

    /// The maximum size of a body that comes at once.
    fn max_body(&self) -> usize;
}

/// Makes one attempt with the known adjustments. If the server rejects a field or a value,
/// repeats the request without it, at most four times.
pub(crate) async fn complete<P: Protocol>(
    protocol: &P,
    learned: &Learned,
    endpoint: &Endpoint,
    request: &ChatRequest,
    progress: Option<&dyn Progress>,
) -> Result<ChatReply, CallError> {
    let key = AdjustmentKey::new(endpoint, &request.model);
    let known = learned.get(&key);
    let mut used = known.clone();
    let mut lasting_limit = known.max_tokens;
    let mut response = protocol
        .post(endpoint, &used.apply(request), RequestForm { adjustments: &used, progress })
        .await?;
    for _ in 0..MAX_ADJUSTMENTS {
        let rejected = (response.status, response.body.as_slice());
        let Some(next) = next_adjustment(rejected, P::KIND, request, &used) else { break };
        if next.lasting && next.adjustments.max_tokens != used.max_tokens {
            lasting_limit = next.adjustments.max_tokens;
        }
        used = next.adjustments;
        response = protocol
            .post(endpoint, &used.apply(request), RequestForm { adjustments: &used, progress })
            .await?;
    }
    if is_event_stream(&response.headers) {
        response.body = whole_body(protocol, &response, endpoint)?;
    }
    let reply = classify::reply(&response, endpoint, request, protocol.now(), P::read)?;
    // After a failure it is unknown whether the adjustments work.
    let lasting = Adjustments { max_tokens: lasting_limit, ..used.clone() };
    if lasting != known {
        learned.remember(&key, &lasting);
    }
    Ok(ChatReply { adjustments: used.describe(request), ..reply })
}

fn whole_body<P: Protocol>(
    protocol: &P,
    response: &HttpResponse,
    endpoint: &Endpoint,
) -> Result<Vec<u8>, CallError> {
    let max_body = protocol.max_body();
    let failure = match P::assemble(&response.body).map(|body| body.to_string().into_bytes()) {
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
