//! Limits per key, told in the headers that providers use.

use crate::script::{LimitHeaders, RateLimit, RetryAfter, TokenLimit};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// What each key has used lately: when, and how much.
type Used = Mutex<HashMap<String, VecDeque<(Instant, usize)>>>;

/// The windows of all keys.
#[derive(Default)]
pub(crate) struct Limits {
    requests: Used,
    tokens: Used,
}

/// What the limits say to one request.
#[derive(Default)]
pub(crate) struct Seen {
    /// Why not; `None` = it may.
    pub(crate) refused: Option<&'static str>,
    /// What goes into the answer's headers in any case.
    pub(crate) headers: Vec<(String, String)>,
}

/// One window as one request finds it.
struct Window {
    what: &'static str,
    limit: usize,
    left: usize,
    reset: Duration,
    over: bool,
    retry_after: RetryAfter,
}

impl Limits {
    /// Counts a request of so many tokens, unless a limit refuses it.
    pub(crate) fn see(
        &self,
        key: &str,
        requests: &Option<RateLimit>,
        tokens: &Option<TokenLimit>,
        family: LimitHeaders,
        cost: usize,
    ) -> Seen {
        let requests = requests.as_ref().map(|limit| {
            let window = Duration::from_millis(limit.window_ms);
            look(&self.requests, key, window, "requests", limit.requests, 1, limit.retry_after)
        });
        // What the first limit refuses does not use up the second.
        let refused = requests.as_ref().is_some_and(|window| window.over);
        let tokens = tokens.as_ref().map(|limit| {
            let (window, cost) =
                (Duration::from_millis(limit.window_ms), if refused { 0 } else { cost });
            look(&self.tokens, key, window, "tokens", limit.tokens, cost, limit.retry_after)
        });
        let mut seen = Seen::default();
        for window in [requests, tokens].into_iter().flatten() {
            seen.headers.extend(told(family, &window));
            if window.over {
                seen.refused.get_or_insert(match window.what {
                    "requests" => "Rate limit reached for requests",
                    _ => "Rate limit reached for tokens",
                });
                seen.headers.extend(spelled(window.retry_after, window.reset));
            }
        }
        seen
    }

    pub(crate) fn clear(&self) {
        self.requests.lock().clear();
        self.tokens.lock().clear();
    }
}

fn look(
    used: &Used,
    key: &str,
    window: Duration,
    what: &'static str,
    limit: usize,
    cost: usize,
    retry_after: RetryAfter,
) -> Window {
    let now = Instant::now();
    let mut used = used.lock();
    let used = used.entry(key.to_owned()).or_default();
    while used.front().is_some_and(|(at, _)| now.duration_since(*at) >= window) {
        used.pop_front();
    }
    let sum: usize = used.iter().map(|(_, cost)| cost).sum();
    let first = used.front().map(|(at, _)| *at);
    let reset = first.map_or(window, |at| window.saturating_sub(now.duration_since(at)));
    // A single request that is more than all there is may pass alone.
    let over = sum + cost > limit && !used.is_empty() && cost > 0;
    if !over && cost > 0 {
        used.push_back((now, cost));
    }
    let left = limit.saturating_sub(sum + if over { 0 } else { cost });
    Window { what, limit, left, reset, over, retry_after }
}

fn told(family: LimitHeaders, window: &Window) -> Vec<(String, String)> {
    let Window { what, limit, left, reset, .. } = window;
    let (names, reset): ([String; 3], String) = match family {
        LimitHeaders::None => return Vec::new(),
        LimitHeaders::OpenAi => (
            ["limit", "remaining", "reset"].map(|word| format!("x-ratelimit-{word}-{what}")),
            format!("{}ms", reset.as_millis()),
        ),
        LimitHeaders::Anthropic => (
            ["limit", "remaining", "reset"]
                .map(|word| format!("anthropic-ratelimit-{what}-{word}")),
            date(*reset),
        ),
    };
    names.into_iter().zip([limit.to_string(), left.to_string(), reset]).collect()
}

/// An RFC 3339 date, so long from now.
fn date(wait: Duration) -> String {
    let at = time::OffsetDateTime::from(now() + wait);
    at.format(&Rfc3339).unwrap_or_default()
}

/// Retry-After in this spelling.
pub(crate) fn spelled(how: RetryAfter, wait: Duration) -> Option<(String, String)> {
    let seconds = wait.as_millis().div_ceil(1000);
    match how {
        RetryAfter::Seconds => Some(("retry-after".into(), seconds.to_string())),
        RetryAfter::Millis => Some(("retry-after-ms".into(), wait.as_millis().to_string())),
        // A date has whole seconds only: the next one after the wait.
        RetryAfter::Date => {
            let at = now() + wait + Duration::from_secs(1);
            Some(("retry-after".into(), httpdate::fmt_http_date(at)))
        }
        RetryAfter::None => None,
    }
}

#[allow(clippy::disallowed_methods)] // a date on the wire is the machine's, whoever reads it
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
        seen.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[tokio::test]
    async fn requests_and_tokens_are_counted_apart_and_per_key() {
        let limits = Limits::default();
        let requests =
            Some(RateLimit { requests: 2, window_ms: 60_000, retry_after: RetryAfter::Millis });
        let tokens =
            Some(TokenLimit { tokens: 100, window_ms: 60_000, retry_after: RetryAfter::Seconds });
        let see = |key: &str, cost| limits.see(key, &requests, &tokens, LimitHeaders::OpenAi, cost);
        let first = see("a", 60);
        assert_eq!(first.refused, None);
        assert_eq!(name(&first, "x-ratelimit-remaining-requests"), Some("1"));
        assert_eq!(name(&first, "x-ratelimit-remaining-tokens"), Some("40"));
        let second = see("a", 60);
        assert_eq!(second.refused, Some("Rate limit reached for tokens"));
        assert!(name(&second, "retry-after").is_some());
        let third = see("a", 1);
        assert_eq!(third.refused, Some("Rate limit reached for requests"));
        assert!(name(&third, "retry-after-ms").is_some());
        assert_eq!(see("b", 60).refused, None, "another key has its own");
    }

    #[tokio::test]
    async fn each_family_has_its_names() {
        let limits = Limits::default();
        let requests =
            Some(RateLimit { requests: 2, window_ms: 1_000, retry_after: RetryAfter::None });
        let seen = limits.see("a", &requests, &None, LimitHeaders::Anthropic, 1);
        assert_eq!(name(&seen, "anthropic-ratelimit-requests-limit"), Some("2"));
        assert_eq!(name(&seen, "anthropic-ratelimit-requests-remaining"), Some("1"));
        let reset = name(&seen, "anthropic-ratelimit-requests-reset").unwrap();
        assert!(reset.ends_with('Z') && reset.contains('T'), "{reset}");
        let silent = limits.see("b", &requests, &None, LimitHeaders::None, 1);
        assert!(silent.headers.is_empty());
    }
}
