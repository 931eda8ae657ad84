//! The `Idempotency-Key` header, with or without quotes.

use super::problem::ErrorResponse;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use domain::StartSuite;
use domain::error::{AppError, ErrorCode};
use domain::services::IdempotentRequest;
use serde_json::Value;

/// Maximum length of a key, in characters.
pub const MAX_LENGTH: usize = 255;

/// The key of a request; `None` if the request has no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// The key together with the request that it identifies. `path` names the use
    /// case and is the same for API and forms.
    #[must_use]
    pub fn with(self, path: impl Into<String>, request: Value) -> IdempotentRequest {
        IdempotentRequest { key: self.0, path: path.into(), request }
    }

    #[must_use]
    pub fn with_start(self, path: &str, request: &StartSuite) -> IdempotentRequest {
        self.with(path, serde_json::to_value(request).unwrap_or_default())
    }

    fn read(headers: &HeaderMap) -> Result<Self, AppError> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(malformed("Idempotency-Key must be sent only once."));
        }
        let text = value.to_str().map_err(|_| malformed("Idempotency-Key must be plain ASCII."))?;
        Self::parse(text).map(|key| Self(Some(key)))
    }

    /// Parses the header value: `k`, or the quoted string `"k"` of the IETF draft.
    ///
    /// # Errors
    /// 400 for an invalid key.
    pub fn parse(text: &str) -> Result<String, AppError> {
        let text = text.trim();
        let key = match text.strip_prefix('"') {
            None => text.to_owned(),
            Some(rest) => {
                unquote(rest).ok_or_else(|| malformed("Idempotency-Key has an unclosed quote."))?
            }
        };
        if key.is_empty() {
            return Err(malformed("Idempotency-Key must not be empty."));
        }
        if key.chars().count() > MAX_LENGTH {
            return Err(malformed("Idempotency-Key must have at most 255 characters."));
        }
        if key.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(malformed("Idempotency-Key must be plain ASCII."));
        }
        Ok(key)
    }
}

/// Unescapes a quoted string after its opening quote. `None` if it does not end with
/// the closing quote.
fn unquote(rest: &str) -> Option<String> {
    let mut key = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(key),
            '\\' => match chars.next()? {
                c @ ('"' | '\\') => key.push(c),
                _ => return None,
            },
            c => key.push(c),
        }
    }
}

fn malformed(detail: &str) -> AppError {
    AppError::new(ErrorCode::Malformed, detail)
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ErrorResponse> {
        Ok(Self::read(&parts.headers)?)
    }
}

#[cfg(test)]
mod tests {
    use super::IdempotencyKey;
    use rstest::rstest;

    #[rstest]
    #[case("abc", "abc")]
    #[case(" \"abc\" ", "abc")]
    #[case(r#""a\"b\\c""#, r#"a"b\c"#)]
    #[case("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324")]
    fn quoted_and_unquoted_keys_are_parsed(#[case] text: &str, #[case] key: &str) {
        assert_eq!(IdempotencyKey::parse(text).as_deref(), Ok(key));
    }

    #[rstest]
    #[case("")]
    #[case("\"\"")]
    #[case("\"abc")]
    #[case("\"abc\"d")]
    #[case("\"a\\nb\"")]
    #[case("schlüssel")]
    fn invalid_keys_are_rejected(#[case] text: &str) {
        assert_eq!(IdempotencyKey::parse(text).map_err(|e| e.code.status()), Err(400));
    }

    #[test]
    fn keys_are_limited_to_255_characters() {
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(256)).is_err());
    }
}
