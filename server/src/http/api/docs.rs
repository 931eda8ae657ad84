//! The OpenAPI document, and a page that people can read: made from the
//! document, without scripts or anything from elsewhere.

use crate::http::HttpState;
use crate::http::problem::{escape, word};
use domain::error::ErrorCode;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use std::fmt::Write;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

/// Every code with its word and status: `type` of a problem document leads to
/// these lines.
const CODES: [ErrorCode; 10] = [
    ErrorCode::Malformed,
    ErrorCode::Unauthenticated,
    ErrorCode::Forbidden,
    ErrorCode::NotFound,
    ErrorCode::Conflict,
    ErrorCode::TooLarge,
    ErrorCode::Invalid,
    ErrorCode::TooMany,
    ErrorCode::Unavailable,
    ErrorCode::Internal,
];

pub(super) fn routes(document: OpenApi) -> Router<HttpState> {
    let page = page(&document);
    let json = serde_json::to_string(&document).unwrap_or_default();
    Router::new()
        .route("/api/v1/openapi.json", get(move || std::future::ready(as_json(json.clone()))))
        .route("/api/docs", get(move || std::future::ready(Html(page.clone()))))
}

fn as_json(text: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn page(document: &OpenApi) -> String {
    let mut html = String::from(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>API · Rehearsal</title></head><body><main><h1>The API of Rehearsal</h1>",
    );
    let about = document.info.description.as_deref().unwrap_or_default();
    let _ = write!(
        html,
        "<p>{}</p><p><a href=\"/api/v1/openapi.json\">The OpenAPI document</a> · \
         <a href=\"/\">To the first page</a></p>",
        escape(about)
    );
    for (path, item) in &document.paths.paths {
        for (method, operation) in methods(item) {
            describe(&mut html, method, path, operation);
        }
    }
    html.push_str("<h2>Problems</h2><dl>");
    for code in CODES {
        let (word, status) = (word(code), code.status());
        let _ = write!(
            html,
            "<dt id=\"{word}\"><code>{word}</code> · {status}</dt><dd>{}</dd>",
            escape(code.title())
        );
    }
    html.push_str("</dl></main></body></html>");
    html
}

fn methods(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)]
        .into_iter()
        .filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

fn describe(html: &mut String, method: &str, path: &str, operation: &Operation) {
    let _ = write!(html, "<h2><code>{method} {}</code></h2>", escape(path));
    for text in [&operation.summary, &operation.description].into_iter().flatten() {
        let _ = write!(html, "<p>{}</p>", escape(text));
    }
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let told: Vec<_> = parameters
        .iter()
        .filter_map(|parameter| match parameter {
            RefOr::T(told) if !matches!(told.parameter_in, ParameterIn::Path) => Some(told),
            _ => None,
        })
        .collect();
    if !told.is_empty() {
        html.push_str("<ul>");
        for parameter in told {
            let about = parameter.description.as_deref().unwrap_or_default();
            let (name, about) = (escape(&parameter.name), escape(about));
            let _ = write!(html, "<li><code>{name}</code> {about}</li>");
        }
        html.push_str("</ul>");
    }
    html.push_str("<ul>");
    for (status, response) in &operation.responses.responses {
        if let RefOr::T(response) = response {
            let about = escape(&response.description);
            let _ = write!(html, "<li>{}: {about}</li>", escape(status));
        }
    }
    html.push_str("</ul>");
}
