//! Parses the rate limits in response headers. Pure.
//!
//! There are three header families: `anthropic-ratelimit-requests-remaining` (and `tokens`,
//! `input-tokens`, `output-tokens`; `-limit`, and `-reset` as an RFC 3339 time), and
//! `x-ratelimit-remaining-requests` (and `tokens`; `limit-`, and `reset-` as a duration
//! like `6m0s` or `17ms`), and the generic `x-ratelimit-remaining` (`-limit`, `-reset`)
//! without a kind, which counts requests. Unreadable values are ignored.

use domain::Timestamp;
pub use llm_types::{RateLimit, RateLimits};
use reqwest::header::HeaderMap;
use std::time::Duration;

/// Later resets are reduced to this.
const MAX_RESET: Duration = Duration::from_hours(7 * 24);
/// Anthropic's limits are token buckets that refill within a minute.
const ANTHROPIC_PERIOD: Duration = Duration::from_secs(60);
/// Plain numbers from here on are seconds since 1970 instead of a duration.
const EPOCH_SECONDS: f64 = 1e9;
/// Plain numbers from here on are milliseconds since 1970.
const EPOCH_MILLIS: f64 = 1e12;

/// Returns `None` if there are no rate limits in the headers.
#[must_use]
pub fn parse_rate_limits(headers: &HeaderMap, now: Timestamp) -> Option<Box<RateLimits>> {
    let anthropic = |what: &str| {
        let name = |part: &str| format!("anthropic-ratelimit-{what}-{part}");
        let found = limit(headers, &name("limit"), &name("remaining"), &name("reset"), now)?;
        Some(RateLimit { period: Some(ANTHROPIC_PERIOD), ..found })
    };
    let common = |what: &str| {
        let name = |part: &str| format!("x-ratelimit-{part}-{what}");
        limit(headers, &name("limit"), &name("remaining"), &name("reset"), now)
    };
    let generic = || {
        let name = |part: &str| format!("x-ratelimit-{part}");
        limit(headers, &name("limit"), &name("remaining"), &name("reset"), now)
    };
    let (input_tokens, output_tokens) = (anthropic("input-tokens"), anthropic("output-tokens"));
    // Together with these two, Anthropic's `tokens` repeats the more restrictive one.
    let split = input_tokens.is_some() || output_tokens.is_some();
    let together = if split { None } else { anthropic("tokens") };
    let rate_limits = RateLimits {
        requests: anthropic("requests").or_else(|| common("requests")).or_else(generic),
        tokens: together.or_else(|| common("tokens")),
        input_tokens,
        output_tokens,
    };
    (rate_limits != RateLimits::default()).then(|| Box::new(rate_limits))
}

/// Parses one limit. Some servers report a limit of 0 if there is none.
fn limit(
    headers: &HeaderMap,
    limit: &str,
    remaining: &str,
    reset: &str,
    now: Timestamp,
) -> Option<RateLimit> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let remaining = integer(text(remaining)?)?;
    let limit = match text(limit) {
        Some(text) => integer(text)?,
        None => remaining,
    };
    if limit == 0 {
        return None;
    }
    let reset = text(reset).and_then(|text| reset_time(text, now));
    Some(RateLimit { limit, remaining: remaining.min(limit), reset, period: None })
}

fn integer(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Parses a duration from now, an RFC 3339 time, or a plain number: seconds from now, or
/// since 1970 if it is large. A time in the past becomes `now`.
fn reset_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    let latest = now.plus(MAX_RESET);
    if let Some(at) = Timestamp::parse(text) {
        return Some(at.clamp(now, latest));
    }
    if let Some(number) = decimal(text) {
        let millis = match number {
            n if n >= EPOCH_MILLIS => n - now.0 as f64,
            n if n >= EPOCH_SECONDS => n * 1000.0 - now.0 as f64,
            n => n * 1000.0,
        };
        return Some(now.plus(from_millis(millis)));
    }
    duration(text).map(|duration| now.plus(duration))
}

/// Parses digits with at most one decimal point.
fn decimal(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { text.parse().ok() } else { None }
}

/// Parses numbers with units: `1h2m3.5s`, `6m0s`, `17ms`.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut millis) = (text, 0.0);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let next = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(next);
        let scale = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            "d" => 86_400e3,
            _ => return None,
        };
        millis += decimal(number)? * scale;
        rest = tail;
    }
    (!text.is_empty()).then(|| from_millis(millis))
}

/// Rounds up, and limits to [`MAX_RESET`].
fn from_millis(millis: f64) -> Duration {
    let seconds = (millis.ceil() / 1000.0).max(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_RESET).min(MAX_RESET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// 2026-11-23T10:00:00Z
    const NOW: Timestamp = Timestamp(1_795_428_000_000);

    fn read(pairs: &[(&str, &str)]) -> Option<Box<RateLimits>> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: reqwest::header::HeaderName = name.parse().expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
        parse_rate_limits(&headers, NOW)
    }

    fn reset(text: &str) -> Option<Duration> {
        let pairs = [
            ("x-ratelimit-limit-requests", "10"),
            ("x-ratelimit-remaining-requests", "3"),
            ("x-ratelimit-reset-requests", text),
        ];
        read(&pairs)?.requests?.reset.map(|at| at.since(NOW))
    }

    #[rstest]
    #[case("6m0s", 360_000)]
    #[case("17ms", 17)]
    #[case("1s", 1_000)]
    #[case("59.56s", 59_560)]
    #[case("7m12s", 432_000)]
    #[case("1h2m3.5s", 3_723_500)]
    #[case("1d", 86_400_000)]
    #[case("500us", 1)]
    #[case(" 30 ", 30_000)]
    #[case("0.25", 250)]
    #[case("0s", 0)]
    #[case("1795428007", 7_000)]
    #[case("1795428007000", 7_000)]
    #[case("2026-11-23T10:00:09Z", 9_000)]
    #[case("2026-11-23T09:00:00Z", 0)]
    #[case("99999999999999999999d", 604_800_000)]
    fn reset_formats_are_parsed(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(reset(text), Some(Duration::from_millis(millis)));
    }

    #[test]
    fn generic_headers_are_request_limits() {
        let generic = [
            ("x-ratelimit-limit", "20"),
            ("x-ratelimit-remaining", "4"),
            ("x-ratelimit-reset", "1795428007000"),
        ];
        let expected = RateLimit {
            limit: 20,
            remaining: 4,
            reset: Some(NOW.plus(Duration::from_secs(7))),
            period: None,
        };
        let found = read(&generic).expect("limits");
        assert_eq!((found.requests, found.tokens), (Some(expected), None));
        let specific = [generic.as_slice(), &[("x-ratelimit-remaining-requests", "9")]].concat();
        let remaining = read(&specific).and_then(|found| found.requests).map(|one| one.remaining);
        assert_eq!(remaining, Some(9), "a header with a kind is more precise");
    }

    #[rstest]
    #[case("")]
    #[case("soon")]
    #[case("-5s")]
    #[case("5")]
    #[case("s")]
    #[case("1x")]
    #[case("1.2.3s")]
    #[case("NaN")]
    #[case("inf")]
    #[case("1e9")]
    #[case("2026-99-23T10:00:09Z")]
    fn invalid_resets_are_ignored(#[case] text: &str) {
        let expected = if text == "5" { Some(Duration::from_secs(5)) } else { None };
        assert_eq!(reset(text), expected);
    }

    #[rstest]
    #[case("10", "-1")]
    #[case("10", "many")]
    #[case("10", "")]
    #[case("10", "1.5")]
    #[case("10", "99999999999999999999999")]
    #[case("ten", "1")]
    #[case("-10", "1")]
    #[case("0", "0")]
    fn invalid_limits_are_ignored(#[case] limit: &str, #[case] remaining: &str) {
        let pairs =
            [("x-ratelimit-limit-tokens", limit), ("x-ratelimit-remaining-tokens", remaining)];
        assert_eq!(read(&pairs), None);
    }

    #[test]
    fn both_header_families_are_parsed() {
        let rate_limits = read(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-23T10:00:01Z"),
            ("anthropic-ratelimit-tokens-limit", "8000"),
            ("anthropic-ratelimit-tokens-remaining", "7000"),
            ("anthropic-ratelimit-output-tokens-limit", "8000"),
            ("anthropic-ratelimit-output-tokens-remaining", "7000"),
        ]);
        let rate_limits = rate_limits.expect("limits");
        let period = Some(Duration::from_secs(60));
        let reset = Some(NOW.plus(Duration::from_secs(1)));
        assert_eq!(
            rate_limits.requests,
            Some(RateLimit { limit: 50, remaining: 49, reset, period })
        );
        let output = RateLimit { limit: 8000, remaining: 7000, reset: None, period };
        assert_eq!(
            (rate_limits.output_tokens, rate_limits.input_tokens, rate_limits.tokens),
            (Some(output), None, None)
        );

        let rate_limits = read(&[
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-reset-tokens", "6ms"),
        ]);
        let reset = Some(NOW.plus(Duration::from_millis(6)));
        let tokens = RateLimit { limit: 150_000, remaining: 149_984, reset, period: None };
        assert_eq!(rate_limits.expect("limits").tokens, Some(tokens));
    }

    #[test]
    fn missing_or_contradictory_limits_are_corrected() {
        let alone = read(&[("x-ratelimit-remaining-requests", "7")]).expect("limits");
        let expected = RateLimit { limit: 7, remaining: 7, reset: None, period: None };
        assert_eq!(alone.requests, Some(expected));
        let more = [("x-ratelimit-remaining-requests", "70"), ("x-ratelimit-limit-requests", "7")];
        assert_eq!(read(&more).expect("limits").requests, Some(expected));
        assert_eq!(read(&[("x-ratelimit-limit-requests", "7")]), None);
        assert_eq!(read(&[]), None);
    }
}
