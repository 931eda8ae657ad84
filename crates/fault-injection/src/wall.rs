//! The machine's clock, and the times on the wire.
//!
//! A soak lays three journals side by side: the product's, the provider's and
//! its own. All were written on this machine, by this clock.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970.
#[must_use]
#[allow(clippy::disallowed_methods)] // there is no clock to be passed in: the product runs in another process
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// An RFC 3339 time in milliseconds since 1970.
#[must_use]
pub fn read_ms(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(read_ms("2026-11-23T10:00:00Z"), Some(1_795_428_000_000));
        assert_eq!(read_ms("2026-11-23T10:00:00.123Z"), Some(1_795_428_000_123));
        assert_eq!(read_ms("yesterday"), None);
    }
}
