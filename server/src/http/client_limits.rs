//! Limits of what one client does at once: requests and event streams, by client
//! address, event streams by user, and the time of a request body. Behind a trusted proxy the client address is the
//! forwarded one, so one client cannot use up the connections of the proxy.

use super::HttpState;
use super::auth::SignedIn;
use super::client_ip::client_ip;
use super::problem::ErrorResponse;
use crate::incoming::keyed_limit::{ClientAddress, KeyedLimit, KeyedPermit};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::UserId;
use domain::error::{AppError, ErrorCode};
use std::sync::Arc;
use std::time::Duration;

/// Seconds after which a rejected client may try again.
const RETRY_AFTER: u32 = 5;

/// Maximum numbers per client. The defaults are above what a thousand open pages of one
/// user behind one address need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Requests of one client address that are being answered.
    pub requests_per_address: usize,
    /// Event streams of one client address.
    pub streams_per_address: usize,
    /// Event streams of one user.
    pub streams_per_user: usize,
    /// Time for the body of a request.
    pub body_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            requests_per_address: 2048,
            streams_per_address: 2048,
            streams_per_user: 1024,
            body_timeout: Duration::from_secs(120),
        }
    }
}

/// What clients do at the moment.
#[derive(Clone, Default)]
pub(super) struct ClientCounts {
    requests: Arc<KeyedLimit<ClientAddress>>,
    streams: Arc<KeyedLimit<ClientAddress>>,
    user_streams: Arc<KeyedLimit<UserId>>,
}

fn too_many(detail: String) -> ErrorResponse {
    let error = AppError::new(ErrorCode::TooMany, detail);
    AppError { retry_after: Some(RETRY_AFTER), ..error }.into()
}

/// Rejects requests above the limit of their client address.
pub(super) async fn limit_requests(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let settings = &state.settings;
    let ip = client_ip(request.headers(), request.extensions(), &settings.trusted_proxies);
    let max = settings.client_limits.requests_per_address;
    let counts = request.extensions().get::<ClientCounts>().cloned().unwrap_or_default();
    let Some(permit) = counts.requests.acquire(ip.into(), max) else {
        let detail =
            format!("Your network address has {max} requests open. Wait until some are answered.");
        return too_many(detail).into_response();
    };
    let response = next.run(request).await;
    drop(permit);
    response
}

/// The permission to open an event stream, which a stream holds until it ends.
pub(super) struct StreamPermit {
    _address: KeyedPermit<ClientAddress>,
    _user: KeyedPermit<UserId>,
}

impl FromRequestParts<HttpState> for StreamPermit {
    type Rejection = ErrorResponse;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &HttpState,
    ) -> Result<Self, ErrorResponse> {
        let SignedIn { caller, .. } = SignedIn::from_request_parts(parts, state).await?;
        let settings = &state.settings;
        let limits = settings.client_limits;
        let counts = parts.extensions.get::<ClientCounts>().cloned().unwrap_or_default();
        let ip = client_ip(&parts.headers, &parts.extensions, &settings.trusted_proxies);
        let rejected = |whose: &str, max: usize| {
            too_many(format!(
                "{whose} has {max} event streams open. Close some pages and try again."
            ))
        };
        let user = counts.user_streams.acquire(caller.user_id, limits.streams_per_user);
        let user = user.ok_or_else(|| rejected("Your account", limits.streams_per_user))?;
        let address = counts.streams.acquire(ip.into(), limits.streams_per_address);
        let address =
            address.ok_or_else(|| rejected("Your network address", limits.streams_per_address))?;
        Ok(Self { _address: address, _user: user })
    }
}
