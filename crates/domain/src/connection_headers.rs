//! Extra headers of a connection. Some of them carry secrets, which are treated like
//! the API key: encrypted, never returned, and not sent to another address.

use super::{Draft, DraftReader, limits};
use std::collections::BTreeMap;

/// Shown in place of the value of a secret header. A draft that contains it keeps the
/// stored value. It is not ASCII, so no header can have it as its value.
pub const MASKED_VALUE: &str = "••••••••";

/// Whether a header probably carries a secret, judged by its name and value.
#[must_use]
pub fn is_secret_header(name: &str, value: &str) -> bool {
    const PARTS: [&str; 10] = [
        "token",
        "secret",
        "auth",
        "password",
        "passwd",
        "cookie",
        "credential",
        "session",
        "signature",
        "apikey",
    ];
    const WORDS: [&str; 4] = ["key", "jwt", "pwd", "sig"];
    const VALUES: [&str; 4] = ["bearer ", "basic ", "sk-", "eyj"];
    let (name, value) = (name.to_ascii_lowercase(), value.to_ascii_lowercase());
    PARTS.iter().any(|part| name.contains(part))
        || name.split(['-', '_', '.']).any(|word| WORDS.contains(&word))
        || VALUES.iter().any(|start| value.starts_with(start))
        || value == MASKED_VALUE
}

/// Removes the values of secret headers or parameters from a field in one of its two forms.
/// `separator` is the character after a name: `:` in headers, `=` in query parameters.
pub fn remove_secret_values(pairs: &mut serde_json::Value, separator: char) {
    replace_values(pairs, separator, "", must_be_encrypted);
}

/// Masks the values of secret headers in the requests of an agent's draft. Values with
/// variables stay, because they are valid there. The parser refuses a masked value, so it
/// cannot become the value of a header.
pub fn mask_request_headers(draft: &mut Draft) {
    let is_secret =
        |name: &str, value: &str| !value.contains("{{") && must_be_encrypted(name, value);
    for request in ["request", "session/start", "session/end"] {
        if let Some(pairs) = draft.0.pointer_mut(&format!("/http/{request}/headers")) {
            replace_values(pairs, ':', MASKED_VALUE, is_secret);
        }
    }
}

fn replace_values(
    pairs: &mut serde_json::Value,
    separator: char,
    replacement: &str,
    is_replaced: impl Fn(&str, &str) -> bool,
) {
    match pairs {
        serde_json::Value::String(text) => {
            let lines = text.lines().map(|line| match line.split_once(separator) {
                Some((name, value)) if is_replaced(name, value) => {
                    format!("{name}{separator} {replacement}").trim_end().to_owned()
                }
                _ => line.to_owned(),
            });
            *text = lines.collect::<Vec<_>>().join("\n");
        }
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                if is_replaced(name, value.as_str().unwrap_or_default()) {
                    *value = replacement.into();
                }
            }
        }
        _ => {}
    }
}

/// Whether a typed value must be encrypted; false for the mask.
fn must_be_encrypted(name: &str, value: &str) -> bool {
    value.trim() != MASKED_VALUE && is_secret_header(name.trim(), value.trim())
}

/// Headers that carry the API key.
const CREDENTIAL_HEADERS: [&str; 2] = ["authorization", "x-api-key"];
/// Headers that the HTTP client sets; overriding one would break every request.
const RESERVED_HEADERS: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Reads names and values given as an object, or as lines with a separator.
pub(super) fn read_pairs(
    reader: &mut DraftReader<'_>,
    field: &'static str,
    separator: char,
    form: &str,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    match reader.value(field) {
        None => {}
        Some(serde_json::Value::String(text)) => {
            for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                match line.split_once(separator) {
                    Some((name, value)) => pairs.push((name.trim().into(), value.trim().into())),
                    None => {
                        reader.problem(field, format!("line {}: must have the form {form}", i + 1));
                    }
                }
            }
        }
        Some(serde_json::Value::Object(map)) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(value) => pairs.push((name.clone(), value.trim().to_owned())),
                    None => reader.problem(field, format!("{name} must be text")),
                }
            }
        }
        Some(_) => {
            let what = if separator == ':' { "header" } else { "parameter" };
            reader.problem(field, format!("must be an object of {what} names and values"));
        }
    }
    pairs
}

/// Whether the client sets a header, or the connection does.
pub(super) fn is_reserved_header(name: &str) -> bool {
    let mut reserved = RESERVED_HEADERS.iter().chain(&CREDENTIAL_HEADERS);
    reserved.any(|header| header.eq_ignore_ascii_case(name))
}

/// Reads headers given as an object, or as `Name: value` lines (from a form). The names
/// are valid and unique, or a problem is reported.
pub(super) fn read_header_pairs(reader: &mut DraftReader<'_>) -> Vec<(String, String)> {
    let pairs = read_pairs(reader, "headers", ':', "Name: value");
    if pairs.len() > limits::ENTRIES {
        reader.problem("headers", format!("must have at most {} entries", limits::ENTRIES));
    }
    let is_token_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    // Comparing all of too many names would take quadratic time.
    for (i, (name, _)) in pairs.iter().enumerate().take(limits::ENTRIES) {
        if pairs[..i].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            reader.problem("headers", format!("{name} is specified twice"));
        }
        if name.is_empty() || !name.chars().all(is_token_char) {
            reader.problem("headers", format!("{name:?} is not a valid header name"));
        }
    }
    pairs
}

/// Parses the extra headers of a connection.
pub(super) fn parse_headers(reader: &mut DraftReader<'_>) -> BTreeMap<String, String> {
    let pairs = read_header_pairs(reader);
    for (name, value) in &pairs {
        let is_among =
            |headers: &[&str]| headers.iter().any(|header| header.eq_ignore_ascii_case(name));
        if is_among(&CREDENTIAL_HEADERS) {
            reader.problem("headers", format!("{name} is set by Rehearsal; use the API key field"));
        } else if is_among(&RESERVED_HEADERS) {
            reader.problem("headers", format!("{name} is set by Rehearsal"));
        }
        if value == MASKED_VALUE {
            continue;
        }
        if value.is_empty() && is_secret_header(name, value) {
            reader.problem(
                "headers",
                format!("{name} must have a value; enter it again, because it is not kept here"),
            );
        }
        if value.chars().any(|c| c.is_control() || !c.is_ascii()) || value.len() > 4096 {
            reader.problem(
                "headers",
                format!("{name} must be ASCII text on one line, at most 4096 bytes"),
            );
        }
    }
    pairs.into_iter().collect()
}
