//! Headers that tell browsers what they may do, and the guard against posts
//! from other sites.

use super::HttpState;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Response as HttpResponse, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::csrf::{CsrfLayer, ProtectionError};

/// What everything but pages may do: nothing.
const CLOSED: &str = "default-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The policy of a page whose own scripts carry `nonce`.
///
/// Scripts are ours by origin or by nonce. `strict-dynamic` would be stricter
/// still, but it also refuses the `modulepreload` link that Leptos writes
/// without a nonce, with an error on the console of every page.
#[must_use]
pub(super) fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; \
         style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Sets the headers that are not set yet.
pub(super) async fn headers(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers, header::CONTENT_SECURITY_POLICY, CLOSED);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    // Our own forms tell where they were posted from; other sites learn nothing.
    set(headers, header::REFERRER_POLICY, "same-origin");
    set(
        headers,
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // What people see is theirs: no shared cache keeps it.
    set(headers, header::CACHE_CONTROL, "private, no-cache");
    if state.settings.is_https() {
        set(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// For what no browser may keep: it would come back by "Back" after its owner
/// has signed out.
pub(super) const KEPT_NOWHERE: HeaderValue = HeaderValue::from_static("private, no-store");

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

/// Builds a bare 403; [`super::problem::dress`] gives it words.
pub(super) type Forbid = fn(ProtectionError) -> HttpResponse<axum::body::Body>;

fn forbid(_: ProtectionError) -> HttpResponse<axum::body::Body> {
    let mut response = HttpResponse::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Refuses what changes something and comes from another site. Programs send
/// neither `Origin` nor `Sec-Fetch-Site` and pass.
pub(super) fn csrf(state: &HttpState) -> CsrfLayer<Forbid> {
    let layer = CsrfLayer::new().with_rejection_response(forbid as Forbid);
    // Behind a proxy that rewrites Host, pages come from the public address.
    match &state.settings.public_url {
        Some(url) => layer.clone().add_trusted_origin(url.trim_end_matches('/')).unwrap_or(layer),
        None => layer,
    }
}
