//! Extractor for posted forms.

use super::{Action, redirect};
use crate::http::HttpState;
use crate::http::idempotency::{IdempotencyKey, MAX_LENGTH};
use crate::http::problem::ErrorResponse;
use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use domain::Draft;
use domain::error::{AppError, ErrorCode};
use serde_json::Value;

#[derive(Clone, Debug)]
pub struct PostedForm {
    /// The fields, except for `_action` and `next`.
    pub draft: Draft,
    /// The list button that submitted the form.
    pub action: Option<Action>,
    /// Path to redirect to after success.
    pub next: Option<String>,
    /// Path of the page with the form, from the `Referer`.
    pub page: Option<String>,
}

impl FromRequest<HttpState> for PostedForm {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, ErrorResponse> {
        let public_url = state.settings.public_url.as_deref();
        let page = redirect::referring_page(request.headers(), public_url);
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(fields) = form.map_err(|rejection| rejected(rejection.status()))?;
        let mut draft = domain::form::parse(fields)?;
        let action = take(&mut draft, "_action").and_then(|text| text.parse().ok());
        let next =
            take(&mut draft, "next").and_then(|n| domain::url::local_path(&n).map(str::to_owned));
        Ok(Self { draft, action, next, page })
    }
}

fn rejected(status: StatusCode) -> ErrorResponse {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = "The form is too large. The maximum is 8 MiB.";
            AppError::new(ErrorCode::TooLarge, detail).into()
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            let detail = "Send a form with content-type: application/x-www-form-urlencoded.";
            ErrorResponse::with_status(status, detail)
        }
        _ => AppError::new(ErrorCode::Malformed, "The form could not be parsed.").into(),
    }
}

/// Removes a text field from the draft.
fn take(draft: &mut Draft, name: &str) -> Option<String> {
    match draft.0.as_object_mut()?.remove(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

impl PostedForm {
    /// The value of a text field; empty if it is absent.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.draft.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Path to redirect to after success.
    #[must_use]
    pub fn redirect_target(&self, default: &str) -> String {
        self.next.clone().unwrap_or_else(|| default.to_owned())
    }

    /// The key that the page generated. Ignores invalid keys, because no form of
    /// Rehearsal sends one.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        let key = self.text("idempotency_key").trim().to_owned();
        let valid = !key.is_empty() && key.len() <= MAX_LENGTH && key.is_ascii();
        IdempotencyKey(valid.then_some(key))
    }
}
