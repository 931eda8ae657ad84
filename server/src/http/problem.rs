//! Every no on its way out: an `application/problem+json` document for
//! programs, a short page for people.
//!
//! Handlers answer with a [`Failure`]; what axum and its layers refuse by
//! themselves (an unknown route, a body too large, a panic) arrives here bare.
//! [`dress`] is the one place that turns both into words.

use super::HttpState;
use super::request_id::LogId;
use domain::Problems;
use domain::error::{AppError, ErrorCode};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Document {
    /// Where its kind is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence that helps.
    pub detail: String,
    /// All problems of the input, each with its path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Problems,
    /// Where to look instead, a path on this site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The id under which the log has more, as `urn:uuid:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Seconds after which to try again; also the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// A no from a handler or an extractor.
#[derive(Clone, Debug)]
pub struct Failure {
    status: StatusCode,
    kind: String,
    title: &'static str,
    error: AppError,
}

impl Failure {
    /// A no whose status is none of [`ErrorCode`]'s (405, 415).
    pub fn with_status(status: StatusCode, detail: impl Into<String>) -> Self {
        let (kind, title) = plain_words(status);
        let error = AppError::new(ErrorCode::Malformed, detail);
        Self { status, kind: kind.to_owned(), title, error }
    }

    /// What it says.
    #[must_use]
    pub fn error(&self) -> &AppError {
        &self.error
    }

    /// A bare status on its way out.
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
            Some(code) => AppError::new(code, sentence(code)).into(),
            None => Self::with_status(status, format!("{}.", plain_words(status).1)),
        }
    }

    fn document(&self, log_id: &LogId) -> Document {
        let id = self.error.log_id.clone().unwrap_or_else(|| log_id.to_string());
        Document {
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

/// The word of a code, as it stands in `type`.
#[must_use]
pub fn word(code: ErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// What is said where a layer gave only a status.
fn sentence(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "The request could not be read.",
        ErrorCode::Unauthenticated => "Please sign in, or send a token.",
        ErrorCode::Forbidden => {
            "This came from another site. Changes are taken only from Rehearsal's own pages, and \
             from programs with a token."
        }
        ErrorCode::NotFound => "There is nothing at this address.",
        ErrorCode::Conflict => "That does not go together with the present state.",
        ErrorCode::TooLarge => "The body is too large: at most 8 MiB are read.",
        ErrorCode::Invalid => "The request is not valid.",
        ErrorCode::TooMany => "Too many requests. Please try again later.",
        ErrorCode::Unavailable => "Not available at the moment. Please try again.",
        ErrorCode::Internal => "Something went wrong on our side. Please try again.",
    }
}

/// Word and title of statuses without a code.
fn plain_words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "This address does not take that method")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "The content type is not one that is read here")
        }
        _ => ("refused", "The request was refused"),
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        let status = StatusCode::from_u16(error.code.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind: word(error.code),
            title: error.code.title(),
            error,
        }
    }
}

impl IntoResponse for Failure {
    /// Status and the failure itself as an extension: [`dress`] writes the
    /// words, for it knows who asks.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.error.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every refusal its words: problem documents under `/api/`, a page
/// elsewhere. Refusals that already speak (pages, server functions) pass.
pub(super) async fn dress(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let log_id = request.extensions().get::<LogId>().cloned();
    let log_id = log_id.unwrap_or_else(|| LogId::new(&state.clock));
    let response = next.run(request).await;
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    let failure = response.extensions().get::<Failure>().cloned();
    if !refused || (failure.is_none() && speaks(response.headers())) {
        return response;
    }
    let failure = failure.unwrap_or_else(|| Failure::from_status(status));
    let document = failure.document(&log_id);
    if status.is_server_error() && failure.error.log_id.is_none() {
        tracing::error!(%status, detail = %document.detail, %log_id, "a request failed");
    }
    if (path.starts_with("/api/") && path != "/api/docs") || path.starts_with("/fn/") {
        as_json(response, &document)
    } else if path.starts_with("/health/") {
        rewrite(response, "text/plain; charset=utf-8", format!("{}\n", document.detail))
    } else {
        rewrite(response, "text/html; charset=utf-8", page(&document))
    }
}

/// Whether the answer has words of its own: a page, a problem document, or an
/// error of a server function.
fn speaks(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    headers.contains_key("serverfnerror")
        || kind.is_some_and(|kind| kind.starts_with("text/html") || kind.contains("json"))
}

fn as_json(response: Response, document: &Document) -> Response {
    let text = serde_json::to_string(document).unwrap_or_default();
    let mut response = rewrite(response, PROBLEM_JSON, text);
    if document.status == 401 {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

fn rewrite(mut response: Response, content_type: &'static str, text: String) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_ENCODING);
    *response.body_mut() = Body::from(text);
    response
}

/// A refusal as a page without styles or scripts: it must also stand when
/// nothing else does.
#[must_use]
pub fn page(document: &Document) -> String {
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
        html.push_str(&format!("<p><a href=\"{}\">Look there</a></p>", escape(link)));
    }
    if document.status == 401 {
        html.push_str("<p><a href=\"/sign-in\">Sign in</a></p>");
    }
    html.push_str("<p><a href=\"/\">To the first page</a></p>");
    if let (true, Some(id)) = (document.status >= 500, &document.instance) {
        html.push_str(&format!("<p>In the log: <code>{}</code></p>", escape(id)));
    }
    html.push_str("</main></body></html>");
    html
}

/// Text as it may stand in HTML, in attributes too.
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
