//! Drains the body of a request that was rejected with 413. A client that is still
//! writing the body would otherwise see a closed connection instead of the
//! response.

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use domain::limits;
use futures::StreamExt;
use futures::stream::poll_fn;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const MAX_DRAINED_BYTES: usize = 8 * limits::BODY;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Drains the rest of the body, within limits, before a 413 response.
pub(super) async fn drain_rejected_body(request: Request, next: Next) -> Response {
    if !may_be_too_large(request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let rest = Arc::new(Mutex::new(body.into_data_stream()));
    let shared = rest.clone();
    let body = Body::from_stream(poll_fn(move |cx| shared.lock().poll_next_unpin(cx)));
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // The response is the same after a timeout.
        let _ = timeout(DRAIN_TIMEOUT, drain(&rest)).await;
    }
    response
}

/// Whether the declared length is too large, or unknown. A client that sends
/// `Expect: 100-continue` has not sent its body yet.
fn may_be_too_large(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    !headers.contains_key(header::EXPECT) && length.map_or(chunked, |length| length > limits::BODY)
}

async fn drain(rest: &Mutex<BodyDataStream>) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = poll_fn(|cx| rest.lock().poll_next_unpin(cx)).next().await {
        bytes += chunk.len();
        if bytes > MAX_DRAINED_BYTES {
            return;
        }
    }
}
