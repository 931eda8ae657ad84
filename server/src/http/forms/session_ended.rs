//! Forms that are posted after the session ended. The response is a sign-in page
//! that contains the form. After sign-in the form is stored as a saved form of that user,
//! and the browser returns to its page. Nothing is stored for an anonymous user.

use super::{PostedForm, redirect, without_secrets};
use crate::http::auth::Identity;
use crate::http::security::NO_STORE;
use crate::http::{HttpState, pages};
use app::session_ended::SignInData;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Draft;
use domain::error::AppError;
use domain::services::{AppResult, Caller, SavedForm};
use serde::{Deserialize, Serialize};

/// Name of the hidden field with the pending form.
const FIELD: &str = "pending_form";

/// A form that waits for sign-in, as JSON in a hidden field of the sign-in page.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PendingForm {
    /// The input without secrets.
    draft: Draft,
    /// Path of the page with the form.
    back: String,
    /// Whether the input contained an API key, a password or a client secret.
    secret: bool,
}

/// Answers forms of anonymous users with the sign-in page.
pub(super) async fn require_session(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let identity = request.extensions().get::<Identity>();
    if identity.is_some_and(|identity| identity.0.is_some()) || request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let default_page = redirect::default_page(parts.uri.path());
    let posted = PostedForm::from_request(Request::from_parts(parts.clone(), body), &state).await;
    match posted {
        Ok(posted) => {
            let pending_form = PendingForm::new(posted, default_page).to_json();
            let data = SignInData { pending_form, ..SignInData::default() };
            page(&state, parts, data, StatusCode::UNAUTHORIZED).await
        }
        Err(error) => error.into_response(),
    }
}

impl PendingForm {
    fn new(posted: PostedForm, default_page: String) -> Self {
        let PostedForm { mut draft, action, page, .. } = posted;
        if let Some(action) = action {
            action.apply(&mut draft);
        }
        let secret = !draft.text("api_key").is_empty();
        Self { draft: without_secrets(draft), back: page.unwrap_or(default_page), secret }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the pending form of a posted sign-in form.
    pub(super) fn of(posted: &PostedForm) -> Option<Self> {
        let pending: Self = serde_json::from_str(&posted.text(FIELD)).ok()?;
        pending.draft.0.is_object().then_some(pending)
    }

    /// Stores the form for the user and returns the path of the page that shows it.
    pub(super) async fn store(self, state: &HttpState, caller: &Caller) -> AppResult<String> {
        // The form of a single button has only hidden fields.
        let inputs = ["name", "judge", "agent_id"];
        let has_input = inputs.iter().any(|field| self.draft.at(field).is_some());
        let mut detail = if has_input {
            "Your session had expired. Your changes are below and are not saved yet."
        } else {
            "Your session had expired. Nothing was changed. Click the button again."
        }
        .to_owned();
        if self.secret {
            detail.push_str(" Enter the API key or password again: it is not stored.");
        }
        let rejected =
            SavedForm { draft: without_secrets(self.draft), detail, ..SavedForm::default() };
        let id = state.services.saved_forms.save_form(Some(caller), &rejected).await?;
        let back = domain::url::local_path(&self.back).unwrap_or("/");
        Ok(redirect::with_saved_form(back, id))
    }
}

/// Renders the sign-in page again after a failed sign-in.
pub(super) async fn sign_in_failed(
    state: &HttpState,
    parts: Parts,
    posted: &PostedForm,
    email: String,
    error: AppError,
) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let pending_form = posted.text(FIELD);
    let data = SignInData { email, pending_form, error: Some(error.detail) };
    let mut response = page(state, parts, data, status).await;
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn page(state: &HttpState, parts: Parts, data: SignInData, status: StatusCode) -> Response {
    let request = Request::from_parts(parts, Body::empty());
    let mut response = pages::session_ended(state, request, data).await;
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}
