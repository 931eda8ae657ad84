//! Time limits of request bodies. A client that sends its body too slowly is answered
//! with 408, and its connection is closed.

use super::HttpState;
use super::problem::ErrorResponse;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Maximum time between two parts of a body.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Limits the time of the request body.
pub(super) async fn limit_body_time(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let expired = Arc::new(AtomicBool::new(false));
    let limit = state.settings.client_limits.body_timeout;
    let request = request.map(|body| Body::new(TimedBody::new(body, limit, expired.clone())));
    let response = next.run(request).await;
    if !expired.load(Ordering::Relaxed) {
        return response;
    }
    let detail = "The request body did not arrive in time. Send it again.";
    let mut response =
        ErrorResponse::with_status(StatusCode::REQUEST_TIMEOUT, detail).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A body that fails after a pause, or when its time is over.
struct TimedBody {
    body: Body,
    end: Instant,
    timer: Pin<Box<Sleep>>,
    expired: Arc<AtomicBool>,
}

impl TimedBody {
    fn new(body: Body, limit: Duration, expired: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now + limit.min(MAX_PAUSE)));
        Self { body, end: now + limit, timer, expired }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let next = (Instant::now() + MAX_PAUSE).min(self.end);
            self.timer.as_mut().reset(next);
            return Poll::Ready(frame);
        }
        self.timer.as_mut().poll(cx).map(|()| {
            self.expired.store(true, Ordering::Relaxed);
            Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
