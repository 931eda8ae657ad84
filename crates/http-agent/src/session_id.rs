//! Session ids that an endpoint returns.

use domain::http_agent::Pointer;
use serde_json::Value;

/// Longer ids are refused: they are documents, not ids.
const MAX_BYTES: usize = 1024;

/// Reads the session id in a body.
///
/// # Errors
/// What is wrong, as a sentence without period.
pub fn session_id(document: &Value, pointer: &str) -> Result<String, String> {
    let found = Pointer::parse(pointer).ok().and_then(|p| p.find(document).first().copied());
    match found {
        Some(Value::String(text)) => check(text),
        Some(Value::Number(number)) => check(&number.to_string()),
        Some(Value::Null) | None => {
            Err(format!("it has no session id at {pointer} (session.id.at)"))
        }
        Some(_) => Err(format!("the session id at {pointer} is not text (session.id.at)")),
    }
}

/// Reads the session id in the value of a header.
///
/// # Errors
/// As [`session_id`].
pub(crate) fn check(id: &str) -> Result<String, String> {
    let id = id.trim();
    if id.is_empty() {
        return Err("the session id is empty".to_owned());
    }
    if id.len() > MAX_BYTES {
        let length = id.len();
        return Err(format!("the session id has {length} bytes, at most {MAX_BYTES} are possible"));
    }
    if id.chars().any(char::is_control) {
        return Err("the session id contains control characters".to_owned());
    }
    Ok(id.to_owned())
}

/// Reads the session id in a header.
///
/// # Errors
/// As [`session_id`].
pub fn header_value(value: Option<&str>, name: &str) -> Result<String, String> {
    value.map_or_else(|| Err(format!("it has no header {name} (session.id.at)")), check)
}

/// Reads the session id in the `Set-Cookie` headers.
///
/// # Errors
/// As [`session_id`].
pub fn cookie_value<'a>(
    mut set_cookies: impl Iterator<Item = &'a str>,
    name: &str,
) -> Result<String, String> {
    let value = set_cookies.find_map(|cookie| {
        let pair = cookie.split(';').next()?;
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then_some(value.trim())
    });
    let Some(value) = value else {
        return Err(format!("it does not set the cookie {name} (session.id.at)"));
    };
    let id = check(value)?;
    if id.chars().any(|c| !c.is_ascii_graphic() || c == ';' || c == ',') {
        return Err(format!("the cookie {name} contains characters that cannot be sent back"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"id": " s-1 "}), Ok("s-1"))]
    #[case(json!({"id": 42}), Ok("42"))]
    #[case(json!({}), Err("it has no session id at /id"))]
    #[case(json!({"id": null}), Err("it has no session id at /id"))]
    #[case(json!({"id": ""}), Err("the session id is empty"))]
    #[case(json!({"id": ["x"]}), Err("the session id at /id is not text"))]
    #[case(json!({"id": "a\nb"}), Err("the session id contains control characters"))]
    #[case(json!({"id": "x".repeat(10_240)}), Err("the session id has 10240 bytes"))]
    fn session_id_is_checked(#[case] body: Value, #[case] expected: Result<&str, &str>) {
        match (session_id(&body, "/id"), expected) {
            (Ok(id), Ok(expected)) => assert_eq!(id, expected),
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn cookie_is_found_among_others() {
        let cookies = ["a=1; Path=/", "sid=xyz; HttpOnly", "sid2=no"];
        assert_eq!(cookie_value(cookies.into_iter(), "sid").as_deref(), Ok("xyz"));
        assert!(cookie_value(cookies.into_iter(), "other").is_err());
        assert!(cookie_value(["sid=a b"].into_iter(), "sid").is_err());
    }
}
