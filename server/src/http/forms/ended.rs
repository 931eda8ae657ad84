//! A form that is sent after its session ended. It is answered with a page to
//! sign in on that carries what was typed; signing in keeps it as a draft of
//! whoever signed in, and leads back to the page of the form. Until then it is
//! nowhere but in that browser: nothing of a stranger's is stored.

use super::{Posted, places, without_secrets};
use crate::http::auth::Who;
use crate::http::security::KEPT_NOWHERE;
use crate::http::{HttpState, pages};
use domain::services::{AppResult, Caller, Rejected};
use domain::Draft;
use app::ended::SignInAgain;
use domain::error::AppError;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// The field of the page that carries it.
const FIELD: &str = "carried";

/// What is carried, as JSON in a hidden field.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Carried {
    /// What was typed; never a key.
    draft: Draft,
    /// The page of the form.
    back: String,
    /// Whether a key was among it.
    secret: bool,
}

/// Lets forms of somebody through. Nobody's is answered with the page to sign
/// in on.
pub(super) async fn guard(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let somebody = request.extensions().get::<Who>().is_some_and(|who| who.0.is_some());
    if somebody || request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let own = places::of_form(parts.uri.path());
    let posted = Posted::from_request(Request::from_parts(parts.clone(), body), &state).await;
    match posted {
        Ok(posted) => {
            let again =
                SignInAgain { carried: Carried::new(posted, own).text(), ..Default::default() };
            page(&state, parts, again, StatusCode::UNAUTHORIZED).await
        }
        Err(failure) => failure.into_response(),
    }
}

impl Carried {
    fn new(posted: Posted, own: String) -> Self {
        let Posted { mut draft, action, back, .. } = posted;
        if let Some(action) = action {
            action.apply(&mut draft);
        }
        let secret = !draft.text("api_key").is_empty();
        Self { draft: without_secrets(draft), back: back.unwrap_or(own), secret }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a form to sign in with carries. It comes from a browser, so nothing
    /// is assumed of it.
    pub(super) fn of(posted: &Posted) -> Option<Self> {
        let carried: Self = serde_json::from_str(&posted.text(FIELD)).ok()?;
        carried.draft.0.is_object().then_some(carried)
    }

    /// Keeps it for whoever signed in; answers the page that shows it.
    pub(super) async fn keep(self, state: &HttpState, caller: &Caller) -> AppResult<String> {
        // A button's form has fields too, but none that somebody fills in.
        let filled = ["name", "judge", "agent_id"];
        let typed = filled.iter().any(|field| self.draft.at(field).is_some());
        let mut detail = if typed {
            "Your session had ended. Nothing is saved yet: this is what you typed."
        } else {
            "Your session had ended. Nothing was done yet: press the button once more."
        }
        .to_owned();
        if self.secret {
            detail.push_str(" Keys are not kept: type it in again.");
        }
        let kept = Rejected { draft: without_secrets(self.draft), detail, ..Rejected::default() };
        let id = state.services.drafts.keep_draft(Some(caller), &kept).await?;
        let back = domain::address::local(&self.back).unwrap_or("/");
        Ok(places::with(back, "draft", &id.to_string()))
    }
}

/// The page once more, after signing in was refused.
pub(super) async fn refused(
    state: &HttpState,
    parts: Parts,
    posted: &Posted,
    email: String,
    error: AppError,
) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let again = SignInAgain { email, carried: posted.text(FIELD), refused: Some(error.detail) };
    let mut response = page(state, parts, again, status).await;
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn page(state: &HttpState, parts: Parts, again: SignInAgain, status: StatusCode) -> Response {
    let request = Request::from_parts(parts, Body::empty());
    let mut response = pages::sign_in_again(state, request, again).await;
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, KEPT_NOWHERE);
    response
}
