//! Who asks. A program sends a token, a browser its session cookie; a request
//! with a token ignores the cookie.

use super::pass::{Pass, Passes, Shown};
use super::problem::Failure;
use super::security::KEPT_NOWHERE;
use super::{HttpState, sessions};
use domain::services::{AppResult, Caller};
use domain::error::{AppError, ErrorCode};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tower_sessions::Session;

/// Who asks, found once a request by [`resolve`]; `None` is nobody.
#[derive(Clone, Debug, Default)]
pub struct Who(pub Option<Caller>);

/// The caller of an endpoint that needs one; else 401.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let who = parts.extensions.get::<Who>().and_then(|who| who.0.clone());
        who.map(Self).ok_or_else(|| {
            let sentence = "Please sign in, or send a token: Authorization: Bearer …";
            AppError::new(ErrorCode::Unauthenticated, sentence).into()
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Pass {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let all = parts.extensions.get::<Arc<Passes>>().cloned().unwrap_or_default();
        Ok(Self::new(parts.extensions.get::<Shown>().cloned(), all))
    }
}

/// Finds out who asks and notes it in the request. A token that is not valid
/// ends the request here: falling back to the cookie or to nobody would hide
/// the mistake.
pub(super) async fn resolve(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let session = request.extensions().get::<Session>().cloned();
    let of_cookie = session.as_ref().and_then(Session::id).map(Shown::Session);
    let (who, shown) = match bearer(request.headers()) {
        Ok(Some(token)) => {
            let who = state.services.accounts.caller_of_token(&token).await.map(Some).map_err(no_token);
            (who, Some(Shown::Token(token)))
        }
        Ok(None) => (of_session(&state, session).await, of_cookie),
        Err(error) => (Err(error), None),
    };
    if let Some(shown) = shown {
        request.extensions_mut().insert(shown);
    }
    match who {
        Ok(caller) => {
            let somebody = caller.is_some();
            request.extensions_mut().insert(Who(caller));
            let mut response = next.run(request).await;
            if somebody && is_words(response.headers()) {
                response.headers_mut().entry(header::CACHE_CONTROL).or_insert(KEPT_NOWHERE);
            }
            response
        }
        Err(error) => Failure::from(error).into_response(),
    }
}

/// Whether an answer is a page or a document, and no file of the site.
fn is_words(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_none_or(|kind| kind.starts_with("text/html") || kind.contains("json"))
}

/// The token of an `Authorization: Bearer …` header, if there is one. Another
/// scheme (a proxy's basic authentication) is not ours to judge.
fn bearer(headers: &HeaderMap) -> AppResult<Option<String>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unreadable = || AppError::new(ErrorCode::Unauthenticated, "The token is not valid.");
    let text = value.to_str().map_err(|_| unreadable())?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim();
    if token.is_empty() { Err(unreadable()) } else { Ok(Some(token.to_owned())) }
}

/// Whatever is wrong with a token, it is one sentence: no hints.
fn no_token(error: AppError) -> AppError {
    match error.code {
        ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::TooMany => error,
        _ => AppError::new(ErrorCode::Unauthenticated, "The token is not valid."),
    }
}

async fn of_session(state: &HttpState, session: Option<Session>) -> AppResult<Option<Caller>> {
    let Some(session) = session else { return Ok(None) };
    let Some(user) = sessions::user(&session, &state.clock).await? else { return Ok(None) };
    match state.services.accounts.caller_of_user(user).await {
        Ok(caller) => Ok(Some(caller)),
        // The account is gone: so is its session.
        Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Unauthenticated) => {
            sessions::end(&session).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
