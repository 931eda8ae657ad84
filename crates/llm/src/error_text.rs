//! Provider messages without secrets, shortened for display.

use domain::{is_secret_header, is_secret_parameter};
use llm_types::{ChatReply, Endpoint};
use secrecy::ExposeSecret;
use serde_json::Value;

/// What replaces a secret.
const MASK: &str = "[key]";
/// Shorter secrets are not masked in replies: they are words like `ollama`, which local
/// servers accept as keys.
const MIN_MASKED_LENGTH: usize = 8;

/// The maximum length of a provider message, in characters.
pub(super) const MAX_CHARS: usize = 300;

/// Extracts the message of an error body: `error.message`, the equivalent field of other
/// servers, or the whole text. The result is sanitized.
#[must_use]
pub(super) fn provider_message(body: &[u8], endpoint: &Endpoint) -> String {
    let text = String::from_utf8_lossy(body);
    let message = match serde_json::from_str::<Value>(&text) {
        Ok(json) => find_message(&json).unwrap_or_else(|| text.into_owned()),
        Err(_) if looks_like_page(&text) => "a web page instead of an API response".to_owned(),
        Err(_) => text.into_owned(),
    };
    sanitize(&message, endpoint)
}

/// Redacts keys, then shortens the text: a part of a key is a secret too.
#[must_use]
pub(super) fn sanitize(text: &str, endpoint: &Endpoint) -> String {
    shorten(&redact(text, endpoint))
}

/// Masks the key and secret headers where the provider repeats them in a reply. Only
/// exact secrets are replaced, because a reply is evidence: other text that looks like a
/// key stays.
#[must_use]
pub(super) fn mask_reply(mut reply: ChatReply, endpoint: &Endpoint) -> ChatReply {
    let secrets = secrets(endpoint);
    if secrets.is_empty() {
        return reply;
    }
    let mask = |text: &mut String| mask_all(text, &secrets);
    // A changed state would be refused, and one that contains a secret is not stored.
    reply.provider_state = reply.provider_state.filter(|state| {
        let text = state.to_string();
        !secrets.iter().any(|secret| text.contains(secret))
    });
    mask(&mut reply.text);
    for call in &mut reply.tool_calls {
        mask(&mut call.id);
        mask(&mut call.name);
        mask_json(&mut call.arguments, &mask);
    }
    let results = reply.http.iter_mut().flat_map(|http| &mut http.tool_results);
    results.flatten().for_each(mask);
    reply
}

/// Masks the key and secret headers in a text, as [`mask_reply`] does.
pub(super) fn mask_text(text: &mut String, endpoint: &Endpoint) {
    mask_all(text, &secrets(endpoint));
}

fn mask_all(text: &mut String, secrets: &[&str]) {
    for secret in secrets {
        if text.contains(secret) {
            *text = text.replace(secret, MASK);
        }
    }
}

/// The secrets of a connection that are long enough to be masked.
fn secrets(endpoint: &Endpoint) -> Vec<&str> {
    let headers = endpoint.headers.iter().filter(|(name, value)| is_secret_header(name, value));
    // `Bearer abc` contains the secret `abc`.
    let values = headers.flat_map(|(_, value)| [Some(value.as_str()), value.split(' ').nth(1)]);
    let key = endpoint.key.as_ref().map(ExposeSecret::expose_secret);
    let values = values.flatten().chain(secret_parameters(endpoint));
    values.chain(key).filter(|secret| secret.len() >= MIN_MASKED_LENGTH).collect()
}

/// The values of secret query parameters. Others, like `api-version`, are ordinary words.
fn secret_parameters(endpoint: &Endpoint) -> impl Iterator<Item = &str> {
    let secret = endpoint.query.iter().filter(|(name, value)| is_secret_parameter(name, value));
    secret.map(|(_, value)| value.as_str())
}

fn mask_json(value: &mut Value, mask: &impl Fn(&mut String)) {
    match value {
        Value::String(text) => mask(text),
        Value::Array(list) => list.iter_mut().for_each(|item| mask_json(item, mask)),
        Value::Object(map) => {
            let entries = std::mem::take(map).into_iter().map(|(mut key, mut value)| {
                mask(&mut key);
                mask_json(&mut value, mask);
                (key, value)
            });
            *map = entries.collect();
        }
        _ => {}
    }
}

/// Finds the message in the bodies of common servers.
fn find_message(json: &Value) -> Option<String> {
    let places =
        ["/error/message", "/message", "/error", "/detail/message", "/detail", "/0/error/message"];
    let message = places.iter().find_map(|place| json.pointer(place)?.as_str());
    if let Some(message) = message.filter(|message| !message.trim().is_empty()) {
        return Some(message.to_owned());
    }
    // FastAPI returns a list of validation errors.
    let list = json.pointer("/detail")?.as_array()?;
    let lines: Vec<&str> = list.iter().filter_map(|item| item.get("msg")?.as_str()).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn looks_like_page(text: &str) -> bool {
    let start = text.trim_start().get(..9).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}

/// Collapses white space and truncates to [`MAX_CHARS`].
fn shorten(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
        if short.len() > MAX_CHARS * 4 {
            break;
        }
    }
    if short.chars().count() <= MAX_CHARS {
        return short;
    }
    short.chars().take(MAX_CHARS - 1).chain(['…']).collect()
}

/// Replaces the key, the values of extra headers (which may be keys), and text in the
/// format of known vendors' keys.
fn redact(text: &str, endpoint: &Endpoint) -> String {
    let key = endpoint.key.as_ref().map(ExposeSecret::expose_secret);
    let headers = endpoint.headers.values().map(String::as_str);
    let headers = headers.chain(secret_parameters(endpoint));
    let mut clean = text.to_owned();
    // Redacting short values would replace ordinary words. Keys are never short.
    for secret in key.into_iter().chain(headers).filter(|secret| secret.len() >= 6) {
        clean = clean.replace(secret, MASK);
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || "-_*.…".contains(c);
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean.as_str();
    while let Some(at) = rest.find("sk-") {
        let begins = rest[..at].chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric());
        let length = rest[at..].find(|c| !is_key(c)).unwrap_or(rest.len() - at);
        out.push_str(&rest[..at]);
        out.push_str(if begins && length >= 10 { MASK } else { &rest[at..at + length] });
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, endpoint, reply};
    use domain::ToolCall;
    use llm_types::HttpReply;
    use rstest::rstest;
    use serde_json::json;

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
    #[case("<!DOCTYPE html><h1>502</h1>", "a web page instead of an API response")]
    #[case("", "")]
    #[case(r#"{"odd":1}"#, r#"{"odd":1}"#)]
    fn provider_message_is_extracted_from_known_formats(
        #[case] body: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(provider_message(body.as_bytes(), &endpoint("http://x")), expected);
    }

    #[test]
    fn keys_are_redacted_before_shortening() {
        let mut endpoint = endpoint("http://x");
        endpoint.key = Some("secret-0123456789".into());
        endpoint.headers.insert("x-team".into(), "team-password".into());
        let padding = "a".repeat(MAX_CHARS - 6);
        let body = format!("{padding} secret-0123456789 team-password sk-proj-abcdef****wxyz.");
        let message = provider_message(body.as_bytes(), &endpoint);
        assert!(!message.contains("secret"), "{message}");
        let message = provider_message(&body.as_bytes()[MAX_CHARS - 6..], &endpoint);
        assert_eq!(message, "[key] [key] [key]");
        let ordinary = "the task-list, risk-free and sk-ip";
        assert_eq!(sanitize(ordinary, &endpoint), ordinary);
    }

    #[test]
    fn secrets_that_a_reply_repeats_are_masked() {
        let mut endpoint = endpoint("http://x");
        endpoint.key = Some("secret-0123456789".into());
        endpoint.headers.insert("x-api-token".into(), "Bearer hidden-token".into());
        endpoint.headers.insert("x-title".into(), "Front desk".into());
        let arguments = json!({"hidden-token": ["say secret-0123456789", 7, "Front desk"]});
        let call = ToolCall { id: "hidden-token".into(), name: "send".into(), arguments };
        let reply = ChatReply {
            text: "You sent secret-0123456789 and hidden-token to the Front desk. sk-not-yours-1"
                .into(),
            tool_calls: vec![call],
            http: Some(Box::new(HttpReply {
                tool_results: vec![Some("sent hidden-token".into()), None],
                ..HttpReply::default()
            })),
            ..reply(1, 1)
        };
        let masked = mask_reply(reply, &endpoint);
        let results = masked.http.map(|http| http.tool_results);
        assert_eq!(results, Some(vec![Some("sent [key]".to_owned()), None]));
        assert_eq!(masked.text, "You sent [key] and [key] to the Front desk. sk-not-yours-1");
        let call = &masked.tool_calls[0];
        assert_eq!((call.id.as_str(), call.name.as_str()), ("[key]", "send"));
        assert_eq!(call.arguments, json!({"[key]": ["say [key]", 7, "Front desk"]}));

        endpoint.key = Some("ollama".into());
        let reply = ChatReply { text: "I run on ollama.".into(), ..testing::reply(1, 1) };
        assert_eq!(mask_reply(reply, &endpoint).text, "I run on ollama.");
    }

    #[test]
    fn text_is_shortened_by_characters() {
        let message = sanitize(&"é".repeat(1000), &endpoint("http://x"));
        assert_eq!(message.chars().count(), MAX_CHARS);
        assert!(message.ends_with('…'));
    }
}
