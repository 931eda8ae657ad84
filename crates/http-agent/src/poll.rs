//! Replies that come later.

use crate::read::{find, scalar};
use domain::http_agent::PollMapping;
use serde_json::Value;

/// What a response says about a reply that comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollState {
    /// Ask again. Contains the status, or nothing if the response has none.
    Pending(String),
    /// The response contains the reply.
    Done,
    /// There will be no reply.
    Failed(String),
}

/// Reads the status in a response.
#[must_use]
pub fn poll_state(mapping: &PollMapping, document: &Value) -> PollState {
    let found = find(&mapping.status, document).first().and_then(|status| scalar(status));
    let status = found.unwrap_or_default();
    let lists = |list: &str| list.split(',').any(|entry| entry.trim() == status);
    if lists(&mapping.done) {
        PollState::Done
    } else if mapping.failed.as_deref().is_some_and(lists) {
        PollState::Failed(status)
    } else {
        PollState::Pending(status)
    }
}

/// The URL to ask for a reply: the one in the response, resolved against the base URL.
/// Only the host of the connection is asked, because the request carries its credentials.
///
/// # Errors
/// What is wrong, as a sentence without period.
pub fn resolve_poll_url(
    mapping: &PollMapping,
    document: &Value,
    location: Option<&str>,
    base_url: &str,
) -> Result<String, String> {
    let url = match &mapping.url {
        Some(pointer) => find(pointer, document)
            .first()
            .and_then(|url| url.as_str())
            .ok_or_else(|| format!("it has no URL to poll at {pointer} (poll.url)"))?,
        None => location.ok_or(
            "it has no Location header with the URL to poll; set poll.url if its body has one",
        )?,
    };
    let url = url.trim();
    let origin = origin(base_url);
    if url.starts_with('/') && !url.starts_with("//") {
        return Ok(format!("{origin}{url}"));
    }
    let is_same = url
        .strip_prefix(origin)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if is_same {
        return Ok(url.to_owned());
    }
    Err("its URL to poll leads to another host than the connection".to_owned())
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn mapping(url: Option<&str>) -> PollMapping {
        PollMapping {
            url: url.map(str::to_owned),
            status: "/state".into(),
            done: "ready, finished".into(),
            failed: Some("failed".into()),
            interval_ms: 100,
        }
    }

    #[rstest]
    #[case(json!({"state": "ready"}), PollState::Done)]
    #[case(json!({"state": "finished"}), PollState::Done)]
    #[case(json!({"state": "failed"}), PollState::Failed("failed".into()))]
    #[case(json!({"state": "queued"}), PollState::Pending("queued".into()))]
    #[case(json!({}), PollState::Pending(String::new()))]
    fn status_decides(#[case] document: Value, #[case] expected: PollState) {
        assert_eq!(poll_state(&mapping(None), &document), expected);
    }

    #[rstest]
    #[case("/jobs/1", Some("https://a.example/jobs/1"))]
    #[case("https://a.example/jobs/1", Some("https://a.example/jobs/1"))]
    #[case("https://a.example.evil/jobs/1", None)]
    #[case("https://b.example/jobs/1", None)]
    #[case("http://a.example/jobs/1", None)]
    #[case("//b.example/jobs", None)]
    #[case("jobs/1", None)]
    fn only_the_host_of_the_connection_is_polled(
        #[case] url: &str,
        #[case] expected: Option<&str>,
    ) {
        let found = |mapping: &PollMapping, document: &Value, location| {
            resolve_poll_url(mapping, document, location, "https://a.example/v1").ok()
        };
        let by_pointer = found(&mapping(Some("/url")), &json!({"url": url}), None);
        assert_eq!(by_pointer.as_deref(), expected);
        assert_eq!(found(&mapping(None), &json!({}), Some(url)).as_deref(), expected);
    }

    #[test]
    fn missing_url_is_named() {
        let error = |url| {
            resolve_poll_url(&mapping(url), &json!({}), None, "https://a.example").unwrap_err()
        };
        assert!(error(None).contains("no Location header"));
        assert!(error(Some("/url")).contains("no URL to poll at /url"));
    }
}
