//! A body that is too large is refused before it was read. Whoever still
//! writes it would find the connection closed and never hear why: so the rest
//! is taken in first and thrown away, up to a bound.

use domain::limits;
use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use futures::stream::poll_fn;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Most bytes that are thrown away for one request.
const MOST: usize = 8 * limits::BODY;
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Answers a body that is too large once its sender can listen.
pub(super) async fn refused(request: Request, next: Next) -> Response {
    if !may_be_too_large(request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let rest = Arc::new(Mutex::new(body.into_data_stream()));
    let lent = rest.clone();
    let body = Body::from_stream(poll_fn(move |cx| lent.lock().poll_next_unpin(cx)));
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // In time or not: the answer is the same.
        let _ = timeout(LONGEST, thrown_away(&rest)).await;
    }
    response
}

/// Whether a request says that it is, or does not say how large it is. One
/// that waits to be asked for its body is not asked for it.
fn may_be_too_large(headers: &HeaderMap) -> bool {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let told = told.and_then(|length| length.parse::<usize>().ok());
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    !headers.contains_key(header::EXPECT) && told.map_or(chunked, |length| length > limits::BODY)
}

async fn thrown_away(rest: &Mutex<BodyDataStream>) {
    let mut bytes = 0;
    while let Some(Ok(piece)) = poll_fn(|cx| rest.lock().poll_next_unpin(cx)).next().await {
        bytes += piece.len();
        if bytes > MOST {
            return;
        }
    }
}
