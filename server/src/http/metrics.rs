//! `/metrics`. Requires the configured token or, without one, a request from this
//! machine. Metrics contain no personal data but reveal usage.

use super::client_ip::client_ip;
use super::problem::ErrorResponse;
use super::{HttpSettings, HttpState};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::error::{AppError, ErrorCode};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// Metrics in the Prometheus text format; empty if none are recorded.
pub(super) async fn metrics(State(state): State<HttpState>, request: Request) -> Response {
    if !may_read(&state.settings, &request) {
        let detail = "Metrics are only available from this machine. For remote access, set \
                      REHEARSAL_METRICS_TOKEN and send it as a bearer token.";
        let error = AppError::new(ErrorCode::Unauthenticated, detail);
        let mut response = ErrorResponse::from(error).into_response();
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        return response;
    }
    let text = state.metrics.as_ref().map(telemetry::Scrape::text).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn may_read(settings: &HttpSettings, request: &Request) -> bool {
    let headers = request.headers();
    match &settings.metrics_token {
        Some(token) => {
            let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let sent = sent.and_then(|text| text.split_once(' '));
            sent.is_some_and(|(scheme, sent)| {
                // Comparing hashes prevents timing attacks.
                scheme.eq_ignore_ascii_case("bearer")
                    && Sha256::digest(sent.trim()) == Sha256::digest(token.expose_secret())
            })
        }
        None => is_local(request),
    }
}

const PROXY_HEADERS: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];

/// Whether a request comes from this machine without a proxy. A local proxy
/// forwards requests of any client, and the client may have written the proxy
/// headers. So any such header makes a request remote, even from a trusted proxy.
fn is_local(request: &Request) -> bool {
    let headers = request.headers();
    !PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
        && client_ip(headers, request.extensions(), &[]).is_loopback()
}
