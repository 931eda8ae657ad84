//! The answer of a start, the same for suites, runs, reruns and judgings.

use domain::services::{AppResult, Started, Which};
use domain::{Draft, Problems, Reader};
use domain::error::AppError;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Says that this is an earlier answer, byte for byte.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// 202 with the stored bytes and the place of what was started.
pub(super) fn accepted(started: Started, location: String) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (StatusCode::ACCEPTED, headers, started.body).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if started.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Which runs of a suite to run again.
///
/// # Errors
/// 422.
pub(crate) fn which(draft: &Draft) -> AppResult<Which> {
    let mut problems = Problems::new();
    let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
    let words = [("errors", Which::Errors), ("failed", Which::Failed), ("all", Which::All)];
    let which = if reader.is_object() { reader.choice("which", &words, None) } else { None };
    reader.finish(&["idempotency_key"]);
    match which {
        Some(which) if problems.is_empty() => Ok(which),
        _ => Err(AppError::invalid(problems)),
    }
}

/// A body in which there is nothing to say.
///
/// # Errors
/// 422 with everything that it says.
pub(super) fn nothing(draft: &Draft) -> AppResult<()> {
    let mut problems = Problems::new();
    Reader::new(&draft.0, String::new(), &mut problems).finish(&["idempotency_key"]);
    if problems.is_empty() { Ok(()) } else { Err(AppError::invalid(problems)) }
}
