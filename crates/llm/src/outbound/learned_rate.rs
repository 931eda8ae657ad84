//! Learns the rate of calls that a provider allows. Pure.
//!
//! When a limit refuses a call, its allowance is used up. So the calls that were accepted
//! between two refusals, divided by the time between them, never exceed the rate at which
//! the allowance refills: this rate is *proven*. A flaky gateway refuses calls at any
//! rate; there the proven rate is the one that was reached.
//!
//! | phase | event | next phase |
//! |---|---|---|
//! | unknown | evidence of a limit | holding at the proven rate |
//! | holding | evidence of a limit | holding at the proven rate, once; then the share of refusals is the usual one |
//! | holding | 3 s passed, or 4 times as long as before | growing by 1/16 per accepted call |
//! | growing | evidence of a limit | holding between the rate before and that of the first refusal, as an experiment |
//! | holding, as an experiment | evidence of a limit | holding at the proven rate or the one before; no further experiments |
//! | growing, after an experiment failed | evidence of a limit | holding at the proven rate, 4 times as long if the growth was no gain |
//!
//! The experiment finds the rate of a limit without a burst, which refuses every second call
//! above its rate, so that less is proven than is possible. A limit with a burst refuses
//! the first call far above its rate, and the experiment fails.
//!
//! Evidence is what `refusals` finds. As the rate grows only while calls wait for it, it
//! stays where it is without demand.

use super::pace::Pace;
use super::refusals::Evidence;
use super::window::Ready;
use domain::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

const FIRST_HOLD: Duration = Duration::from_secs(3);
const HOLD_FACTOR: u32 = 4;
const MAX_HOLD: Duration = Duration::from_secs(300);
/// The growth of the rate per accepted call.
const GROWTH: f64 = 1.0 / 16.0;
/// The gain from which growth was worth it.
const GAIN: f64 = 1.15;
/// A higher rate is tried from this factor on.
const MIN_TRY: f64 = 1.05;
/// The factor for a rate that is too high while no lower one is proven.
const DECREASE: f64 = 0.7;
/// The number of accepted calls from which a rate is proven.
const MIN_ACCEPTED: u64 = 8;
/// The same for the first rate after a stop.
const MIN_ACCEPTED_AFTER_STOP: u64 = 2;
/// A greater share of refusals is usual only if it remains when the rate is reduced.
const MAX_USUAL_SHARE_AT_FULL_RATE: f64 = 0.08;
/// The number of calls from which the share of refusals is known.
const MIN_CALLS: u32 = 16;
/// The number of remembered refusals, and the least number of calls between two of them.
const REMEMBERED: usize = 16;
const MIN_DISTANCE: u64 = 8;
/// Older refusals say nothing about the limit of now.
const MAX_AGE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    /// No limit is known.
    #[default]
    Unknown,
    Holding {
        until: Timestamp,
        /// The outcomes at this rate.
        calls: u32,
        refused: u32,
        kind: Hold,
    },
    /// `base` is the rate that was held before, `refused_at` that of the first refusal.
    Growing { base: f64, refused_at: Option<f64> },
}

/// Why a rate is held.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hold {
    /// It is proven.
    Proven,
    /// It was reduced to the proven one because of evidence while a higher one was held.
    Reduced,
    /// It is tried; `base` is the rate that was held before.
    Try { base: f64 },
}

/// A refusal from which a proven rate is computed.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: Timestamp,
    position: u64,
    /// The number of refused calls so far, with this one.
    refused: u64,
}

#[derive(Clone, Debug)]
pub(super) struct LearnedRate {
    phase: Phase,
    pace: Option<Pace>,
    hold: Duration,
    /// An experiment failed: the limit has a burst.
    experiment_failed: bool,
    /// The share of calls that are refused whatever the rate is.
    usual_refusals: f64,
    refused: u64,
    refusals: VecDeque<Refusal>,
}

impl Default for LearnedRate {
    fn default() -> Self {
        Self {
            phase: Phase::default(),
            pace: None,
            hold: FIRST_HOLD,
            experiment_failed: false,
            usual_refusals: 0.0,
            refused: 0,
            refusals: VecDeque::new(),
        }
    }
}

impl LearnedRate {
    pub(super) fn ready(&self, now: Timestamp) -> Ready {
        self.pace.map_or(Ready::Now, |pace| pace.ready(now))
    }

    pub(super) fn usual_refusals(&self) -> f64 {
        self.usual_refusals
    }

    /// Whether a rate above the proven one is tried.
    pub(super) fn is_above_proven(&self) -> bool {
        matches!(self.phase, Phase::Growing { .. } | Phase::Holding { kind: Hold::Try { .. }, .. })
    }

    pub(super) fn is_holding(&self) -> bool {
        matches!(self.phase, Phase::Holding { .. })
    }

    pub(super) fn reserved(&mut self, now: Timestamp) {
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    pub(super) fn cancelled(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.give_back();
        }
    }

    /// Counts the outcome of a call that was sent at the current rate.
    pub(super) fn count(&mut self, is_refused: bool, now: Timestamp) {
        let Phase::Holding { until, calls, refused, .. } = &mut self.phase else { return };
        *calls += 1;
        *refused += u32::from(is_refused);
        if now >= *until {
            if *calls >= MIN_CALLS {
                let share = f64::from(*refused) / f64::from(*calls);
                self.usual_refusals =
                    share.min(self.usual_refusals.max(MAX_USUAL_SHARE_AT_FULL_RATE));
            }
            let base = self.pace.map_or(0.0, |pace| pace.rate());
            self.phase = Phase::Growing { base, refused_at: None };
        }
    }

    /// Records an accepted call; `has_waiters` if others wait for the rate.
    pub(super) fn accepted(&mut self, has_waiters: bool, now: Timestamp) {
        if let (Phase::Growing { .. }, Some(pace), true) = (self.phase, &mut self.pace, has_waiters)
        {
            pace.set_rate(pace.rate() * (1.0 + GROWTH), now);
        }
    }

    /// Records a refused call, sent at this time and position.
    pub(super) fn refused(&mut self, at: Timestamp, position: u64) {
        self.refused += 1;
        if let (Phase::Growing { refused_at, .. }, Some(pace)) = (&mut self.phase, self.pace) {
            refused_at.get_or_insert(pace.rate());
        }
        let last = self.refusals.back().map_or(0, |last| last.position);
        if !self.refusals.is_empty() && position < last + MIN_DISTANCE {
            return;
        }
        self.refusals.retain(|refusal| at.since(refusal.at) < MAX_AGE);
        if self.refusals.len() >= REMEMBERED {
            self.refusals.pop_front();
        }
        self.refusals.push_back(Refusal { at, position, refused: self.refused });
    }

    /// Records evidence of a limit that a call, sent at this time and position, completed.
    pub(super) fn limit_reached(
        &mut self,
        evidence: Evidence,
        at: Timestamp,
        position: u64,
        now: Timestamp,
    ) {
        let proven = self.proven_rate(at, position, MIN_ACCEPTED);
        let current = self.pace.map_or(0.0, |pace| pace.rate());
        match self.phase {
            Phase::Unknown => {
                if let Some(rate) = proven {
                    self.hold(rate, Hold::Proven, now);
                }
            }
            Phase::Growing { base, refused_at } => {
                let rate = proven.unwrap_or(current / 2.0).max(base);
                let between = refused_at.map_or(rate, |refused_at| (base * refused_at).sqrt());
                if between > rate * MIN_TRY && !self.experiment_failed {
                    self.set_hold(between, base);
                    self.hold(between, Hold::Try { base: rate }, now);
                } else {
                    self.set_hold(rate, base);
                    self.hold(rate, Hold::Proven, now);
                }
            }
            Phase::Holding { kind: Hold::Try { base }, .. } => {
                let rate = proven.map_or(base, |rate| rate.clamp(base, current.max(base)));
                self.experiment_failed = true;
                self.set_hold(rate, base);
                self.hold(rate, Hold::Proven, now);
            }
            Phase::Holding { calls, refused, kind: Hold::Reduced, .. }
                if evidence == Evidence::Share =>
            {
                if calls >= MIN_CALLS {
                    self.usual_refusals = f64::from(refused) / f64::from(calls);
                }
            }
            Phase::Holding { .. } => {
                let rate = proven.map_or(current * DECREASE, |rate| rate.min(current));
                self.hold(rate, Hold::Reduced, now);
            }
        }
    }

    /// Records the end of a stop. `sent` is the position of the last call.
    pub(super) fn resume(&mut self, sent: u64, now: Timestamp) {
        let hold = self.hold;
        match &mut self.phase {
            Phase::Unknown => {
                if let Some(base) = self.proven_rate(now, sent, MIN_ACCEPTED_AFTER_STOP) {
                    self.pace = Some(Pace::new(base, now));
                    self.phase = Phase::Growing { base, refused_at: None };
                }
            }
            Phase::Holding { until, .. } => *until = now.plus(hold),
            Phase::Growing { .. } => {}
        }
    }

    /// Sets how long `rate` is held after `base`: longer if it is no gain.
    fn set_hold(&mut self, rate: f64, base: f64) {
        if rate > base * GAIN {
            self.hold = FIRST_HOLD;
        } else {
            self.hold = self.hold.saturating_mul(HOLD_FACTOR).min(MAX_HOLD);
        }
    }

    fn hold(&mut self, rate: f64, kind: Hold, now: Timestamp) {
        match &mut self.pace {
            Some(pace) => pace.set_rate(rate, now),
            None => self.pace = Some(Pace::new(rate, now)),
        }
        let until = now.plus(self.hold);
        self.phase = Phase::Holding { until, calls: 0, refused: 0, kind };
    }

    /// The highest rate that is proven by at least `least` calls that were accepted
    /// between a remembered refusal and the call at this time and position.
    fn proven_rate(&self, at: Timestamp, position: u64, least: u64) -> Option<f64> {
        let rates = self.refusals.iter().filter_map(|since| {
            let sent = position.checked_sub(since.position)?;
            let accepted = sent.checked_sub(self.refused - since.refused)?;
            let seconds = at.since(since.at).as_secs_f64();
            // The first one may have been accepted from a fraction that was left.
            (accepted >= least && seconds > 0.0).then(|| (accepted - 1) as f64 / seconds)
        });
        rates.max_by(f64::total_cmp)
    }
}

#[cfg(test)]
#[path = "learned_rate_tests.rs"]
mod tests;
