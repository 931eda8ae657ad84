//! The system clock. A soak compares the product's, the provider's and its own
//! records; all of them use this clock.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970.
#[allow(clippy::disallowed_methods)] // no Clock is passed in: the product runs in another process
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// Parses an RFC 3339 time into milliseconds since 1970.
pub fn parse_ms(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_rfc3339_times() {
        assert_eq!(parse_ms("2026-11-23T10:00:00Z"), Some(1_795_428_000_000));
        assert_eq!(parse_ms("2026-11-23T10:00:00.123Z"), Some(1_795_428_000_123));
        assert_eq!(parse_ms("yesterday"), None);
    }
}
