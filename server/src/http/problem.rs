//! Error responses: an `application/problem+json` document for programs, an HTML
//! page for browsers.
//!
//! Handlers return an [`ErrorResponse`]. axum and its layers answer some requests
//! with a status alone (unknown route, body too large, panic). [`render_errors`]
//! adds the body to both.

use super::HttpState;
use super::request_id::LogId;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Problems;
use domain::error::{AppError, ErrorCode};
use serde::Serialize;

pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ProblemDocument {
    /// Relative URL of the documentation of this type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short description of the type.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// Description of this occurrence.
    pub detail: String,
    /// Validation problems, each with its path: all, or the first 100 of more. `detail` has
    /// their number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Problems,
    /// Path of a related page, such as the conflicting suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// ID of the related log lines, as `urn:uuid:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Seconds until a retry is useful; also sent as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// Error response returned by a handler or an extractor.
#[derive(Clone, Debug)]
pub struct ErrorResponse {
    status: StatusCode,
    kind: String,
    title: &'static str,
    error: AppError,
}

impl ErrorResponse {
    /// An error with a status that [`ErrorCode`] does not have (405, 415).
    pub fn with_status(status: StatusCode, detail: impl Into<String>) -> Self {
        let (kind, title) = type_and_title(status);
        let error = AppError::new(ErrorCode::Malformed, detail);
        Self { status, kind: kind.to_owned(), title, error }
    }

    /// The error without its status.
    pub(super) fn into_error(self) -> AppError {
        self.error
    }

    /// The error for a response that has only a status.
    fn from_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::BAD_REQUEST => Some(ErrorCode::Malformed),
            StatusCode::UNAUTHORIZED => Some(ErrorCode::Unauthenticated),
            StatusCode::FORBIDDEN => Some(ErrorCode::Forbidden),
            StatusCode::NOT_FOUND => Some(ErrorCode::NotFound),
            StatusCode::CONFLICT => Some(ErrorCode::Conflict),
            StatusCode::PAYLOAD_TOO_LARGE => Some(ErrorCode::TooLarge),
            StatusCode::UNPROCESSABLE_ENTITY => Some(ErrorCode::Invalid),
            StatusCode::TOO_MANY_REQUESTS => Some(ErrorCode::TooMany),
            StatusCode::SERVICE_UNAVAILABLE => Some(ErrorCode::Unavailable),
            status if status.is_server_error() => Some(ErrorCode::Internal),
            _ => None,
        };
        match code {
            Some(code) => AppError::new(code, default_detail(code)).into(),
            None => Self::with_status(status, format!("{}.", type_and_title(status).1)),
        }
    }

    fn document(&self, log_id: &LogId) -> ProblemDocument {
        let id = self.error.log_id.clone().unwrap_or_else(|| log_id.to_string());
        ProblemDocument {
            kind: format!("/api/docs#{}", self.kind),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.error.detail.clone(),
            errors: self.error.problems.clone(),
            link: self.error.link.clone(),
            instance: Some(format!("urn:uuid:{id}")),
            retry_after: self.error.retry_after,
        }
    }
}

/// The name of an error code in the member `type`.
#[must_use]
pub fn problem_type(code: ErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The detail of a response that has only a status.
fn default_detail(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "The request could not be read.",
        ErrorCode::Unauthenticated => "Sign in, or send a token.",
        ErrorCode::Forbidden => {
            "Cross-site request rejected. Only Rehearsal's own pages and programs with a token \
             can make changes."
        }
        ErrorCode::NotFound => "There is nothing at this address.",
        ErrorCode::Conflict => "The request conflicts with the current state.",
        ErrorCode::TooLarge => "The request body is too large. The maximum is 8 MiB.",
        ErrorCode::Invalid => "The request is not valid.",
        ErrorCode::TooMany => "Too many requests. Try again later.",
        ErrorCode::Unavailable => "Temporarily unavailable. Try again in a moment.",
        ErrorCode::Internal => "Something went wrong on our side. Try again.",
    }
}

/// Type and title of a status that has no [`ErrorCode`].
fn type_and_title(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "Method not allowed"),
        StatusCode::REQUEST_TIMEOUT => ("request_timeout", "Request timed out"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "Unsupported content type")
        }
        _ => ("refused", "Request rejected"),
    }
}

impl From<AppError> for ErrorResponse {
    fn from(error: AppError) -> Self {
        let status = StatusCode::from_u16(error.code.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind: problem_type(error.code),
            title: error.code.title(),
            error,
        }
    }
}

impl IntoResponse for ErrorResponse {
    /// Adds the error as an extension. [`render_errors`] renders the body, because the
    /// format depends on the request.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.error.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Renders the body of error responses: problem documents for `/api/`, a page
/// elsewhere. Responses with a body of their own pass unchanged.
pub(super) async fn render_errors(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let log_id = request.extensions().get::<LogId>().cloned();
    let log_id = log_id.unwrap_or_else(|| LogId::new(&state.clock));
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let error = response.extensions().get::<ErrorResponse>().cloned();
    if !is_error || (error.is_none() && has_own_body(response.headers())) {
        return response;
    }
    let error = error.unwrap_or_else(|| ErrorResponse::from_status(status));
    let document = error.document(&log_id);
    if status.is_server_error() && error.error.log_id.is_none() {
        tracing::error!(%status, detail = %document.detail, %log_id, "request failed");
    }
    if (path.starts_with("/api/") && path != "/api/docs") || path.starts_with("/fn/") {
        json_response(response, &document)
    } else if path.starts_with("/health/") {
        with_body(response, "text/plain; charset=utf-8", format!("{}\n", document.detail))
    } else {
        with_body(response, "text/html; charset=utf-8", error_page(&document))
    }
}

/// Whether a response is a page, JSON, or an error of a server function.
fn has_own_body(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    headers.contains_key("serverfnerror")
        || kind.is_some_and(|kind| kind.starts_with("text/html") || kind.contains("json"))
}

fn json_response(response: Response, document: &ProblemDocument) -> Response {
    let text = serde_json::to_string(document).unwrap_or_default();
    let mut response = with_body(response, PROBLEM_JSON, text);
    if document.status == 401 {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

fn with_body(mut response: Response, content_type: &'static str, text: String) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_ENCODING);
    *response.body_mut() = Body::from(text);
    response
}

/// An error page without styles and scripts, so that it does not depend on other
/// requests.
fn error_page(document: &ProblemDocument) -> String {
    let mut html = String::from(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">",
    );
    let title = escape(&document.title);
    html.push_str(&format!("<title>{title} · Rehearsal</title></head><body><main>"));
    html.push_str(&format!("<h1>{title}</h1><p>{}</p>", escape(&document.detail)));
    if !document.errors.is_empty() {
        html.push_str("<ul>");
        for problem in &document.errors {
            html.push_str(&format!("<li>{}</li>", escape(&problem.to_string())));
        }
        html.push_str("</ul>");
    }
    if let Some(link) = &document.link {
        html.push_str(&format!("<p><a href=\"{}\">View details</a></p>", escape(link)));
    }
    if document.status == 401 {
        html.push_str("<p><a href=\"/sign-in\">Sign in</a></p>");
    }
    html.push_str("<p><a href=\"/\">Home</a></p>");
    if let (true, Some(id)) = (document.status >= 500, &document.instance) {
        html.push_str(&format!("<p>Log ID: <code>{}</code></p>", escape(id)));
    }
    html.push_str("</main></body></html>");
    html
}

/// Escapes text for HTML elements and attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
