//! The OpenAPI document and an HTML page generated from it, without scripts or
//! external resources.

use crate::http::HttpState;
use crate::http::problem::{escape, problem_type};
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use domain::error::ErrorCode;
use std::fmt::Write;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

/// Error codes on the page, which the `type` of problem documents links to.
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
    let page = html_page(&document);
    let json = serde_json::to_string(&document).unwrap_or_default();
    Router::new()
        .route("/api/v1/openapi.json", get(move || std::future::ready(json_response(json.clone()))))
        .route("/api/docs", get(move || std::future::ready(Html(page.clone()))))
}

fn json_response(text: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn html_page(document: &OpenApi) -> String {
    let mut html = String::from(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>API · Rehearsal</title></head><body><main><h1>Rehearsal API</h1>",
    );
    let about = document.info.description.as_deref().unwrap_or_default();
    let _ = write!(
        html,
        "<p>{}</p><p><a href=\"/api/v1/openapi.json\">OpenAPI document</a> · \
         <a href=\"/\">Home</a></p>",
        escape(about)
    );
    for (path, item) in &document.paths.paths {
        for (method, operation) in methods(item) {
            write_operation(&mut html, method, path, operation);
        }
    }
    html.push_str("<h2>Error types</h2><dl>");
    for code in CODES {
        let (word, status) = (problem_type(code), code.status());
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

fn write_operation(html: &mut String, method: &str, path: &str, operation: &Operation) {
    let _ = write!(html, "<h2><code>{method} {}</code></h2>", escape(path));
    for text in [&operation.summary, &operation.description].into_iter().flatten() {
        let _ = write!(html, "<p>{}</p>", escape(text));
    }
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let parameters: Vec<_> = parameters
        .iter()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) if !matches!(parameter.parameter_in, ParameterIn::Path) => {
                Some(parameter)
            }
            _ => None,
        })
        .collect();
    if !parameters.is_empty() {
        html.push_str("<ul>");
        for parameter in parameters {
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
