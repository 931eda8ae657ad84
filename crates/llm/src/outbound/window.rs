//! One limit of a provider (requests, tokens) as its answers told it. Pure.
//!
//! Providers keep limits in two ways, and say nothing of which: a bucket that
//! fills steadily, or a window after which something comes back at once. The
//! difference shows in the resets: those of a bucket grow in step with what
//! was used. Until that has shown, the careful reading holds: nothing comes
//! back before the reset, and then one call goes ahead to see how much.

use crate::rate_headers::RateLimit;
use domain::Timestamp;
use std::time::Duration;

/// The part of a limit that is left alone: we aim at 90 %.
const RESERVE: u64 = 10;
/// When a server says that nothing is left and not until when.
const UNTOLD_RESET: Duration = Duration::from_secs(10);
/// How long the call that looks is waited for before another one looks.
const PATIENCE: Duration = Duration::from_secs(10);

/// Periods of limits that are usual, in seconds.
const PERIODS: [u64; 4] = [1, 60, 3600, 86_400];
/// Comparisons that must agree before a bucket is believed in.
const AGREEING: u32 = 2;

/// When a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ready {
    /// Now.
    Now,
    /// Then, or when a call that is out comes back with news.
    At(Timestamp),
    /// When a call that is out comes back.
    Later,
}

/// How what was used comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// Steadily: all of it in this time.
    Steadily(Duration),
    /// Some of it, or all, at the reset.
    AtReset,
}

/// One limit.
#[derive(Clone, Debug)]
pub(super) struct Window {
    limit: u64,
    /// What was left at `at`; a fraction, for buckets fill steadily.
    remaining: f64,
    reset: Timestamp,
    /// When this was told, or last reckoned.
    at: Timestamp,
    /// When the call that was told it went out, as a count of those that did:
    /// what went later comes on top.
    by: u64,
    fill: Fill,
    /// By which its way of filling is found out.
    sample: Option<Sample>,
    /// The call that looks what came back, and when it went.
    scout: Option<(u64, Timestamp)>,
}

impl Window {
    /// What is known after `call`, which went out as the `by`th, was told
    /// `limit`.
    pub(super) fn told(
        before: Option<&Self>,
        limit: &RateLimit,
        call: u64,
        by: u64,
        now: Timestamp,
    ) -> Self {
        let reset = limit.reset.unwrap_or_else(|| now.plus(UNTOLD_RESET));
        let before = before.filter(|before| before.limit == limit.limit);
        let (fill, sample) = match limit.period {
            Some(period) => (Fill::Steadily(period), None),
            None => compare(before, limit, reset.since(now)),
        };
        let (limit, remaining) = (limit.limit, limit.remaining as f64);
        // One that is still out goes on looking: this was told before it.
        let scout = before.and_then(|before| before.scout).filter(|(scout, _)| *scout != call);
        Self { limit, remaining, reset, at: now, by, fill, sample, scout }
    }

    /// When the call that was told this went out.
    pub(super) fn by(&self) -> u64 {
        self.by
    }

    /// When a call of this cost may go, while calls of cost `spent` are out
    /// that this window does not know of.
    pub(super) fn ready(&self, cost: u64, spent: u64, now: Timestamp) -> Ready {
        let reserve = self.limit / RESERVE;
        // A call that is larger than everything goes when everything is there.
        let wanted = cost.min(self.limit - reserve).saturating_add(reserve).saturating_add(spent);
        match self.fill {
            Fill::Steadily(period) => {
                if self.level(period, now) >= wanted as f64 {
                    Ready::Now
                } else if wanted > self.limit {
                    Ready::Later
                } else {
                    let part = (wanted as f64 - self.remaining) / self.limit as f64;
                    let millis = (part * period.as_millis() as f64).ceil() / 1000.0;
                    let wait = Duration::try_from_secs_f64(millis).unwrap_or(period);
                    Ready::At(self.at.plus(wait).max(now.plus(Duration::from_millis(1))))
                }
            }
            // What was left is there after the reset as well.
            Fill::AtReset if self.remaining >= wanted as f64 => Ready::Now,
            Fill::AtReset if now >= self.reset => match self.looking(now) {
                Some(until) => Ready::At(until),
                None => Ready::Now,
            },
            Fill::AtReset => Ready::At(self.reset),
        }
    }

    /// `call` may go.
    pub(super) fn went(&mut self, call: u64, now: Timestamp) {
        if self.is_over(now) && self.looking(now).is_none() {
            self.scout = Some((call, now));
        }
    }

    /// Until when the call that looks is waited for, if one is out.
    fn looking(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.scout?.1.plus(PATIENCE);
        (now < until).then_some(until)
    }

    /// Whether its reset has passed, so that it says nothing of now. A bucket
    /// that fills steadily is reckoned on.
    fn is_over(&self, now: Timestamp) -> bool {
        self.fill == Fill::AtReset && now >= self.reset
    }

    /// Whether it is to be forgotten when a call that went out as the `by`th
    /// succeeds without a word of this limit: its reset has passed, and the
    /// provider tells of it only where it refuses.
    pub(super) fn ends(&self, by: u64, now: Timestamp) -> bool {
        by > self.by && self.is_over(now)
    }

    /// `call`, which went out as the `by`th, is back without news; it has used
    /// `cost`.
    pub(super) fn back(&mut self, call: u64, by: u64, cost: u64, now: Timestamp) {
        if self.scout.is_some_and(|(scout, _)| scout == call) {
            self.scout = None;
        }
        if by > self.by {
            if let Fill::Steadily(period) = self.fill {
                (self.remaining, self.at) = (self.level(period, now), now);
            }
            self.remaining = (self.remaining - cost as f64).max(0.0);
        }
    }

    /// What was told to be left, while it holds.
    #[cfg(test)]
    pub(super) fn left(&self, now: Timestamp) -> Option<f64> {
        (now < self.reset).then_some(self.remaining)
    }

    /// What is there of a bucket that fills in `period`.
    fn level(&self, period: Duration, now: Timestamp) -> f64 {
        let periods = now.since(self.at).as_secs_f64() / period.as_secs_f64().max(0.001);
        (self.remaining + periods * self.limit as f64).min(self.limit as f64)
    }
}

/// What was used and milliseconds to the reset, by which the next telling is
/// judged, and how many in a row agreed on a bucket.
#[derive(Clone, Copy, Debug)]
struct Sample {
    used: u64,
    left: u64,
    agreed: u32,
}

/// Whether the resets grow in step with what was used: of tellings of which
/// one had used at least half as much again as the one before, several in a
/// row must mean the same usual period. By chance a window does that once.
fn compare(before: Option<&Window>, limit: &RateLimit, left: Duration) -> (Fill, Option<Sample>) {
    let (fill, sample) = before.map_or((Fill::AtReset, None), |b| (b.fill, b.sample));
    let used = limit.limit - limit.remaining;
    let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    if used == 0 || left == 0 || limit.reset.is_none() {
        return (fill, sample);
    }
    let Some(last) = sample else { return (fill, Some(Sample { used, left, agreed: 0 })) };
    let (more, less) = (used.max(last.used), used.min(last.used));
    if more.saturating_mul(2) < less.saturating_mul(3) {
        return (fill, sample);
    }
    let period = usual(left, used, limit.limit);
    let same = period.is_some() && period == usual(last.left, last.used, limit.limit);
    let agreed = if same { last.agreed + 1 } else { 0 };
    let fill = match period {
        Some(period) if agreed >= AGREEING => Fill::Steadily(period),
        _ => Fill::AtReset,
    };
    (fill, Some(Sample { used, left, agreed }))
}

/// The usual period in which a bucket of `limit` fills, if `used` of it is
/// back in `left` milliseconds; roughly, for times are rounded.
fn usual(left: u64, used: u64, limit: u64) -> Option<Duration> {
    let millis = left as f64 * limit as f64 / used as f64;
    let near = |period: &u64| (millis / (*period as f64 * 1000.0) - 1.0).abs() <= 0.15;
    PERIODS.iter().find(|period| near(period)).map(|period| Duration::from_secs(*period))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    fn at(seconds: u64) -> Timestamp {
        T0.plus(Duration::from_secs(seconds))
    }

    fn limit(limit: u64, remaining: u64, reset: u64) -> RateLimit {
        RateLimit { limit, remaining, reset: Some(at(reset)), period: None }
    }

    #[test]
    fn the_last_tenth_is_left_alone_and_calls_that_are_out_count() {
        let window = Window::told(None, &limit(50, 20, 60), 1, 1, T0);
        assert_eq!(window.ready(1, 14, T0), Ready::Now);
        assert_eq!(window.ready(1, 15, T0), Ready::At(at(60)), "15 + 5 + 1 of 20");
        assert_eq!(window.ready(15, 0, T0), Ready::Now);
        assert_eq!(window.ready(16, 0, T0), Ready::At(at(60)));
    }

    #[test]
    fn after_a_reset_one_call_goes_ahead() {
        let mut window = Window::told(None, &limit(50, 0, 60), 1, 1, T0);
        assert_eq!(window.ready(1, 0, at(59)), Ready::At(at(60)));
        assert_eq!(window.ready(1, 0, at(60)), Ready::Now);
        window.went(2, at(60));
        assert_eq!(window.ready(1, 1, at(61)), Ready::At(at(70)), "another looks if it hangs");
        let known = Window::told(Some(&window), &limit(50, 49, 119), 2, 2, at(62));
        assert_eq!(known.ready(1, 0, at(62)), Ready::Now);
        window.back(2, 2, 1, at(62));
        assert_eq!(window.ready(1, 0, at(62)), Ready::Now, "or comes back without news");
    }

    #[test]
    fn what_was_left_may_be_used_after_the_reset_too() {
        let reset = T0.plus(Duration::from_millis(6));
        let generous = RateLimit { reset: Some(reset), ..limit(10_000, 9_999, 0) };
        let mut window = Window::told(None, &generous, 1, 1, T0);
        for call in 2..66 {
            assert_eq!(window.ready(1, call - 2, at(1)), Ready::Now, "{call}");
            window.went(call, at(1));
        }
    }

    #[test]
    fn numbers_beyond_all_reason_are_compared_as_well() {
        let most = i64::MAX.unsigned_abs();
        let first = Window::told(None, &limit(most, 0, 60), 1, 1, T0);
        let second = Window::told(Some(&first), &limit(most, 1, 60), 2, 2, T0);
        assert_eq!(second.ready(1, 0, T0), Ready::At(at(60)));
    }

    #[test]
    fn a_bucket_fills_steadily() {
        let bucket = RateLimit { period: Some(Duration::from_secs(60)), ..limit(60, 6, 54) };
        let window = Window::told(None, &bucket, 1, 1, T0);
        assert_eq!(window.ready(1, 0, T0), Ready::At(at(1)));
        assert_eq!(window.ready(1, 0, at(1)), Ready::Now);
        assert_eq!(window.ready(3, 2, T0), Ready::At(at(5)));
        assert_eq!(window.ready(3, 60, at(500)), Ready::Later, "too much is out");
        assert_eq!(window.ready(1_000, 0, T0), Ready::At(at(54)), "when all is there");
        assert_eq!(window.ready(1_000, 0, at(54)), Ready::Now);
    }

    #[test]
    fn resets_tell_a_bucket_from_a_window() {
        // 60 a minute, filling: 1 used is back in 1 s, 10 in 10 s.
        let first = Window::told(None, &limit(60, 59, 1), 1, 1, T0);
        assert_eq!(first.fill, Fill::AtReset, "nothing has shown yet");
        let second = Window::told(Some(&first), &limit(60, 50, 10), 2, 2, T0);
        assert_eq!(second.fill, Fill::AtReset, "once is chance");
        let third = Window::told(Some(&second), &limit(60, 40, 20), 3, 3, T0);
        assert_eq!(third.fill, Fill::Steadily(Duration::from_secs(60)));
        let same = Window::told(Some(&third), &limit(60, 39, 15), 4, 4, T0);
        assert_eq!(same.fill, third.fill, "too near to say anything");
        // A window: the reset does not move, whatever is used.
        let other = Window::told(Some(&third), &limit(60, 20, 20), 4, 4, T0);
        assert_eq!(other.fill, Fill::AtReset);
        let second = third;
        let changed = Window::told(Some(&second), &limit(90, 80, 10), 4, 4, T0);
        assert_eq!(changed.fill, Fill::AtReset, "another limit, another matter");
    }

    #[test]
    fn a_bucket_that_tells_no_more_is_reckoned_on() {
        let bucket = RateLimit { period: Some(Duration::from_secs(60)), ..limit(60, 6, 54) };
        let mut window = Window::told(None, &bucket, 1, 1, T0);
        // One a second, whenever it may, and never a word.
        let mut went = 0;
        for tick in 1..=1000_u64 {
            let now = T0.plus(Duration::from_millis(tick * 100));
            if window.ready(1, 0, now) == Ready::Now {
                went += 1;
                window.back(1 + went, 1 + went, 1, now);
            }
        }
        assert!((98..=100).contains(&went), "{went} in 100 s");
    }

    #[test]
    fn untold_resets_are_looked_for() {
        let told = RateLimit { reset: None, ..limit(10, 0, 0) };
        let window = Window::told(None, &told, 1, 1, T0);
        assert_eq!(window.ready(1, 0, T0), Ready::At(at(10)));
        assert_eq!(window.ready(1, 0, at(10)), Ready::Now);
    }

    #[test]
    fn what_came_back_without_news_is_taken_off() {
        let mut window = Window::told(None, &limit(10, 3, 60), 5, 5, T0);
        window.back(4, 4, 1, T0);
        assert_eq!(window.ready(2, 0, T0), Ready::Now, "the window knew of call 4");
        window.back(6, 6, 1, T0);
        assert_eq!(window.ready(2, 0, T0), Ready::At(at(60)));
    }
}
