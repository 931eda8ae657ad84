//! Authentication. Programs send a token, browsers a session cookie. The token
//! takes precedence.

use super::problem::ErrorResponse;
use super::security::NO_STORE;
use super::stream_auth::{Credential, CredentialCache, StreamAuth};
use super::{HttpState, sessions};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::error::{AppError, ErrorCode};
use domain::services::{AppResult, Caller, Services};
use std::sync::Arc;
use tower_sessions::Session;

/// The caller that [`authenticate`] found; `None` for an anonymous request.
#[derive(Clone, Debug, Default)]
pub struct Identity(pub Option<Caller>);

/// The caller of a request, with the services to call. Answers 401 if the request is
/// anonymous.
pub struct SignedIn {
    pub services: Services,
    pub caller: Caller,
}

impl FromRequestParts<HttpState> for SignedIn {
    type Rejection = ErrorResponse;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &HttpState,
    ) -> Result<Self, ErrorResponse> {
        let caller = parts.extensions.get::<Identity>().and_then(|identity| identity.0.clone());
        let caller = caller.ok_or_else(|| {
            let detail = "Sign in, or send a token: Authorization: Bearer …";
            AppError::new(ErrorCode::Unauthenticated, detail)
        })?;
        Ok(Self { services: state.services.clone(), caller })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for StreamAuth {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ErrorResponse> {
        let cache = parts.extensions.get::<Arc<CredentialCache>>().cloned().unwrap_or_default();
        Ok(Self::new(parts.extensions.get::<Credential>().cloned(), cache))
    }
}

/// Adds [`Identity`] and [`Credential`] to the request. Rejects an invalid token
/// with 401, because a fallback to the cookie would hide the mistake.
pub(super) async fn authenticate(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let session = request.extensions().get::<Session>().cloned();
    let cookie = session.as_ref().and_then(Session::id).map(Credential::Session);
    let (caller, credential) = match bearer(request.headers()) {
        Ok(Some(token)) => {
            let caller = state.services.accounts.caller_of_token(&token).await;
            (caller.map(Some).map_err(invalid_token), Some(Credential::Token(token)))
        }
        Ok(None) => (session_caller(&state, session).await, cookie),
        Err(error) => (Err(error), None),
    };
    if let Some(credential) = credential {
        request.extensions_mut().insert(credential);
    }
    match caller {
        Ok(caller) => {
            let signed_in = caller.is_some();
            request.extensions_mut().insert(Identity(caller));
            let mut response = next.run(request).await;
            if signed_in && is_document(response.headers()) {
                response.headers_mut().entry(header::CACHE_CONTROL).or_insert(NO_STORE);
            }
            response
        }
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// Whether a response is a page or JSON, as opposed to a static file.
fn is_document(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_none_or(|kind| kind.starts_with("text/html") || kind.contains("json"))
}

/// The token of an `Authorization: Bearer …` header. Ignores other schemes,
/// because a proxy may use basic authentication.
fn bearer(headers: &HeaderMap) -> AppResult<Option<String>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let invalid = || AppError::new(ErrorCode::Unauthenticated, "The token is not valid.");
    let text = value.to_str().map_err(|_| invalid())?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim();
    if token.is_empty() { Err(invalid()) } else { Ok(Some(token.to_owned())) }
}

/// Hides why a token is invalid.
fn invalid_token(error: AppError) -> AppError {
    match error.code {
        ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::TooMany => error,
        _ => AppError::new(ErrorCode::Unauthenticated, "The token is not valid."),
    }
}

async fn session_caller(state: &HttpState, session: Option<Session>) -> AppResult<Option<Caller>> {
    let Some(session) = session else { return Ok(None) };
    let Some(user) = sessions::user(&session, &state.clock).await? else { return Ok(None) };
    match state.services.accounts.caller_of_session(user.id, user.signed_in_at).await {
        Ok(caller) => Ok(Some(caller)),
        // The account was deleted, or its sessions were ended.
        Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Unauthenticated) => {
            sessions::end(&session).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
