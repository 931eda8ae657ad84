//! A form on its way in, and who posted it.

use super::{Action, parse, places};
use crate::http::HttpState;
use crate::http::idempotency::{IdempotencyKey, LONGEST};
use crate::http::problem::Failure;
use domain::Draft;
use domain::error::{AppError, ErrorCode};
use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::Value;

/// What a form brought.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Its fields, without those that are about the form itself.
    pub draft: Draft,
    /// The list button that sent it, if one did.
    pub action: Option<Action>,
    /// Where to go afterwards, as the form asks.
    pub next: Option<String>,
    /// The page that it was posted from.
    pub back: Option<String>,
}

impl FromRequest<HttpState> for Posted {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Failure> {
        let public_url = state.settings.public_url.as_deref();
        let back = places::posted_from(request.headers(), public_url);
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(pairs) = form.map_err(|rejection| refusal(rejection.status()))?;
        let mut draft = parse::draft(pairs)?;
        let action = take(&mut draft, "_action").and_then(|text| text.parse().ok());
        let next =
            take(&mut draft, "next").and_then(|n| domain::address::local(&n).map(str::to_owned));
        Ok(Self { draft, action, next, back })
    }
}

fn refusal(status: StatusCode) -> Failure {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let sentence = "The form is too large: at most 8 MiB are read.";
            AppError::new(ErrorCode::TooLarge, sentence).into()
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            let sentence = "A form is posted here: application/x-www-form-urlencoded.";
            Failure::with_status(status, sentence)
        }
        _ => AppError::new(ErrorCode::Malformed, "The form could not be read.").into(),
    }
}

/// Takes a plain field out of the draft.
fn take(draft: &mut Draft, name: &str) -> Option<String> {
    match draft.0.as_object_mut()?.remove(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

impl Posted {
    /// The text of a plain field; empty where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.draft.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Where to go after success: as the form asks, or `otherwise`.
    #[must_use]
    pub fn onward(&self, otherwise: &str) -> String {
        self.next.clone().unwrap_or_else(|| otherwise.to_owned())
    }

    /// The key minted when the page was rendered. One that is no key of ours
    /// is as good as none: forms do not send any other.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        let key = self.text("idempotency_key").trim().to_owned();
        let fine = !key.is_empty() && key.len() <= LONGEST && key.is_ascii();
        IdempotencyKey(fine.then_some(key))
    }
}
