//! Request IDs. The log span, the response header and problem documents contain
//! the same ID, so that support finds the log lines of a reported error.

use super::HttpState;
use super::client_ip::client_ip;
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use clock::SharedClock;
use std::fmt;
use telemetry::request::{RequestContext, within};
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;
use uuid::Uuid;

pub(super) const HEADER: &str = "x-request-id";

/// The ID of one request. The server generates it and ignores the ID that a
/// client sends, because that one may be malformed or repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogId(pub Uuid);

impl LogId {
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

#[derive(Clone)]
pub(super) struct ClockRequestId(pub SharedClock);

impl MakeRequestId for ClockRequestId {
    fn make_request_id<B>(&mut self, _request: &axum::http::Request<B>) -> Option<RequestId> {
        let text = self.0.uuid().to_string();
        HeaderValue::from_str(&text).ok().map(RequestId::new)
    }
}

/// Removes the ID that a client sent.
pub(super) async fn remove_client_id(mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(HEADER);
    next.run(request).await
}

/// Adds the request ID as [`LogId`] to the request, and the ID and the address of the
/// client to the task.
pub(super) async fn set_log_id(
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
    let proxies = &state.settings.trusted_proxies;
    let client = client_ip(request.headers(), request.extensions(), proxies);
    within(RequestContext { id: id.0, client }, next.run(request)).await
}

/// The log span of one request. Omits the query, which may contain private search
/// terms, and the headers, which contain secrets.
pub(super) fn span(request: &axum::http::Request<axum::body::Body>) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let path = route.unwrap_or_else(|| request.uri().path());
    // At the highest level, so that no log filter removes the span.
    tracing::error_span!("request", id, method = %request.method(), path)
}
