//! Where a form leads: paths on this site, and never anywhere else.

use domain::address::{encode, local};
use axum::http::{HeaderMap, header};

/// The page that a form was posted from, if the browser told and it is ours:
/// path and query.
#[must_use]
pub(super) fn posted_from(headers: &HeaderMap, public_url: Option<&str>) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let referer = text(header::REFERER)?;
    let (origin, path) = split_origin(referer)?;
    let public = public_url.and_then(split_origin).map(|(origin, _)| origin);
    let ours = text(header::HOST) == Some(origin) || public == Some(origin);
    let path = path.split('#').next().unwrap_or_default();
    local(if path.is_empty() { "/" } else { path }).filter(|_| ours).map(str::to_owned)
}

/// The page on which the form of a path stands, for browsers that do not tell.
#[must_use]
pub(super) fn of_form(path: &str) -> String {
    let path = path.strip_prefix("/forms").unwrap_or(path);
    let mut parts = path.split('/').skip(1);
    let (kind, id) = (parts.next().unwrap_or_default(), parts.next());
    match (kind, id) {
        ("agents" | "scenarios" | "suites", None) => format!("/{kind}/new"),
        ("agents" | "scenarios" | "suites" | "runs", Some(id)) => format!("/{kind}/{id}"),
        ("connections", None) => "/settings/connections/new".to_owned(),
        ("connections", Some(id)) => format!("/settings/connections/{id}"),
        ("settings", _) => "/settings/models".to_owned(),
        ("tokens", _) => "/settings/tokens".to_owned(),
        _ => "/".to_owned(),
    }
}

/// Host with port, and the rest, of an absolute address.
fn split_origin(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// `path` with a parameter set; what an earlier form left in the query
/// (`draft`, `notice`, `tested`) goes.
#[must_use]
pub(super) fn with(path: &str, name: &str, value: &str) -> String {
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let gone = |pair: &str| {
        let key = pair.split('=').next().unwrap_or_default();
        key.is_empty() || key == name || ["draft", "notice", "tested"].contains(&key)
    };
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !gone(pair)).map(str::to_owned).collect();
    pairs.push(format!("{name}={}", encode(value)));
    let hash = if fragment.is_empty() { "" } else { "#" };
    format!("{path}?{}{hash}{fragment}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::{of_form, posted_from, with};
    use axum::http::{HeaderMap, HeaderValue};
    use rstest::rstest;

    #[rstest]
    #[case("/agents/new", "/agents/new?draft=7")]
    #[case("/agents/new?from=x&draft=1&notice=saved", "/agents/new?from=x&draft=7")]
    #[case("/runs/1#t7", "/runs/1?draft=7#t7")]
    fn a_parameter_replaces_what_was_left(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(with(path, "draft", "7"), expected);
    }

    #[rstest]
    #[case("/forms/scenarios", "/scenarios/new")]
    #[case("/forms/agents/7/delete", "/agents/7")]
    #[case("/forms/connections/7/test", "/settings/connections/7")]
    #[case("/forms/settings", "/settings/models")]
    #[case("/forms/demo", "/")]
    fn each_form_has_a_page(#[case] form: &str, #[case] page: &str) {
        assert_eq!(of_form(form), page);
    }

    #[rstest]
    #[case("http://here:3000/a?b=1#c", None, Some("/a?b=1"))]
    #[case("http://here:3000", None, Some("/"))]
    #[case("http://evil.example/a", None, None)]
    #[case("https://public.example/a", Some("https://public.example"), Some("/a"))]
    #[case("http://here:3000//evil.example", None, None)]
    #[case("about:blank", None, None)]
    fn the_page_it_came_from(
        #[case] referer: &str,
        #[case] public: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("here:3000"));
        headers.insert("referer", HeaderValue::from_str(referer).expect("a header"));
        assert_eq!(posted_from(&headers, public).as_deref(), expected);
    }
}
