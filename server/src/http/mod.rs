//! HTTP: pages and server functions ([`pages`]), HTML forms ([`forms`]) and the
//! JSON API ([`api`]).
//!
//! All three call the same [`Services`], which validate input and check
//! ownership. This module only translates between HTTP and service calls.

pub mod api;
pub mod auth;
mod body_timeout;
pub mod client_ip;
mod client_limits;
mod detached;
mod drain;
pub mod extract;
pub mod forms;
pub mod health;
pub mod idempotency;
mod metrics;
mod pages;
pub mod problem;
mod request_id;
mod security;
mod sessions;
mod sign_in_limits;
mod static_files;
mod stream;
mod stream_auth;
mod uploads;

#[cfg(test)]
mod tests;

pub use client_ip::Network;
pub use client_limits::ClientLimits;
pub use health::Readiness;
pub use services::event_source::EventSource;
pub use sessions::{COOKIE, SharedSessions};
pub use sign_in_limits::SignInLimits;

use app::pages::lazy_routes::ChunkFiles;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use clock::SharedClock;
use domain::limits;
use domain::services::Services;
use leptos::config::LeptosOptions;
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use telemetry::Scrape;
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

/// Settings of the HTTP layer.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// The public origin, without a trailing slash. Cookies are `Secure` if it is
    /// https.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Directory of the static files.
    pub site: PathBuf,
    /// Bearer token for `/metrics`. Without one, only requests from this machine
    /// are allowed.
    pub metrics_token: Option<SecretString>,
    pub client_limits: ClientLimits,
}

impl HttpSettings {
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// State shared by all handlers.
#[derive(Clone)]
pub struct HttpState {
    pub services: Services,
    /// Source of the event streams.
    pub event_source: Arc<dyn EventSource>,
    pub readiness: Arc<dyn Readiness>,
    pub sessions: SharedSessions,
    pub clock: SharedClock,
    pub settings: Arc<HttpSettings>,
    pub leptos: LeptosOptions,
    /// The files of lazy chunks, which pages preload.
    pub chunks: ChunkFiles,
    /// `None` if metrics are not recorded.
    pub metrics: Option<Scrape>,
    pub sign_ins: Arc<SignInLimits>,
    /// Canceled at shutdown, which ends the streams.
    pub shutdown: CancellationToken,
}

impl FromRef<HttpState> for LeptosOptions {
    fn from_ref(state: &HttpState) -> Self {
        state.leptos.clone()
    }
}

/// The router of the server. Requests need a `ConnectInfo<SocketAddr>`, because limits use
/// the client address.
pub fn router(state: HttpState) -> Router {
    let authenticated = Router::new()
        .merge(pages::routes(&state).layer(from_fn(pages::server_fn_status)))
        .merge(forms::routes(&state))
        .merge(api::routes(&state))
        .fallback(fallback)
        .layer(Extension(Arc::<stream_auth::CredentialCache>::default()))
        .layer(from_fn_with_state(state.clone(), auth::authenticate))
        .layer(sessions::layer(state.sessions.clone(), state.settings.is_https()))
        .layer(from_fn_with_state(state.clone(), client_limits::limit_requests))
        .layer(Extension(client_limits::ClientCounts::default()));
    let unauthenticated = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .nest_service("/pkg", packages(&state));
    let request_id = HeaderName::from_static(request_id::HEADER);
    // The first layer is the outermost.
    let middleware = ServiceBuilder::new()
        .layer(from_fn(request_id::remove_client_id))
        .layer(SetRequestIdLayer::new(
            request_id.clone(),
            request_id::ClockRequestId(Arc::clone(&state.clock)),
        ))
        .layer(PropagateRequestIdLayer::new(request_id))
        .layer(from_fn_with_state(state.clone(), request_id::set_log_id))
        .layer(TraceLayer::new_for_http().make_span_with(request_id::span))
        .layer(CompressionLayer::new().gzip(true).br(true))
        .layer(from_fn_with_state(state.clone(), security::headers))
        .layer(from_fn_with_state(state.clone(), problem::render_errors))
        .layer(CatchPanicLayer::custom(handle_panic as fn(Panic) -> Response));
    unauthenticated
        .merge(authenticated)
        .layer(DefaultBodyLimit::max(limits::BODY))
        .layer(RequestBodyLimitLayer::new(limits::BODY))
        .layer(from_fn(drain::drain_rejected_body))
        .layer(from_fn_with_state(state.clone(), body_timeout::limit_body_time))
        .layer(security::csrf(&state))
        .layer(middleware)
        .with_state(state)
}

type Panic = Box<dyn std::any::Any + Send + 'static>;

/// Logs a panic of a handler and answers 500.
fn handle_panic(panic: Panic) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("HTTP handler panicked");
    // The payload may contain request data.
    tracing::debug!(payload = text.unwrap_or("none"), "panic payload");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Scripts, WASM and styles.
fn packages(state: &HttpState) -> Router {
    Router::new()
        .fallback_service(static_files::service(&state.settings.site.join("pkg")))
        .layer(from_fn(static_files::set_cache_control))
        .layer(from_fn(static_files::reject_impossible_names))
}

/// Serves static files such as icons, and the "not found" page.
async fn fallback(State(state): State<HttpState>, request: Request) -> Response {
    let path = request.uri().path();
    let prefixes = ["/api/", "/fn/", "/forms/", "/pkg/"];
    let reserved = prefixes.iter().any(|prefix| path.starts_with(prefix));
    if reserved || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let may_be_file = static_files::may_be_file(path);
    let (parts, _) = request.into_parts();
    let for_page = Request::from_parts(parts.clone(), Body::empty());
    if !may_be_file {
        return pages::not_found(state, for_page).await;
    }
    let for_file = Request::from_parts(parts, Body::empty());
    match static_files::service(&state.settings.site).oneshot(for_file).await {
        Ok(file) if file.status() != StatusCode::NOT_FOUND => file.into_response(),
        _ => pages::not_found(state, for_page).await,
    }
}
