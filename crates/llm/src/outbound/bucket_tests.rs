//! Tests of the bucket, with examples and properties.

use super::bucket::Bucket;
use super::token_estimate::RequestSize;
use super::window::Ready;
use crate::rate_headers::{RateLimit, RateLimits};
use crate::testing::reply;
use domain::{ErrorKind, Timestamp};
use llm_types::{CallError, ChatReply, Decision};
use proptest::prelude::*;
use std::time::Duration;

const T0: Timestamp = Timestamp(1_000_000);
const SMALL: RequestSize = RequestSize { bytes: 40, max_tokens: 100 };

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

fn limit(limit: u64, remaining: u64, reset: u64) -> Option<RateLimit> {
    Some(RateLimit { limit, remaining, reset: Some(at(reset)), period: None })
}

fn reply_with(rate_limits: RateLimits) -> ChatReply {
    ChatReply { rate_limits: Some(Box::new(rate_limits)), ..reply(10, 20) }
}

fn throttle(until: Option<Timestamp>) -> CallError {
    CallError::new(Decision::Wait { until, overloaded: false }, "slow down")
}

impl Bucket {
    fn send(&mut self, now: Timestamp) -> u64 {
        let number = self.reserve(SMALL, now);
        self.mark_sent(number);
        number
    }

    fn next(&self, now: Timestamp) -> Ready {
        self.ready(SMALL, false, now)
    }

    fn without_concurrency(&self, now: Timestamp) -> Ready {
        self.ready(SMALL, true, now)
    }

    /// Sends a call that is refused.
    fn refuse(&mut self, until: Option<Timestamp>, now: Timestamp) {
        let call = self.send(now);
        self.finish(call, Err(&throttle(until)), true, now);
    }

    /// Sends a call that gets a reply.
    fn accept(&mut self, now: Timestamp) {
        let call = self.send(now);
        self.finish(call, Ok(&reply(10, 20)), true, now);
    }
}

#[test]
fn initial_concurrency_is_four() {
    let mut bucket = Bucket::default();
    for _ in 0..4 {
        assert_eq!(bucket.next(T0), Ready::Now);
        bucket.send(T0);
    }
    assert_eq!((bucket.next(T0), bucket.exhausted(T0)), (Ready::AfterCall, None));
    assert_eq!(bucket.ready(SMALL, true, T0), Ready::Now, "manual probes are not limited");
    bucket.cancel_unsent(3, T0);
    assert_eq!(bucket.next(T0), Ready::Now);
}

#[test]
fn single_refusals_do_not_stop_bucket() {
    let mut bucket = Bucket::default();
    for second in 0..40 {
        match second % 10 {
            3 | 4 => bucket.refuse(Some(at(86_400)), at(second)),
            _ => bucket.accept(at(second)),
        }
        assert_eq!(bucket.next(at(second)), Ready::Now);
    }
}

#[test]
fn consecutive_refusals_stop_bucket_and_trial_confirms_or_lifts() {
    let mut bucket = Bucket::default();
    bucket.accept(T0);
    (0..3).for_each(|_| bucket.refuse(Some(at(60)), T0));
    let after = |millis| T0.plus(Duration::from_millis(millis));
    assert_eq!(bucket.next(T0), Ready::At(after(250)), "a trial follows soon");
    assert_eq!(bucket.ready(SMALL, true, T0), Ready::Now, "a manual probe is a trial at once");
    bucket.refuse(Some(at(60)), after(250));
    assert_eq!(bucket.next(after(250)), Ready::At(at(60)), "the trial confirms the limit");
    assert_eq!(bucket.exhausted(after(250)), Some(Some(at(60))));
    let trial = bucket.send(at(60));
    assert_eq!(bucket.exhausted(at(60)), Some(Some(at(62))), "one trial at a time");
    bucket.finish(trial, Ok(&reply(10, 20)), true, at(61));
    assert_eq!(bucket.exhausted(at(61)), None);
}

#[test]
fn provider_that_never_replied_is_believed_without_trial() {
    let mut bucket = Bucket::default();
    (0..3).for_each(|_| bucket.refuse(Some(at(60)), T0));
    assert_eq!(bucket.next(T0), Ready::At(at(60)));
}

#[test]
fn refusals_that_report_exhausted_limit_are_left_to_its_window() {
    let mut bucket = Bucket::default();
    bucket.accept(T0);
    let rate_limits =
        Some(Box::new(RateLimits { requests: limit(50, 0, 60), ..RateLimits::default() }));
    let calls: Vec<u64> = (0..3).map(|_| bucket.send(T0)).collect();
    for call in calls {
        let error = CallError { rate_limits: rate_limits.clone(), ..throttle(Some(at(60))) };
        bucket.finish(call, Err(&error), true, T0);
    }
    assert_eq!(bucket.next(T0), Ready::At(at(60)));
    let probe = bucket.send(at(60));
    let rate_limits = RateLimits { requests: limit(50, 49, 120), ..RateLimits::default() };
    bucket.finish(probe, Ok(&reply_with(rate_limits)), true, at(61));
    for _ in 0..4 {
        assert_eq!(bucket.next(at(61)), Ready::Now, "no rate was learned");
        bucket.send(at(61));
    }
}

#[test]
fn report_includes_calls_sent_before_its_own_call() {
    let mut bucket = Bucket::default();
    let calls: Vec<u64> = (0..4).map(|_| bucket.send(T0)).collect();
    let reply_with_remaining =
        |left| reply_with(RateLimits { requests: limit(50, left, 60), ..RateLimits::default() });
    // The second call reports a remainder of 8. Two later calls are in flight.
    bucket.finish(calls[1], Ok(&reply_with_remaining(8)), false, T0);
    assert_eq!(bucket.without_concurrency(T0), Ready::Now, "8 - 2 - 5");
    bucket.send(T0);
    assert_eq!(bucket.without_concurrency(T0), Ready::At(at(60)));
    // An older report is ignored, a newer one replaces the window.
    bucket.finish(calls[0], Ok(&reply_with_remaining(40)), false, T0);
    assert_eq!(bucket.without_concurrency(T0), Ready::At(at(60)));
    bucket.finish(calls[3], Ok(&reply_with_remaining(9)), false, T0);
    assert_eq!(bucket.without_concurrency(T0), Ready::Now);
}

#[test]
fn report_order_is_send_order() {
    let mut bucket = Bucket::default();
    let reply_with_remaining =
        |left| reply_with(RateLimits { requests: limit(10, left, 60), ..RateLimits::default() });
    // The first call is reserved, and sent after the report of the second one.
    let (first, second) = (bucket.reserve(SMALL, T0), bucket.send(T0));
    bucket.finish(second, Ok(&reply_with_remaining(2)), false, T0);
    assert_eq!(bucket.next(T0), Ready::At(at(60)), "2 minus the reserve and the reserved call");
    bucket.mark_sent(first);
    bucket.finish(first, Ok(&reply_with_remaining(8)), false, T0);
    assert_eq!(bucket.next(T0), Ready::Now, "the call that was sent last has the newest report");
}

#[test]
fn token_estimate_is_replaced_by_usage() {
    let mut bucket = Bucket::default();
    let call = bucket.send(T0);
    let rate_limits = RateLimits { tokens: limit(1000, 420, 60), ..RateLimits::default() };
    bucket.finish(call, Ok(&reply_with(rate_limits)), false, T0);
    // Two calls of 10 input tokens and at most 100 output tokens fit into 420 - 100.
    let calls = [bucket.send(T0), bucket.send(T0)];
    assert_eq!(bucket.next(T0), Ready::At(at(60)), "a third would not fit");
    for call in calls {
        bucket.finish(call, Ok(&reply(10, 20)), false, T0);
    }
    assert_eq!(bucket.next(T0), Ready::Now, "each used 30");
    let huge = RequestSize { bytes: 1_000_000, max_tokens: 1 };
    assert_eq!(bucket.ready(huge, false, T0), Ready::At(at(60)));
    assert_eq!(bucket.ready(huge, false, at(60)), Ready::Now, "a call that exceeds the limit");
}

#[test]
fn edit_resets_bucket() {
    let mut bucket = Bucket::default();
    let (call, late) = (bucket.send(T0), bucket.send(T0));
    bucket.finish(call, Err(&throttle(Some(at(3600)))), false, T0);
    bucket.reset();
    assert_eq!((bucket.next(T0), bucket.in_flight()), (Ready::Now, 1));
    bucket.finish(late, Err(&throttle(Some(at(3600)))), false, T0);
    assert_eq!(
        (bucket.next(T0), bucket.in_flight()),
        (Ready::Now, 0),
        "the outcome of the old key is ignored"
    );
}

#[test]
fn limit_reported_only_in_rejections_ends_at_reset() {
    let mut bucket = Bucket::default();
    let rate_limits =
        Some(Box::new(RateLimits { requests: limit(50, 0, 60), ..RateLimits::default() }));
    let call = bucket.send(T0);
    bucket.finish(call, Err(&CallError { rate_limits, ..throttle(None) }), false, T0);
    assert_eq!(bucket.next(T0), Ready::At(at(60)));
    let probe = bucket.send(at(60));
    assert_ne!(bucket.next(at(60)), Ready::Now, "one call probes");
    bucket.finish(probe, Ok(&reply(10, 20)), false, at(61));
    bucket.send(at(61));
    assert_eq!(bucket.next(at(61)), Ready::Now, "a success without a report ends the window");
}

#[derive(Clone, Debug)]
enum Act {
    Send,
    Reply(usize, Option<u64>),
    Throttle(usize, Option<u64>),
    Fail(usize),
    Drop(usize),
    Unsent(usize),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let optional = || proptest::option::of(0..100_u64);
    prop_oneof![
        6 => Just(Act::Send),
        4 => (0..64_usize, optional()).prop_map(|(n, rate_limits)| Act::Reply(n, rate_limits)),
        1 => (0..64_usize, optional()).prop_map(|(n, until)| Act::Throttle(n, until)),
        1 => (0..64_usize).prop_map(Act::Fail),
        1 => (0..64_usize).prop_map(Act::Drop),
        1 => (0..64_usize).prop_map(Act::Unsent),
        2 => (1..90_000_u64).prop_map(Act::Pass),
    ]
}

proptest! {
    /// At most 64 calls, and never more than the reported remainder, are in flight. All
    /// capacity is released, and a call is always allowed eventually.
    #[test]
    fn bucket_neither_overflows_nor_starves(acts in proptest::collection::vec(act(), 1..400)) {
        let (mut bucket, mut now, mut out) = (Bucket::default(), T0, Vec::new());
        for act in acts {
            let pick = |n: usize, out: &mut Vec<u64>| (!out.is_empty()).then(|| { let n = n % out.len(); out.remove(n) });
            match act {
                Act::Send if bucket.ready(SMALL, false, now) == Ready::Now => {
                    out.push(bucket.send(now));
                    if let Some((unknown, left)) = bucket.unreported(now) {
                        prop_assert!(unknown as f64 + 10.0 <= left, "{unknown} of {left}");
                    }
                }
                Act::Send => {}
                Act::Pass(millis) => now = now.plus(Duration::from_millis(millis)),
                Act::Reply(n, rate_limits) => if let Some(call) = pick(n, &mut out) {
                    let reset = Some(now.plus(Duration::from_secs(20)));
                    let rate_limits = rate_limits.map(|remaining| Box::new(RateLimits { requests: Some(RateLimit { limit: 100, remaining, reset, period: None }), ..RateLimits::default() }));
                    bucket.finish(call, Ok(&ChatReply { rate_limits, ..reply(1, 1) }), true, now);
                },
                Act::Throttle(n, until) => if let Some(call) = pick(n, &mut out) {
                    let until = until.map(|s| now.plus(Duration::from_secs(s)));
                    bucket.finish(call, Err(&throttle(until)), true, now);
                },
                Act::Fail(n) => if let Some(call) = pick(n, &mut out) {
                    let error = CallError::new(Decision::GiveUp(ErrorKind::ProviderRejected), "no");
                    bucket.finish(call, Err(&error), true, now);
                },
                Act::Drop(n) => if let Some(call) = pick(n, &mut out) { bucket.cancel_sent(call, now) },
                Act::Unsent(n) => if let Some(call) = pick(n, &mut out) { bucket.cancel_unsent(call, now) },
            }
            prop_assert!(bucket.in_flight() <= super::adaptive_concurrency::MAX_LIMIT);
            prop_assert_eq!(bucket.in_flight() as usize, out.len());
        }
        for call in out { bucket.cancel_unsent(call, now); }
        prop_assert_eq!(bucket.in_flight(), 0);
        let ready = bucket.ready(SMALL, false, now);
        prop_assert!(ready != Ready::AfterCall, "without calls in flight there is nothing to wait for");
        let late = now.plus(Duration::from_secs(3600));
        prop_assert_eq!(bucket.ready(SMALL, false, late), Ready::Now);
    }
}
