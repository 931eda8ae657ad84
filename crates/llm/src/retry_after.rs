//! Parses `retry-after-ms`, and `retry-after` in seconds or as an HTTP date.

use domain::Timestamp;
use reqwest::header::HeaderMap;
use std::time::{Duration, UNIX_EPOCH};

/// Longer waits are reduced to this.
const MAX_WAIT: Duration = Duration::from_hours(7 * 24);

/// The time before which no call should be made, or `None` without a readable header.
/// Milliseconds take precedence over seconds, because they are more precise.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|ms| number(ms, 1.0)) {
        return Some(now.plus(wait));
    }
    let value = text("retry-after")?;
    match number(value, 1000.0) {
        Some(wait) => Some(now.plus(wait)),
        None => date(value, now),
    }
}

/// Parses a decimal number of units of `scale` milliseconds, rounded up.
fn number(text: &str, scale: f64) -> Option<Duration> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let millis = if plain { text.parse::<f64>().ok()? * scale } else { return None };
    let wait = Duration::try_from_secs_f64(millis.ceil() / 1000.0).unwrap_or(MAX_WAIT);
    Some(wait.min(MAX_WAIT))
}

/// Parses an HTTP date in any of its three formats. A date in the past becomes `now`.
fn date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let at = Timestamp(i64::try_from(at.as_millis()).ok()?);
    Some(at.clamp(now, now.plus(MAX_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// 2026-11-23T10:00:00Z
    const NOW: Timestamp = Timestamp(1_795_428_000_000);

    fn read(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().expect("a header value"));
        }
        retry_after(&headers, NOW).map(|at| at.since(NOW))
    }

    #[rstest]
    #[case::seconds("12", 12_000)]
    #[case::zero("0", 0)]
    #[case::fraction(" 1.5 ", 1_500)]
    #[case::rounded_up("0.0001", 1)]
    #[case::imf_date("Mon, 23 Nov 2026 10:00:30 GMT", 30_000)]
    #[case::rfc850_date("Monday, 23-Nov-26 10:01:00 GMT", 60_000)]
    #[case::asctime_date("Mon Nov 23 10:00:05 2026", 5_000)]
    #[case::past_date_is_now("Mon, 23 Nov 2026 09:00:00 GMT", 0)]
    #[case::absurd_is_capped("99999999999999999999999999", 604_800_000)]
    fn seconds_and_dates_are_parsed(#[case] value: &str, #[case] millis: u64) {
        assert_eq!(read(&[("retry-after", value)]), Some(Duration::from_millis(millis)));
    }

    #[rstest]
    #[case("")]
    #[case("-5")]
    #[case("soon")]
    #[case("inf")]
    #[case("NaN")]
    #[case("1e3")]
    #[case("1.2.3")]
    #[case("Mon, 99 Nov 2026 10:00:30 GMT")]
    fn unreadable_values_are_ignored(#[case] value: &str) {
        assert_eq!(read(&[("retry-after", value)]), None);
        assert_eq!(read(&[("retry-after-ms", value)]), None);
    }

    #[test]
    fn milliseconds_take_precedence() {
        let both = [("retry-after", "2"), ("retry-after-ms", "1234")];
        assert_eq!(read(&both), Some(Duration::from_millis(1_234)));
        let unreadable = [("retry-after", "2"), ("retry-after-ms", "x")];
        assert_eq!(read(&unreadable), Some(Duration::from_secs(2)));
        assert_eq!(read(&[]), None);
    }
}
