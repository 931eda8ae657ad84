//! `/metrics`, and who may read it: whoever sends the operator's token, or,
//! where there is none, this machine alone. The numbers name nobody, but tell
//! how much a house is used.

use super::client_ip::client_ip;
use super::problem::Failure;
use super::{HttpSettings, HttpState};
use domain::error::{AppError, ErrorCode};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// The metrics in Prometheus' text form; empty where none are recorded.
pub(super) async fn metrics(State(state): State<HttpState>, request: Request) -> Response {
    if !may_read(&state.settings, &request) {
        let sentence = "The metrics are for this machine alone. To read them from elsewhere, set \
                        REHEARSAL_METRICS_TOKEN and send it as a bearer token.";
        let failure = Failure::from(AppError::new(ErrorCode::Unauthenticated, sentence));
        let mut response = failure.into_response();
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
                // Hashes are compared: how long that takes tells nothing.
                scheme.eq_ignore_ascii_case("bearer")
                    && Sha256::digest(sent.trim()) == Sha256::digest(token.expose_secret())
            })
        }
        None => from_here(request),
    }
}

/// What proxies add to a request.
const BY_PROXY: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];

/// Whether it comes straight from this machine. A proxy here brings requests
/// from anywhere, and what it says of them may be the client's own words: so
/// its headers, whatever they say and whoever trusts it, give it away.
fn from_here(request: &Request) -> bool {
    let headers = request.headers();
    !BY_PROXY.iter().any(|name| headers.contains_key(*name))
        && client_ip(headers, request.extensions(), &[]).is_loopback()
}
