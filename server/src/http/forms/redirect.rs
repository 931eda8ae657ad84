//! Redirect targets. Forms redirect only to paths of this site, which prevents open
//! redirects.

use axum::http::{HeaderMap, header};
use domain::url::{local_path, percent_encode};
use std::fmt::Display;

/// Path and query of the page that a form was posted from, if the `Referer` is a page
/// of this site.
#[must_use]
pub(super) fn referring_page(headers: &HeaderMap, public_url: Option<&str>) -> Option<String> {
    let header_text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let referer = header_text(header::REFERER)?;
    let (origin, path) = split_origin(referer)?;
    let public = public_url.and_then(split_origin).map(|(origin, _)| origin);
    let same_site = header_text(header::HOST) == Some(origin) || public == Some(origin);
    let path = path.split('#').next().unwrap_or_default();
    local_path(if path.is_empty() { "/" } else { path }).filter(|_| same_site).map(str::to_owned)
}

/// The page of the form at a path, for requests without a `Referer`.
#[must_use]
pub(super) fn default_page(path: &str) -> String {
    let path = path.strip_prefix("/forms").unwrap_or(path);
    let mut parts = path.split('/').skip(1);
    let (kind, id) = (parts.next().unwrap_or_default(), parts.next());
    match (kind, id) {
        ("agents" | "scenarios" | "suites", None) => format!("/{kind}/new"),
        ("agents" | "scenarios" | "suites" | "runs", Some(id)) => format!("/{kind}/{id}"),
        ("connections" | "profiles", None) => format!("/settings/{kind}/new"),
        ("connections" | "profiles", Some(id)) => format!("/settings/{kind}/{id}"),
        ("settings", _) => "/settings/models".to_owned(),
        ("tokens", _) => "/settings/tokens".to_owned(),
        ("password" | "sessions", _) => "/settings/account".to_owned(),
        _ => "/".to_owned(),
    }
}

/// Splits an absolute URL into host with port and the rest.
fn split_origin(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// Adds the saved form that the page at `path` shows.
#[must_use]
pub(super) fn with_saved_form(path: &str, id: impl Display) -> String {
    with_param(path, "saved_form", &id.to_string())
}

/// Adds a query parameter to `path`. Removes the parameters of previous redirects; `draft`
/// is the name of `saved_form` in earlier versions.
#[must_use]
pub(super) fn with_param(path: &str, name: &str, value: &str) -> String {
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let removed = |pair: &str| {
        let key = pair.split('=').next().unwrap_or_default();
        key.is_empty() || key == name || ["saved_form", "draft", "notice", "tested"].contains(&key)
    };
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !removed(pair)).map(str::to_owned).collect();
    pairs.push(format!("{name}={}", percent_encode(value)));
    let hash = if fragment.is_empty() { "" } else { "#" };
    format!("{path}?{}{hash}{fragment}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::{default_page, referring_page, with_saved_form};
    use axum::http::{HeaderMap, HeaderValue};
    use rstest::rstest;

    #[rstest]
    #[case("/agents/new", "/agents/new?saved_form=7")]
    #[case("/agents/new?from=x&draft=1&notice=saved", "/agents/new?from=x&saved_form=7")]
    #[case("/agents/new?saved_form=1&from=x", "/agents/new?from=x&saved_form=7")]
    #[case("/runs/1#t7", "/runs/1?saved_form=7#t7")]
    fn parameter_replaces_those_of_previous_redirects(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(with_saved_form(path, 7), expected);
    }

    #[rstest]
    #[case("/forms/scenarios", "/scenarios/new")]
    #[case("/forms/agents/7/delete", "/agents/7")]
    #[case("/forms/connections/7/test", "/settings/connections/7")]
    #[case("/forms/settings", "/settings/models")]
    #[case("/forms/demo", "/")]
    fn each_form_has_a_page(#[case] form: &str, #[case] page: &str) {
        assert_eq!(default_page(form), page);
    }

    #[rstest]
    #[case("http://here:3000/a?b=1#c", None, Some("/a?b=1"))]
    #[case("http://here:3000", None, Some("/"))]
    #[case("http://evil.example/a", None, None)]
    #[case("https://public.example/a", Some("https://public.example"), Some("/a"))]
    #[case("http://here:3000//evil.example", None, None)]
    #[case("about:blank", None, None)]
    fn referring_page_must_be_of_this_site(
        #[case] referer: &str,
        #[case] public: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("here:3000"));
        headers.insert("referer", HeaderValue::from_str(referer).expect("a header"));
        assert_eq!(referring_page(&headers, public).as_deref(), expected);
    }
}
