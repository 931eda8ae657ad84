//! One rate limit of a provider (requests or tokens), as its responses report it. Pure.
//!
//! Providers use two algorithms and do not report which: a token bucket that refills
//! continuously, or a window whose limit is restored at its reset. The reported resets
//! tell them apart: those of a token bucket grow in proportion to its usage. Until then
//! the limit is treated as a window: nothing is restored before the reset, and after it
//! one call is sent first to learn how much was restored.

use crate::rate_headers::RateLimit;
use domain::Timestamp;
use std::time::Duration;

/// The reserve is this fraction of a limit (1/10), so that 90 % are used.
const RESERVE_DIVISOR: u64 = 10;
/// The reset time that is assumed if a server reports an exhausted limit without one.
const DEFAULT_RESET: Duration = Duration::from_secs(10);
/// The time after which the next call may be the trial if the trial in flight does not end.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The common periods of limits, in seconds.
const PERIODS: [u64; 4] = [1, 60, 3600, 86_400];
/// The number of consecutive samples that have to agree to detect a token bucket.
const MIN_AGREEING_SAMPLES: u32 = 2;

/// When a call may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ready {
    Now,
    /// At this time, or earlier if a call in flight ends.
    At(Timestamp),
    /// When a call in flight ends.
    AfterCall,
}

/// How the limit is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refill {
    /// A token bucket that refills completely in this time.
    Continuous(Duration),
    /// A window.
    AtReset,
}

#[derive(Clone, Debug)]
pub(super) struct Window {
    limit: u64,
    /// The remainder at `at`. Fractional, because token buckets refill continuously.
    remaining: f64,
    reset: Timestamp,
    /// The time of the report, or of the last computation.
    at: Timestamp,
    /// The send position of the call whose response reported the limit. Calls with a
    /// greater position are not included in `remaining`.
    position: u64,
    refill: Refill,
    /// The last sample for the detection of the refill algorithm.
    sample: Option<Sample>,
    /// The call that tests a window after its reset, and when it was reserved.
    trial: Option<(u64, Timestamp)>,
}

impl Window {
    /// The window after the response of `call`, sent at `position`, reported `limit`.
    pub(super) fn reported(
        before: Option<&Self>,
        limit: &RateLimit,
        call: u64,
        position: u64,
        now: Timestamp,
    ) -> Self {
        let reset = limit.reset.unwrap_or_else(|| now.plus(DEFAULT_RESET));
        let before = before.filter(|before| before.limit == limit.limit);
        let (refill, sample) = match limit.period {
            Some(period) => (Refill::Continuous(period), None),
            None => detect_refill(before, limit, reset.since(now)),
        };
        let (limit, remaining) = (limit.limit, limit.remaining as f64);
        // A trial that is still in flight was sent after this report.
        let trial = before.and_then(|before| before.trial).filter(|(trial, _)| *trial != call);
        Self { limit, remaining, reset, at: now, position, refill, sample, trial }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// When a call of this cost may be sent, while calls of total cost `spent` are in
    /// flight that are not included in the reported remainder.
    pub(super) fn ready(&self, cost: u64, spent: u64, now: Timestamp) -> Ready {
        let reserve = self.limit / RESERVE_DIVISOR;
        // A call that exceeds the limit is sent when the limit is completely restored.
        let wanted = cost.min(self.limit - reserve).saturating_add(reserve).saturating_add(spent);
        match self.refill {
            Refill::Continuous(period) => {
                if self.level(period, now) >= wanted as f64 {
                    Ready::Now
                } else if wanted > self.limit {
                    Ready::AfterCall
                } else {
                    let part = (wanted as f64 - self.remaining) / self.limit as f64;
                    let seconds = (part * period.as_millis() as f64).ceil() / 1000.0;
                    let wait = Duration::try_from_secs_f64(seconds).unwrap_or(period);
                    Ready::At(self.at.plus(wait).max(now.plus(Duration::from_millis(1))))
                }
            }
            // The remainder stays valid after the reset.
            Refill::AtReset if self.remaining >= wanted as f64 => Ready::Now,
            Refill::AtReset if now >= self.reset => match self.trial_until(now) {
                Some(until) => Ready::At(until),
                None => Ready::Now,
            },
            Refill::AtReset => Ready::At(self.reset),
        }
    }

    /// Records that `call` was reserved.
    pub(super) fn reserved(&mut self, call: u64, now: Timestamp) {
        if self.is_past_reset(now) && self.trial_until(now).is_none() {
            self.trial = Some((call, now));
        }
    }

    /// The time until which other calls wait for the trial in flight.
    fn trial_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.trial?.1.plus(TRIAL_TIMEOUT);
        (now < until).then_some(until)
    }

    /// Whether the reset of a window has passed, so that its remainder is outdated. The
    /// level of a token bucket is computed instead.
    fn is_past_reset(&self, now: Timestamp) -> bool {
        self.refill == Refill::AtReset && now >= self.reset
    }

    /// Whether the window has to be dropped after a call, sent at `position`, succeeded
    /// without reporting this limit: its reset has passed, and the provider reports it
    /// only in rejections.
    pub(super) fn is_outdated_by(&self, position: u64, now: Timestamp) -> bool {
        position > self.position && self.is_past_reset(now)
    }

    /// Records the end of `call`, sent at `position`, that used `cost` and did not report
    /// this limit.
    pub(super) fn ended(&mut self, call: u64, position: u64, cost: u64, now: Timestamp) {
        if self.trial.is_some_and(|(trial, _)| trial == call) {
            self.trial = None;
        }
        if position > self.position {
            if let Refill::Continuous(period) = self.refill {
                (self.remaining, self.at) = (self.level(period, now), now);
            }
            self.remaining = (self.remaining - cost as f64).max(0.0);
        }
    }

    /// The reported remainder, until the reset.
    #[cfg(test)]
    pub(super) fn remaining(&self, now: Timestamp) -> Option<f64> {
        (now < self.reset).then_some(self.remaining)
    }

    /// The level of a token bucket that refills in `period`.
    fn level(&self, period: Duration, now: Timestamp) -> f64 {
        let periods = now.since(self.at).as_secs_f64() / period.as_secs_f64().max(0.001);
        (self.remaining + periods * self.limit as f64).min(self.limit as f64)
    }
}

/// A report for the detection of the refill algorithm.
#[derive(Clone, Copy, Debug)]
struct Sample {
    used: u64,
    /// Milliseconds until the reset.
    until_reset: u64,
    /// The number of consecutive samples that agreed on the same period.
    agreed: u32,
}

/// Detects whether the resets grow in proportion to the usage: several consecutive
/// samples, whose usages differ by at least half, have to agree on the same common
/// period. A window may do so once by chance.
fn detect_refill(
    before: Option<&Window>,
    limit: &RateLimit,
    until_reset: Duration,
) -> (Refill, Option<Sample>) {
    let (refill, sample) = before.map_or((Refill::AtReset, None), |b| (b.refill, b.sample));
    let used = limit.limit - limit.remaining;
    let until_reset = u64::try_from(until_reset.as_millis()).unwrap_or(u64::MAX);
    if used == 0 || until_reset == 0 || limit.reset.is_none() {
        return (refill, sample);
    }
    let Some(last) = sample else {
        return (refill, Some(Sample { used, until_reset, agreed: 0 }));
    };
    let (more, less) = (used.max(last.used), used.min(last.used));
    if more.saturating_mul(2) < less.saturating_mul(3) {
        return (refill, sample);
    }
    let period = common_period(until_reset, used, limit.limit);
    let last_period = common_period(last.until_reset, last.used, limit.limit);
    let same = period.is_some() && period == last_period;
    let agreed = if same { last.agreed + 1 } else { 0 };
    let refill = match period {
        Some(period) if agreed >= MIN_AGREEING_SAMPLES => Refill::Continuous(period),
        _ => Refill::AtReset,
    };
    (refill, Some(Sample { used, until_reset, agreed }))
}

/// The common period in which a token bucket of `limit` refills, if `used` of it is
/// restored in `until_reset` milliseconds. Approximate, because providers round times.
fn common_period(until_reset: u64, used: u64, limit: u64) -> Option<Duration> {
    let millis = until_reset as f64 * limit as f64 / used as f64;
    let near = |period: &u64| (millis / (*period as f64 * 1000.0) - 1.0).abs() <= 0.15;
    PERIODS.iter().find(|period| near(period)).map(|period| Duration::from_secs(*period))
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
