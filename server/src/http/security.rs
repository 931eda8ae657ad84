//! Security headers and protection against cross-site requests.

use super::HttpState;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Response as HttpResponse, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::csrf::{CsrfLayer, ProtectionError};

/// The content security policy of everything except pages.
const DEFAULT_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The content security policy of a page. Allows scripts by origin and by nonce.
///
/// `strict-dynamic` would be stricter, but it blocks the `modulepreload` link that
/// Leptos writes without a nonce.
#[must_use]
pub(super) fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; \
         style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Sets security headers that the response does not have yet.
pub(super) async fn headers(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers, header::CONTENT_SECURITY_POLICY, DEFAULT_POLICY);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    // Form handlers need the referer of pages of the same origin.
    set(headers, header::REFERRER_POLICY, "same-origin");
    set(
        headers,
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // Responses depend on the user, so shared caches must not store them.
    set(headers, header::CACHE_CONTROL, "private, no-cache");
    if state.settings.is_https() {
        set(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// `Cache-Control` of pages with user data: the "Back" button must not show them
/// after sign-out.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

/// Builds an empty 403. [`super::problem::render_errors`] adds the body.
pub(super) type RejectFn = fn(ProtectionError) -> HttpResponse<axum::body::Body>;

fn reject(_: ProtectionError) -> HttpResponse<axum::body::Body> {
    let mut response = HttpResponse::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Rejects unsafe cross-site requests. Programs send neither `Origin` nor
/// `Sec-Fetch-Site` and are allowed.
pub(super) fn csrf(state: &HttpState) -> CsrfLayer<RejectFn> {
    let layer = CsrfLayer::new().with_rejection_response(reject as RejectFn);
    // A proxy may rewrite `Host`, so the public origin is trusted, too.
    match &state.settings.public_url {
        Some(url) => layer.clone().add_trusted_origin(url.trim_end_matches('/')).unwrap_or(layer),
        None => layer,
    }
}
