//! The files of the site: scripts, WASM, styles, icons.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use std::path::Path;
use tower_http::services::ServeDir;

/// Serves the files below `site`, in the packed form that the client takes
/// (`.br` or `.gz` beside them).
pub(super) fn service(site: &Path) -> ServeDir {
    ServeDir::new(site)
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false)
}

/// Files whose name carries a hash of their content never change: a browser
/// need not ask for them again.
pub(super) async fn caching(request: Request, next: Next) -> Response {
    let hashed = is_hashed(request.uri().path());
    let mut response = next.run(request).await;
    if response.status().is_success() {
        let rule = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(rule));
    }
    response
}

/// Whether a name is of the form `stem.HASH.ext`, HASH of 8 characters or
/// more out of those of URL-safe base64, one of them a digit or a capital.
#[must_use]
pub(super) fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = name.split('.').collect();
    let [stem, .., hash, _extension] = parts.as_slice() else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let telling = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
    parts.len() >= 3
        && !stem.is_empty()
        && hash.len() >= 8
        && hash.chars().all(plain)
        && hash.chars().any(telling)
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
    fn only_names_with_a_hash_are_for_ever(#[case] path: &str, #[case] hashed: bool) {
        assert_eq!(is_hashed(path), hashed);
    }
}
