//! An id for each request: in the log's span, in the answer's header and in
//! problem documents, so that a complaint finds its lines.

use super::HttpState;
use clock::SharedClock;
use telemetry::request::within;
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use std::fmt;
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;
use uuid::Uuid;

/// The header that carries it.
pub(super) const HEADER: &str = "x-request-id";

/// The id of one request. Always ours: one that a client sends is ignored, for
/// it could be anything, and twice the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogId(pub Uuid);

impl LogId {
    /// A new one.
    #[must_use]
    pub(super) fn new(clock: &SharedClock) -> Self {
        Self(clock.uuid())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Makes request ids from the clock.
#[derive(Clone)]
pub(super) struct FromClock(pub SharedClock);

impl MakeRequestId for FromClock {
    fn make_request_id<B>(&mut self, _request: &axum::http::Request<B>) -> Option<RequestId> {
        let text = self.0.uuid().to_string();
        HeaderValue::from_str(&text).ok().map(RequestId::new)
    }
}

/// Drops an id that came from outside.
pub(super) async fn forget_foreign(mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(HEADER);
    next.run(request).await
}

/// Makes the id at hand as a [`LogId`].
pub(super) async fn remember(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok())
        .and_then(|text| Uuid::parse_str(text).ok())
        .map_or_else(|| LogId::new(&state.clock), LogId);
    request.extensions_mut().insert(id);
    within(id.0, next.run(request)).await
}

/// The span of one request. Neither query (it may hold what somebody searched
/// for) nor headers (they hold secrets) are in it.
pub(super) fn span(request: &axum::http::Request<axum::body::Body>) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let path = route.unwrap_or_else(|| request.uri().path());
    // Of the highest level, so that whatever is logged within names the request.
    tracing::error_span!("request", id, method = %request.method(), path)
}
