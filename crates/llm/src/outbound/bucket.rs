//! The limits of one model on one connection, and when a call may be sent: the rate
//! limits that the provider reports, the learned rate and number of concurrent calls, and
//! the stop while the provider refuses every call. Pure: a call is a number, and time is
//! passed in.
//!
//! A refusal (429, 529) alone changes little: its call waits, and the others go on.
//! Evidence of a limit slows the bucket down or stops it.

use super::adaptive_concurrency::AdaptiveConcurrency;
use super::learned_rate::LearnedRate;
use super::limit_kinds::{KINDS, by_kind, costs, replace_estimate, reports_exhausted_limit};
use super::refusals::{Evidence, Refusals};
use super::stop::BucketStop;
use super::token_estimate::{RequestSize, TokenEstimator};
use super::window::{Ready, Window};
use domain::Timestamp;
use llm_types::{CallError, ChatReply, Decision};
use std::collections::BTreeMap;

/// A call between reservation and outcome.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    size: RequestSize,
    cost: [u64; KINDS],
    reserved_at: Timestamp,
    /// The position in the order in which calls were sent, from 1. A reported limit
    /// includes the calls that were sent before the call whose response reports it.
    position: u64,
}

/// The position of a call that is not sent yet.
const NOT_SENT: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(super) struct Bucket {
    windows: [Option<Window>; KINDS],
    concurrency: AdaptiveConcurrency,
    rate: LearnedRate,
    refusals: Refusals,
    stop: BucketStop,
    /// When a call succeeded last.
    last_success: Option<Timestamp>,
    estimator: TokenEstimator,
    /// The number of the last reserved call.
    last: u64,
    /// The number of calls sent.
    sent: u64,
    in_flight: BTreeMap<u64, InFlight>,
    /// Calls up to this number were reserved before the connection was edited. Their
    /// outcomes are ignored.
    reset_after_call: u64,
    /// The size of the last call, as an estimate of the next one.
    last_size: RequestSize,
}

impl Bucket {
    /// When a call may be sent. What was learned does not apply to a manual probe: neither
    /// concurrency and rate nor a stop, because a user who presses "Retry now" knows
    /// better than a `Retry-After` of a day. The probe is the trial of the stop.
    pub(super) fn ready(&self, size: RequestSize, is_manual_probe: bool, now: Timestamp) -> Ready {
        let full = !is_manual_probe && self.in_flight() >= self.concurrency.limit();
        let concurrency = if full { Ready::AfterCall } else { Ready::Now };
        let cost = costs(self.estimator.estimate(size));
        let windows = self.windows.iter().zip(cost).enumerate().map(|(kind, (window, cost))| {
            let Some(window) = window else { return Ready::Now };
            let unreported =
                self.in_flight.values().filter(|call| call.position > window.position());
            let spent = unreported.fold(0_u64, |sum, call| sum.saturating_add(call.cost[kind]));
            window.ready(cost, spent, now)
        });
        let learned = if is_manual_probe {
            Ready::Now
        } else {
            self.rate.ready(now).max(self.stop.ready(now))
        };
        windows.chain([learned, concurrency]).max().unwrap_or(Ready::Now)
    }

    /// Returns `Some` if the provider's limits allow no call like the last one now, with
    /// the time at which they do, if that is known. Learned concurrency and rate are ignored.
    pub(super) fn exhausted(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        match self.ready(self.last_size, true, now).max(self.stop.ready(now)) {
            Ready::Now => None,
            Ready::At(until) => Some(Some(until)),
            Ready::AfterCall => Some(None),
        }
    }

    /// Reserves capacity for a call. Returns its number.
    pub(super) fn reserve(&mut self, size: RequestSize, now: Timestamp) -> u64 {
        self.last += 1;
        self.last_size = size;
        let cost = costs(self.estimator.estimate(size));
        let call = InFlight { size, cost, reserved_at: now, position: NOT_SENT };
        self.in_flight.insert(self.last, call);
        self.rate.reserved(now);
        if self.stop.reserved(self.last, now) {
            self.resume(now);
        }
        for window in self.windows.iter_mut().flatten() {
            window.reserved(self.last, now);
        }
        self.last
    }

    pub(super) fn mark_sent(&mut self, number: u64) {
        self.sent += 1;
        if let Some(call) = self.in_flight.get_mut(&number) {
            call.position = self.sent;
        }
        self.refusals.sent(self.sent);
    }

    /// Releases a call that was canceled before it was sent.
    pub(super) fn cancel_unsent(&mut self, number: u64, now: Timestamp) {
        self.in_flight.remove(&number);
        self.rate.cancelled();
        self.stop.ended_undecided(number, now);
        for window in self.windows.iter_mut().flatten() {
            window.ended(number, NOT_SENT, 0, now);
        }
    }

    /// Releases a call that was canceled after it was sent: the provider counts it.
    pub(super) fn cancel_sent(&mut self, number: u64, now: Timestamp) {
        let Some(call) = self.in_flight.remove(&number) else { return };
        self.stop.ended_undecided(number, now);
        for (window, cost) in self.windows.iter_mut().zip(call.cost) {
            if let Some(window) = window {
                window.ended(number, call.position, cost, now);
            }
        }
    }

    /// Releases a call with its outcome. `has_waiters` if other calls wait for capacity.
    pub(super) fn finish(
        &mut self,
        number: u64,
        outcome: Result<&ChatReply, &CallError>,
        has_waiters: bool,
        now: Timestamp,
    ) {
        let saturated = has_waiters || self.in_flight() >= self.concurrency.limit();
        if self.in_flight.get(&number).is_some_and(|call| call.position == NOT_SENT) {
            self.mark_sent(number);
        }
        let Some(mut call) = self.in_flight.remove(&number) else { return };
        if number <= self.reset_after_call {
            return;
        }
        let rate_limits = match outcome {
            Ok(reply) => {
                self.estimator.learn(call.size, reply);
                replace_estimate(&mut call.cost, reply);
                self.replied(number, call, (saturated, has_waiters), now);
                reply.rate_limits.as_deref()
            }
            Err(error) => {
                match error.decision {
                    Decision::Wait { until, .. } => self.refused(number, call, error, until, now),
                    // It passed the limit, or it says nothing about it.
                    Decision::GiveUp(_) if self.stop.accepted(number) => self.resume(now),
                    Decision::GiveUp(_) => {}
                    Decision::Retry => self.stop.ended_undecided(number, now),
                }
                error.rate_limits.as_deref()
            }
        };
        let rate_limits = rate_limits.map(by_kind).unwrap_or_default();
        for ((window, reported), cost) in self.windows.iter_mut().zip(rate_limits).zip(call.cost) {
            match (window.as_mut(), reported) {
                (known, Some(limit))
                    if known.as_ref().is_none_or(|known| call.position > known.position()) =>
                {
                    let known = known.as_deref();
                    *window = Some(Window::reported(known, &limit, number, call.position, now));
                }
                // An older report than the known one, which includes this call already.
                (Some(known), Some(_)) => known.ended(number, call.position, 0, now),
                (Some(known), None)
                    if outcome.is_ok() && known.is_outdated_by(call.position, now) =>
                {
                    *window = None;
                }
                (Some(known), None) => known.ended(number, call.position, cost, now),
                (None, _) => {}
            }
        }
    }

    /// Learns from a reply.
    fn replied(
        &mut self,
        number: u64,
        call: InFlight,
        (saturated, has_waiters): (bool, bool),
        now: Timestamp,
    ) {
        self.last_success = Some(now);
        if self.stop.accepted(number) {
            self.resume(now);
        }
        if self.refusals.is_new(call.position) {
            self.rate.count(false, now);
        }
        if self.stop.is_none() {
            self.concurrency.accepted(saturated, !self.rate.is_holding());
            self.rate.accepted(has_waiters, now);
        }
    }

    /// Learns from a 429 or 529. Its Retry-After is `until`.
    fn refused(
        &mut self,
        number: u64,
        call: InFlight,
        error: &CallError,
        until: Option<Timestamp>,
        now: Timestamp,
    ) {
        let position = call.position;
        self.concurrency.refused();
        self.rate.refused(call.reserved_at, position);
        if self.stop.refused(number, until, now) {
            self.concurrency.trial_refused(self.in_flight());
        }
        // A window that the response reports as exhausted makes the other calls wait.
        if reports_exhausted_limit(error) {
            return;
        }
        if self.refusals.is_new(position) {
            self.rate.count(true, now);
        }
        let (usual, above_proven) = (self.rate.usual_refusals(), self.rate.is_above_proven());
        let evidence = self.refusals.refused(position, usual, above_proven);
        let Some(evidence) = evidence.filter(|_| self.stop.is_none()) else { return };
        self.rate.limit_reached(evidence, call.reserved_at, position, now);
        self.concurrency.limit_reached(self.in_flight());
        self.refusals.disregard_earlier();
        if evidence == Evidence::Streak {
            // A provider that never replied is not flaky.
            self.stop.begin(until.filter(|_| self.last_success.is_none()), now);
        }
    }

    /// Continues after a stop.
    fn resume(&mut self, now: Timestamp) {
        self.refusals.disregard_earlier();
        self.concurrency.resume();
        self.rate.resume(self.sent, now);
    }

    /// When a call succeeded last.
    pub(super) fn last_success(&self) -> Option<Timestamp> {
        self.last_success
    }

    /// The number of concurrent calls that the model accepts, if it is known.
    pub(super) fn learned_concurrency(&self) -> Option<u32> {
        self.concurrency.learned()
    }

    /// Forgets the limits of an edited connection. The outcomes of calls in flight are
    /// ignored.
    pub(super) fn reset(&mut self) {
        let Self { in_flight, last, sent, last_size, .. } = std::mem::take(self);
        *self =
            Self { in_flight, last, sent, last_size, reset_after_call: last, ..Self::default() };
    }

    /// The requests in flight that the last reported limit does not include, and the
    /// reported remainder, while it is valid.
    #[cfg(test)]
    pub(super) fn unreported(&self, now: Timestamp) -> Option<(usize, f64)> {
        let window = self.windows[0].as_ref()?;
        let calls = self.in_flight.values().filter(|call| call.position > window.position());
        Some((calls.count(), window.remaining(now)?))
    }

    pub(super) fn in_flight(&self) -> u32 {
        u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX)
    }
}
