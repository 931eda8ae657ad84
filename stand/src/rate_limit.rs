//! A limit per key, told in the headers that providers use.

use crate::script::{RateLimit, RetryAfter};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// When the requests of each key came.
#[derive(Default)]
pub(crate) struct Windows {
    recent: Mutex<HashMap<String, VecDeque<Instant>>>,
}

/// What the limit says to one request.
pub(crate) struct Seen {
    /// How long the key must wait; `None` = it may.
    pub(crate) wait: Option<Duration>,
    /// What goes into the answer's headers in any case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Windows {
    pub(crate) fn see(&self, key: &str, limit: &RateLimit) -> Seen {
        let (now, window) = (Instant::now(), Duration::from_millis(limit.window_ms));
        let mut recent = self.recent.lock();
        let recent = recent.entry(key.to_owned()).or_default();
        while recent.front().is_some_and(|at| now.duration_since(*at) >= window) {
            recent.pop_front();
        }
        let reset =
            recent.front().map_or(window, |at| window.saturating_sub(now.duration_since(*at)));
        let over = recent.len() >= limit.requests;
        if !over {
            recent.push_back(now);
        }
        let left = limit.requests.saturating_sub(recent.len());
        let mut headers = vec![
            ("x-ratelimit-limit-requests".to_owned(), limit.requests.to_string()),
            ("x-ratelimit-remaining-requests".to_owned(), left.to_string()),
            ("x-ratelimit-reset-requests".to_owned(), format!("{}ms", reset.as_millis())),
        ];
        if over {
            headers.extend(spelled(limit.retry_after, reset));
        }
        Seen { wait: over.then_some(reset), headers }
    }

    pub(crate) fn clear(&self) {
        self.recent.lock().clear();
    }
}

fn spelled(how: RetryAfter, wait: Duration) -> Option<(String, String)> {
    let seconds = wait.as_millis().div_ceil(1000);
    match how {
        RetryAfter::Seconds => Some(("retry-after".into(), seconds.to_string())),
        RetryAfter::Millis => Some(("retry-after-ms".into(), wait.as_millis().to_string())),
        RetryAfter::Date => Some(("retry-after".into(), httpdate::fmt_http_date(in_a_while(wait)))),
        RetryAfter::None => None,
    }
}

/// A date has whole seconds only: the next one after the wait.
#[allow(clippy::disallowed_methods)] // a date on the wire is the machine's, whoever reads it
fn in_a_while(wait: Duration) -> std::time::SystemTime {
    std::time::SystemTime::now() + wait + Duration::from_secs(1)
}
