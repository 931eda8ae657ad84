//! What a request brings: an id, parameters, a JSON body. Nothing is assumed
//! about any of them, and each refusal says where it went wrong.

use super::problem::Failure;
use domain::{Draft, Problem, Problems, Reader};
use domain::error::{AppError, ErrorCode};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use std::str::FromStr;

/// The `{id}` of a path. What is no id cannot exist: 404.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let missing = || Failure::from(AppError::not_found("thing"));
        let Path(text) = <Path<String> as FromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

/// The parameters after `?`, as a draft of texts.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Draft);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|_| {
            AppError::new(ErrorCode::Malformed, "The parameters after ? could not be read.")
        })?;
        let map = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Ok(Self(Draft(Value::Object(map))))
    }
}

impl Params {
    /// Reads them with `read`, which asks for every parameter that is known.
    ///
    /// # Errors
    /// 422 with every parameter that is wrong or unknown.
    pub fn read<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, AppError> {
        let mut problems = Problems::new();
        let mut reader = Reader::new(&self.0.0, String::new(), &mut problems);
        let value = read(&mut reader);
        reader.finish(&[]);
        if problems.is_empty() { Ok(value) } else { Err(AppError::invalid(problems)) }
    }
}

/// A JSON body as a draft. 415 for another content type, 400 with line and
/// column for what is not JSON, 413 for too much of it.
#[derive(Clone, Debug)]
pub struct JsonBody(pub Draft);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            let sentence = "Please send JSON, with content-type: application/json.";
            return Err(Failure::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
        }
        parse(&body(request, state).await?).map(Self).map_err(Failure::from)
    }
}

impl<S: Send + Sync> OptionalFromRequest<S> for JsonBody {
    type Rejection = Failure;

    /// An empty body is none, whatever its content type says.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Failure> {
        let json = is_json(request.headers());
        let bytes = body(request, state).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        if !json {
            let sentence = "Please send JSON, with content-type: application/json.";
            return Err(Failure::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
        }
        parse(&bytes).map(|draft| Some(Self(draft))).map_err(Failure::from)
    }
}

/// The whole body, or 413, or 400 where it broke off.
///
/// # Errors
/// The [`Failure`] to answer with.
pub async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failure> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            _ => ErrorCode::Malformed,
        };
        let sentence = match code {
            ErrorCode::TooLarge => "The body is too large: at most 8 MiB are read.",
            _ => "The body broke off.",
        };
        AppError::new(code, sentence).into()
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The content type without its parameters, in lower case.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn parse(bytes: &[u8]) -> Result<Draft, AppError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let sentence = "The body is empty; a JSON object is expected.";
        return Err(AppError::new(ErrorCode::Malformed, sentence));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { String::new() } else { format!(" at {path}") };
            format!("The body is not JSON{place}: {}.", error.inner())
        })
        .and_then(|value| match json.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(format!("The body is not one JSON value: {error}.")),
        });
    value.map(Draft).map_err(|sentence| AppError::new(ErrorCode::Malformed, sentence))
}

/// The `revision` that a change is based on, together with every other
/// problem of the draft, so that all come at once.
///
/// # Errors
/// 422.
pub fn based_on<T>(
    draft: &Draft,
    check: impl FnOnce(&Draft) -> Result<T, Problems>,
) -> Result<u32, AppError> {
    let mut problems = Problems::new();
    let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
    let is_object = reader.is_object();
    let revision = reader.optional_integer("revision", 1, u32::MAX);
    if is_object && revision.is_none() && problems.is_empty() {
        let message = "must be given: the revision that the change is based on";
        problems.push(Problem::new("revision", message));
    }
    match revision {
        Some(revision) if problems.is_empty() => Ok(revision),
        _ => {
            problems.extend(check(draft).err().unwrap_or_default());
            problems.dedup();
            Err(AppError::invalid(problems))
        }
    }
}
