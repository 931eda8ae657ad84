//! The `Idempotency-Key` header: bare or quoted.

use super::problem::Failure;
use domain::services::Keyed;
use domain::StartSuite;
use domain::error::{AppError, ErrorCode};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde_json::Value;

/// The longest key, in characters.
pub const LONGEST: usize = 255;

/// The key of a request, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// The key with what it stands for. `path` is the canonical path of the
    /// use case, the same for API and forms.
    #[must_use]
    pub fn with(self, path: impl Into<String>, request: Value) -> Keyed {
        Keyed { key: self.0, path: path.into(), request }
    }

    /// The key over a start.
    #[must_use]
    pub fn with_start(self, path: &str, request: &StartSuite) -> Keyed {
        self.with(path, serde_json::to_value(request).unwrap_or_default())
    }

    fn read(headers: &HeaderMap) -> Result<Self, AppError> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(malformed("Idempotency-Key must be sent once."));
        }
        let text = value.to_str().map_err(|_| malformed("Idempotency-Key must be plain ASCII."))?;
        Self::parse(text).map(|key| Self(Some(key)))
    }

    /// Reads the text of the header: `k`, or a quoted string `"k"` as in the
    /// IETF draft. Both spellings are the same key.
    ///
    /// # Errors
    /// 400 with a sentence.
    pub fn parse(text: &str) -> Result<String, AppError> {
        let text = text.trim();
        let key = match text.strip_prefix('"') {
            None => text.to_owned(),
            Some(rest) => unquote(rest)
                .ok_or_else(|| malformed("Idempotency-Key has a quote that is not closed."))?,
        };
        if key.is_empty() {
            return Err(malformed("Idempotency-Key must not be empty."));
        }
        if key.chars().count() > LONGEST {
            return Err(malformed("Idempotency-Key must have at most 255 characters."));
        }
        if key.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(malformed("Idempotency-Key must be plain ASCII."));
        }
        Ok(key)
    }
}

/// The inside of a quoted string after its first quote; `None` unless it ends
/// with the closing one.
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

fn malformed(sentence: &str) -> AppError {
    AppError::new(ErrorCode::Malformed, sentence)
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
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
    fn both_spellings_are_read(#[case] text: &str, #[case] key: &str) {
        assert_eq!(IdempotencyKey::parse(text).as_deref(), Ok(key));
    }

    #[rstest]
    #[case("")]
    #[case("\"\"")]
    #[case("\"abc")]
    #[case("\"abc\"d")]
    #[case("\"a\\nb\"")]
    #[case("schlüssel")]
    fn what_is_no_key_is_told(#[case] text: &str) {
        assert_eq!(IdempotencyKey::parse(text).map_err(|e| e.code.status()), Err(400));
    }

    #[test]
    fn the_longest_key_fits_and_one_more_does_not() {
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(256)).is_err());
    }
}
