//! Static files: scripts, WASM, styles, icons.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::path::Path;
use tower_http::services::ServeDir;

/// Serves the files in `site`, precompressed (`.br`, `.gz`) if the client accepts
/// it.
pub(super) fn service(site: &Path) -> ServeDir {
    ServeDir::new(site)
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false)
}

/// Maximum length of a path and of one of its segments. File systems allow 255 bytes,
/// of which the suffix of a compressed file needs some.
const MAX_PATH: usize = 1000;
const MAX_SEGMENT: usize = 250;

/// Whether a file can have this name. The system's error for a name that is too long or
/// contains U+0000 would become a 500.
#[must_use]
pub(super) fn may_be_file(path: &str) -> bool {
    path.len() <= MAX_PATH
        && !path.contains("%00")
        && path.split('/').all(|segment| segment.len() <= MAX_SEGMENT)
}

/// Answers 404 for a name that no file can have.
pub(super) async fn reject_impossible_names(request: Request, next: Next) -> Response {
    if may_be_file(request.uri().path()) {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// Marks files with a content hash in their name as immutable.
pub(super) async fn set_cache_control(request: Request, next: Next) -> Response {
    let hashed = is_hashed(request.uri().path());
    let mut response = next.run(request).await;
    if response.status().is_success() {
        let value = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
    }
    response
}

/// Whether a file name has the form `stem.HASH.ext`. HASH has at least 8 characters
/// of URL-safe base64, one of them a digit or a capital letter.
#[must_use]
pub(super) fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = name.split('.').collect();
    let [stem, .., hash, _extension] = parts.as_slice() else { return false };
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let distinctive = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
    parts.len() >= 3
        && !stem.is_empty()
        && hash.len() >= 8
        && hash.chars().all(base64)
        && hash.chars().any(distinctive)
}

#[cfg(test)]
mod tests {
    use super::is_hashed;
    use rstest::rstest;

    #[rstest]
    #[case("/pkg/rehearsal.aGk3_-9sQ0aBcDeFgHiJkL.js", true)]
    #[case("/pkg/rehearsal.0f3a9c21.css", true)]
    #[case("/pkg/rehearsal.js", false)]
    #[case("/pkg/rehearsal_bg.wasm", false)]
    #[case("/pkg/rehearsal.min.js", false)]
    #[case("/pkg/rehearsal.stylesheet.css", false)]
    #[case("/favicon.ico", false)]
    #[case("/", false)]
    fn only_hashed_names_are_immutable(#[case] path: &str, #[case] hashed: bool) {
        assert_eq!(is_hashed(path), hashed);
    }
}
