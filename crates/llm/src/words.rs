//! A provider's own words, fit for a person and free of secrets.

use llm_types::Endpoint;
use secrecy::ExposeSecret;
use serde_json::Value;

/// Longest text of a provider that is passed on, in characters.
pub(super) const LONGEST: usize = 300;

/// What an error body says: its `error.message` or what stands in its place
/// with this provider, else its text; scrubbed, on one line, shortened.
#[must_use]
pub(super) fn provider_words(body: &[u8], endpoint: &Endpoint) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match serde_json::from_str::<Value>(&text) {
        Ok(json) => said_in(&json).unwrap_or_else(|| text.into_owned()),
        Err(_) if looks_like_page(&text) => "a web page, not an answer of an API".to_owned(),
        Err(_) => text.into_owned(),
    };
    tidy(&said, endpoint)
}

/// Scrubbed first, shortened then: half a key is a secret too.
#[must_use]
pub(super) fn tidy(text: &str, endpoint: &Endpoint) -> String {
    shorten(&scrub(text, endpoint))
}

/// Where the usual servers put the sentence.
fn said_in(json: &Value) -> Option<String> {
    let places =
        ["/error/message", "/message", "/error", "/detail/message", "/detail", "/0/error/message"];
    let said = places.iter().find_map(|place| json.pointer(place)?.as_str());
    if let Some(said) = said.filter(|said| !said.trim().is_empty()) {
        return Some(said.to_owned());
    }
    // FastAPI lists what was wrong with each field.
    let list = json.pointer("/detail")?.as_array()?;
    let lines: Vec<&str> = list.iter().filter_map(|item| item.get("msg")?.as_str()).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn looks_like_page(text: &str) -> bool {
    let start = text.trim_start().get(..9).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}

/// White space as single spaces, at most [`LONGEST`] characters.
fn shorten(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
        if short.len() > LONGEST * 4 {
            break;
        }
    }
    if short.chars().count() <= LONGEST {
        return short;
    }
    short.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Without the key, the values of extra headers (they may be keys as well),
/// and anything that looks like a key of one of the known vendors.
fn scrub(text: &str, endpoint: &Endpoint) -> String {
    let key = endpoint.key.as_ref().map(ExposeSecret::expose_secret);
    let headers = endpoint.headers.values().map(String::as_str);
    let mut clean = text.to_owned();
    // Short values would blot out ordinary words; a real key is never short.
    for secret in key.into_iter().chain(headers).filter(|secret| secret.len() >= 6) {
        clean = clean.replace(secret, "[key]");
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || "-_*.…".contains(c);
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean.as_str();
    while let Some(at) = rest.find("sk-") {
        let begins = rest[..at].chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric());
        let length = rest[at..].find(|c| !is_key(c)).unwrap_or(rest.len() - at);
        out.push_str(&rest[..at]);
        out.push_str(if begins && length >= 10 { "[key]" } else { &rest[at..at + length] });
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::endpoint;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"error":{"message":"no such model","type":"x"}}"#, "no such model")]
    #[case(
        r#"{"type":"error","error":{"type":"t","message":"too  long\n here"}}"#,
        "too long here"
    )]
    #[case(r#"{"error":"model 'x' not found"}"#, "model 'x' not found")]
    #[case(r#"{"object":"error","message":"bad"}"#, "bad")]
    #[case(r#"{"detail":"Not Found"}"#, "Not Found")]
    #[case(
        r#"{"detail":[{"msg":"field required"},{"msg":"not a number"}]}"#,
        "field required; not a number"
    )]
    #[case(r#"[{"error":{"code":400,"message":"API key"}}]"#, "API key")]
    #[case("upstream down", "upstream down")]
    #[case("<!DOCTYPE html><h1>502</h1>", "a web page, not an answer of an API")]
    #[case("", "")]
    #[case(r#"{"odd":1}"#, r#"{"odd":1}"#)]
    fn finds_the_sentence(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(provider_words(body.as_bytes(), &endpoint("http://x")), expected);
    }

    #[test]
    fn no_key_survives_not_even_one_cut_in_half() {
        let mut endpoint = endpoint("http://x");
        endpoint.key = Some("secret-0123456789".into());
        endpoint.headers.insert("x-team".into(), "team-password".into());
        let padding = "a".repeat(LONGEST - 6);
        let body = format!("{padding} secret-0123456789 team-password sk-proj-abcdef****wxyz.");
        let said = provider_words(body.as_bytes(), &endpoint);
        assert!(!said.contains("secret"), "{said}");
        let said = provider_words(&body.as_bytes()[LONGEST - 6..], &endpoint);
        assert_eq!(said, "[key] [key] [key]");
        let ordinary = "the task-list, risk-free and sk-ip";
        assert_eq!(tidy(ordinary, &endpoint), ordinary);
    }

    #[test]
    fn shortens_by_characters_not_bytes() {
        let said = tidy(&"é".repeat(1000), &endpoint("http://x"));
        assert_eq!(said.chars().count(), LONGEST);
        assert!(said.ends_with('…'));
    }
}
