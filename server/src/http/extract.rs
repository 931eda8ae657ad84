//! Extractors for IDs, query parameters and JSON bodies. Each rejection says what is
//! wrong with the input.

use super::problem::ErrorResponse;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use domain::error::{AppError, ErrorCode};
use domain::{Draft, DraftReader, Problem, Problems};
use serde_json::Value;
use std::str::FromStr;

/// The `{id}` of a path. Answers 404 for a malformed ID.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr + Send> FromRequestParts<S> for Id<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let missing = || ErrorResponse::from(AppError::not_found("object"));
        let Path(text) = <Path<String> as FromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

/// The query parameters, as a draft of strings.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Draft);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|_| {
            AppError::new(ErrorCode::Malformed, "The query parameters could not be parsed.")
        })?;
        let map = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Ok(Self(Draft(Value::Object(map))))
    }
}

impl Params {
    /// Reads the parameters with `read`, which must read every known parameter.
    ///
    /// # Errors
    /// 422 with every invalid or unknown parameter.
    pub fn read<T>(&self, read: impl FnOnce(&mut DraftReader<'_>) -> T) -> Result<T, AppError> {
        read_fields(&self.0, &[], read)
    }
}

/// Reads a draft with `read`, which must read every known field. Fields in
/// `ignored` are allowed, too.
///
/// # Errors
/// 422 with every invalid or unknown field.
pub fn read_fields<T>(
    draft: &Draft,
    ignored: &[&str],
    read: impl FnOnce(&mut DraftReader<'_>) -> T,
) -> Result<T, AppError> {
    let mut problems = Problems::new();
    let mut reader = DraftReader::new(&draft.0, String::new(), &mut problems);
    let value = read(&mut reader);
    reader.deny_unknown_fields(ignored);
    if problems.is_empty() { Ok(value) } else { Err(AppError::invalid(problems)) }
}

/// A JSON body as a draft. Answers 415 for another content type, 400 with line and
/// column for malformed JSON, 413 for a body that is too large.
#[derive(Clone, Debug)]
pub struct JsonBody(pub Draft);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        parse(&read_body(request, state).await?).map(Self).map_err(ErrorResponse::from)
    }
}

impl<S: Send + Sync> OptionalFromRequest<S> for JsonBody {
    type Rejection = ErrorResponse;

    /// An empty body is `None`, whatever its content type.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ErrorResponse> {
        let json = is_json(request.headers());
        let bytes = read_body(request, state).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        if !json {
            return Err(not_json());
        }
        parse(&bytes).map(|draft| Some(Self(draft))).map_err(ErrorResponse::from)
    }
}

/// Reads the whole body.
///
/// # Errors
/// 413 for a body that is too large, 400 if the connection breaks.
pub async fn read_body<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, ErrorResponse> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let error = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = "The request body is too large. The maximum is 8 MiB.";
                AppError::new(ErrorCode::TooLarge, detail)
            }
            _ => AppError::new(ErrorCode::Malformed, "The request body is incomplete."),
        };
        error.into()
    })
}

fn not_json() -> ErrorResponse {
    let detail = "Send JSON with content-type: application/json.";
    ErrorResponse::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The content type without parameters, in lower case.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn parse(bytes: &[u8]) -> Result<Draft, AppError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let detail = "The request body is empty. A JSON object is expected.";
        return Err(AppError::new(ErrorCode::Malformed, detail));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { String::new() } else { format!(" at {path}") };
            format!("The request body is not valid JSON{place}: {}.", error.inner())
        })
        .and_then(|value| match json.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(format!("The request body is not a single JSON value: {error}.")),
        });
    value.map(Draft).map_err(|detail| AppError::new(ErrorCode::Malformed, detail))
}

/// The `revision` that a change is based on. Validates the rest of the draft, too,
/// so that the error contains all problems.
///
/// # Errors
/// 422 with all problems.
pub fn base_revision<T>(
    draft: &Draft,
    validate: impl FnOnce(&Draft) -> Result<T, Problems>,
) -> Result<u32, AppError> {
    let mut problems = Problems::new();
    let mut reader = DraftReader::new(&draft.0, String::new(), &mut problems);
    let is_object = reader.is_object();
    let revision = reader.optional_integer("revision", 1, u32::MAX);
    if is_object && revision.is_none() && problems.is_empty() {
        let message = "is required: the revision that the change is based on";
        problems.push(Problem::new("revision", message));
    }
    match revision {
        Some(revision) if problems.is_empty() => Ok(revision),
        _ => {
            problems.extend(validate(draft).err().unwrap_or_default());
            problems.dedup();
            Err(AppError::invalid(problems))
        }
    }
}
