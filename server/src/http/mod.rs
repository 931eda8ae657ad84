//! Everything between the socket and the port.
//!
//! Three doors to the same use cases ([`domain::services::Backend`]): pages and
//! server functions ([`pages`]), forms without script ([`forms`]) and the API
//! ([`api`]). Who may, and whether it is valid, is said behind the port; here
//! is only how it is asked and answered.

pub mod api;
pub mod auth;
pub mod client_ip;
mod drain;
pub mod extract;
mod files;
pub mod forms;
pub mod health;
pub mod idempotency;
mod metrics;
mod pages;
mod pass;
pub mod problem;
mod request_id;
mod security;
mod sessions;
pub mod spawned;
mod stream;
mod throttle;

#[cfg(test)]
mod tests;

pub use client_ip::Network;
pub use health::Readiness;
pub use services::event_source::Live;
pub use sessions::{COOKIE, SharedSessions};
pub use throttle::SignInLimits;

use clock::SharedClock;
use telemetry::Scrape;
use domain::services::Services;
use domain::limits;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use leptos::config::LeptosOptions;
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

/// What HTTP needs to know of the settings.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// The address that people use, without a trailing slash; cookies are
    /// `Secure` when it is https.
    pub public_url: Option<String>,
    /// Proxies whose forwarded headers count.
    pub trusted_proxies: Vec<Network>,
    /// The folder of the site's files.
    pub site: PathBuf,
    /// Who sends it may read the metrics; without one, this machine alone.
    pub metrics_token: Option<SecretString>,
}

impl HttpSettings {
    /// Whether people come by https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// Everything the handlers share.
#[derive(Clone)]
pub struct HttpState {
    /// The use cases.
    pub services: Services,
    /// What the streams read.
    pub live: Arc<dyn Live>,
    /// Whether store and engine work.
    pub readiness: Arc<dyn Readiness>,
    /// Where sessions are kept.
    pub sessions: SharedSessions,
    /// The time.
    pub clock: SharedClock,
    /// The settings.
    pub settings: Arc<HttpSettings>,
    /// Names of the site's files, for the pages.
    pub leptos: LeptosOptions,
    /// The metrics, where they are recorded.
    pub metrics: Option<Scrape>,
    /// Attempts to sign in.
    pub sign_ins: Arc<SignInLimits>,
    /// Cancelled when the server stops: streams end then.
    pub shutdown: CancellationToken,
}

impl FromRef<HttpState> for LeptosOptions {
    fn from_ref(state: &HttpState) -> Self {
        state.leptos.clone()
    }
}

/// The whole server. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`: limits need to know
/// where requests come from.
pub fn router(state: HttpState) -> Router {
    let people_and_programs = Router::new()
        .merge(pages::routes(&state).layer(from_fn(pages::statuses)))
        .merge(forms::routes(&state))
        .merge(api::routes())
        .fallback(fallback)
        .layer(Extension(Arc::<pass::Passes>::default()))
        .layer(from_fn_with_state(state.clone(), auth::resolve))
        .layer(sessions::layer(state.sessions.clone(), state.settings.is_https()));
    let machines = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .nest_service("/pkg", files(&state));
    let request_id = HeaderName::from_static(request_id::HEADER);
    // The first is the outermost.
    let around = ServiceBuilder::new()
        .layer(from_fn(request_id::forget_foreign))
        .layer(SetRequestIdLayer::new(
            request_id.clone(),
            request_id::FromClock(Arc::clone(&state.clock)),
        ))
        .layer(PropagateRequestIdLayer::new(request_id))
        .layer(from_fn_with_state(state.clone(), request_id::remember))
        .layer(TraceLayer::new_for_http().make_span_with(request_id::span))
        .layer(CompressionLayer::new().gzip(true).br(true))
        .layer(from_fn_with_state(state.clone(), security::headers))
        .layer(from_fn_with_state(state.clone(), problem::dress))
        .layer(CatchPanicLayer::custom(panicked as fn(Panic) -> Response));
    machines
        .merge(people_and_programs)
        .layer(DefaultBodyLimit::max(limits::BODY))
        .layer(RequestBodyLimitLayer::new(limits::BODY))
        .layer(from_fn(drain::refused))
        .layer(security::csrf(&state))
        .layer(around)
        .with_state(state)
}

type Panic = Box<dyn std::any::Any + Send + 'static>;

/// A panic in a handler: logged here, a bare 500 on its way out.
fn panicked(panic: Panic) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("a handler panicked");
    // Its words may quote what was sent.
    tracing::debug!(words = text.unwrap_or("none"), "what the panic said");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Scripts, WASM and styles.
fn files(state: &HttpState) -> Router {
    Router::new()
        .fallback_service(files::service(&state.settings.site.join("pkg")))
        .layer(from_fn(files::caching))
}

/// What no route answers: a file beside the pages (an icon), or nothing.
async fn fallback(State(state): State<HttpState>, request: Request) -> Response {
    let path = request.uri().path();
    let reserved = ["/api/", "/fn/", "/forms/", "/pkg/"].iter().any(|at| path.starts_with(at));
    if reserved || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (parts, _) = request.into_parts();
    let for_page = Request::from_parts(parts.clone(), Body::empty());
    let for_file = Request::from_parts(parts, Body::empty());
    match files::service(&state.settings.site).oneshot(for_file).await {
        Ok(file) if file.status() != StatusCode::NOT_FOUND => file.into_response(),
        _ => pages::not_found(state, for_page).await,
    }
}
