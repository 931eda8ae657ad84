//! Rate limits per API key, reported in the headers that providers use.

use crate::script::{BucketLimit, LimitHeaders, RetryAfter, Script, WindowLimit};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// The recent requests of each key: their times and costs.
type History = Mutex<HashMap<String, VecDeque<(Instant, usize)>>>;

#[derive(Default)]
pub(crate) struct RateLimiter {
    requests: History,
    tokens: History,
    /// The level of the bucket of each key, and when it was computed.
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

/// The limiter's decision about one request.
#[derive(Default)]
pub(crate) struct LimitDecision {
    /// The error message of a rejected request.
    pub(crate) rejected: Option<String>,
    /// Headers for the response, whether or not the request is rejected.
    pub(crate) headers: Vec<(String, String)>,
}

/// The state of one window after a request.
struct WindowState {
    unit: &'static str,
    limit: usize,
    remaining: usize,
    reset: Duration,
    exceeded: bool,
    retry_after: RetryAfter,
}

impl RateLimiter {
    /// Counts a request that costs this many tokens, unless a limit of the
    /// script rejects it.
    pub(crate) fn check(&self, key: &str, script: &Script, tokens: usize) -> LimitDecision {
        let requests = script
            .rate_limit
            .as_ref()
            .map(|limit| count(&self.requests, key, "requests", limit, 1));
        let bucket = script.request_bucket.as_ref().map(|limit| self.take(key, limit));
        // A request that the first limit rejects does not use up the second.
        let exceeded = [&requests, &bucket].into_iter().flatten().any(|window| window.exceeded);
        let cost = if exceeded { 0 } else { tokens };
        let tokens = script
            .token_limit
            .as_ref()
            .map(|limit| count(&self.tokens, key, "tokens", limit, cost));
        let mut decision = LimitDecision::default();
        for window in [requests, bucket, tokens].into_iter().flatten() {
            decision.headers.extend(limit_headers(script.limit_headers, &window));
            if window.exceeded {
                let message = || format!("Rate limit reached for {}", window.unit);
                decision.rejected.get_or_insert_with(message);
                decision.headers.extend(retry_after_header(window.retry_after, window.reset));
            }
        }
        decision
    }

    pub(crate) fn clear(&self) {
        self.requests.lock().clear();
        self.buckets.lock().clear();
        self.tokens.lock().clear();
    }
}

impl RateLimiter {
    /// Takes a request out of the bucket of this key.
    fn take(&self, key: &str, limit: &BucketLimit) -> WindowState {
        let (now, burst) = (Instant::now(), f64::from(limit.burst));
        let per_second = f64::from(limit.per_minute) / 60.0;
        let mut buckets = self.buckets.lock();
        let (level, at) = buckets.entry(key.to_owned()).or_insert((burst, now));
        let refilled = now.duration_since(*at).as_secs_f64() * per_second;
        (*level, *at) = ((*level + refilled).min(burst), now);
        let exceeded = *level < 1.0;
        let missing = if exceeded {
            1.0 - *level
        } else {
            *level -= 1.0;
            burst - *level
        };
        let reset = Duration::try_from_secs_f64(missing / per_second).unwrap_or(Duration::MAX);
        let limit_size = usize::try_from(limit.burst).unwrap_or(usize::MAX);
        // The level is not negative and at most `burst`.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let remaining = *level as usize;
        let (unit, retry_after) = ("requests", limit.retry_after);
        WindowState { unit, limit: limit_size, remaining, reset, exceeded, retry_after }
    }
}

fn count(
    history: &History,
    key: &str,
    unit: &'static str,
    limit: &WindowLimit,
    cost: usize,
) -> WindowState {
    let window = Duration::from_millis(limit.window_ms);
    let now = Instant::now();
    let mut history = history.lock();
    let recent = history.entry(key.to_owned()).or_default();
    while recent.front().is_some_and(|(at, _)| now.duration_since(*at) >= window) {
        recent.pop_front();
    }
    let used: usize = recent.iter().map(|(_, cost)| cost).sum();
    let first = recent.front().map(|(at, _)| *at);
    let reset = first.map_or(window, |at| window.saturating_sub(now.duration_since(at)));
    // A single request that exceeds the whole limit passes when the window is empty.
    let exceeded = used + cost > limit.max && !recent.is_empty() && cost > 0;
    if !exceeded && cost > 0 {
        recent.push_back((now, cost));
    }
    let remaining = limit.max.saturating_sub(used + if exceeded { 0 } else { cost });
    let (limit, retry_after) = (limit.max, limit.retry_after);
    WindowState { unit, limit, remaining, reset, exceeded, retry_after }
}

fn limit_headers(family: LimitHeaders, window: &WindowState) -> Vec<(String, String)> {
    let WindowState { unit, limit, remaining, reset, .. } = window;
    let fields = ["limit", "remaining", "reset"];
    let (names, reset) = match family {
        LimitHeaders::None => return Vec::new(),
        LimitHeaders::OpenAi => (
            fields.map(|field| format!("x-ratelimit-{field}-{unit}")),
            format!("{}ms", reset.as_millis()),
        ),
        LimitHeaders::Anthropic => {
            (fields.map(|field| format!("anthropic-ratelimit-{unit}-{field}")), rfc3339_in(*reset))
        }
    };
    names.into_iter().zip([limit.to_string(), remaining.to_string(), reset]).collect()
}

fn rfc3339_in(wait: Duration) -> String {
    let at = time::OffsetDateTime::from(now() + wait);
    at.format(&Rfc3339).unwrap_or_default()
}

pub(crate) fn retry_after_header(format: RetryAfter, wait: Duration) -> Option<(String, String)> {
    let seconds = wait.as_millis().div_ceil(1000);
    match format {
        RetryAfter::Seconds => Some(("retry-after".into(), seconds.to_string())),
        RetryAfter::Millis => Some(("retry-after-ms".into(), wait.as_millis().to_string())),
        // HTTP dates have whole seconds: rounds up.
        RetryAfter::Date => {
            let at = now() + wait + Duration::from_secs(1);
            Some(("retry-after".into(), httpdate::fmt_http_date(at)))
        }
        RetryAfter::None => None,
    }
}

#[allow(clippy::disallowed_methods)] // the client compares the date with the system clock
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(decision: &'a LimitDecision, name: &str) -> Option<&'a str> {
        decision.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[tokio::test]
    async fn limits_requests_and_tokens_separately_and_per_key() {
        let limiter = RateLimiter::default();
        let limit = |max, retry_after| Some(WindowLimit { max, window_ms: 60_000, retry_after });
        let script = Script {
            rate_limit: limit(2, RetryAfter::Millis),
            token_limit: limit(100, RetryAfter::Seconds),
            ..Script::default()
        };
        let first = limiter.check("a", &script, 60);
        assert_eq!(first.rejected, None);
        assert_eq!(header(&first, "x-ratelimit-remaining-requests"), Some("1"));
        assert_eq!(header(&first, "x-ratelimit-remaining-tokens"), Some("40"));
        let second = limiter.check("a", &script, 60);
        assert_eq!(second.rejected.as_deref(), Some("Rate limit reached for tokens"));
        assert!(header(&second, "retry-after").is_some());
        let third = limiter.check("a", &script, 1);
        assert_eq!(third.rejected.as_deref(), Some("Rate limit reached for requests"));
        assert!(header(&third, "retry-after-ms").is_some());
        assert_eq!(limiter.check("b", &script, 60).rejected, None, "limits are per key");
    }

    #[tokio::test(start_paused = true)]
    async fn bucket_refills_steadily_up_to_its_burst() {
        let limiter = RateLimiter::default();
        let limit = BucketLimit { per_minute: 600, burst: 3, retry_after: RetryAfter::Millis };
        let script = Script { request_bucket: Some(limit), ..Script::default() };
        let accepts = || limiter.check("a", &script, 1).rejected.is_none();
        assert_eq!([accepts(), accepts(), accepts(), accepts()], [true, true, true, false]);
        let refused = limiter.check("a", &script, 1);
        assert_eq!(header(&refused, "retry-after-ms"), Some("100"));
        tokio::time::sleep(Duration::from_millis(101)).await;
        assert_eq!([accepts(), accepts()], [true, false], "one per 100 ms");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!([accepts(), accepts(), accepts(), accepts()], [true, true, true, false]);
    }

    #[tokio::test]
    async fn each_header_family_uses_its_own_names() {
        let limiter = RateLimiter::default();
        let limit = WindowLimit { max: 2, window_ms: 1_000, retry_after: RetryAfter::None };
        let with = |limit_headers| Script {
            rate_limit: Some(limit.clone()),
            limit_headers,
            ..Script::default()
        };
        let decision = limiter.check("a", &with(LimitHeaders::Anthropic), 1);
        assert_eq!(header(&decision, "anthropic-ratelimit-requests-limit"), Some("2"));
        assert_eq!(header(&decision, "anthropic-ratelimit-requests-remaining"), Some("1"));
        let reset = header(&decision, "anthropic-ratelimit-requests-reset").unwrap();
        assert!(reset.ends_with('Z') && reset.contains('T'), "{reset}");
        let none = limiter.check("b", &with(LimitHeaders::None), 1);
        assert!(none.headers.is_empty());
    }
}
