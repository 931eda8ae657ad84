//! What may go to one model, by tables and by properties.

use super::bucket::Bucket;
use super::size::Size;
use super::window::Ready;
use crate::rate_headers::{RateLimit, RateLimits};
use crate::testing::reply;
use llm_types::{CallError, ChatReply, Decision};
use domain::{ErrorKind, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

const T0: Timestamp = Timestamp(1_000_000);
const SMALL: Size = Size { chars: 40, max_tokens: 100 };

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

fn limit(limit: u64, remaining: u64, reset: u64) -> Option<RateLimit> {
    Some(RateLimit { limit, remaining, reset: Some(at(reset)), period: None })
}

fn answer(told: RateLimits) -> ChatReply {
    ChatReply { told: Some(Box::new(told)), ..reply(10, 20) }
}

fn throttle(until: Option<Timestamp>) -> CallError {
    CallError::new(Decision::Wait { until, overloaded: false }, "slow down")
}

impl Bucket {
    /// A call gets leave and goes out at once.
    fn go(&mut self, now: Timestamp) -> u64 {
        let number = self.take(SMALL, now);
        self.sent(number);
        number
    }

    fn may(&self, now: Timestamp) -> Ready {
        self.ready(SMALL, false, now)
    }
}

#[test]
fn eight_at_once_until_something_is_known() {
    let mut bucket = Bucket::default();
    for _ in 0..8 {
        assert_eq!(bucket.may(T0), Ready::Now);
        bucket.go(T0);
    }
    assert_eq!((bucket.may(T0), bucket.dry(T0)), (Ready::Later, None));
    assert_eq!(bucket.ready(SMALL, true, T0), Ready::Now, "a person is not kept waiting");
    bucket.unsent(3, T0);
    assert_eq!(bucket.may(T0), Ready::Now);
}

#[test]
fn retry_after_is_a_floor_that_never_sinks() {
    let mut bucket = Bucket::default();
    for until in [Some(at(30)), Some(at(10)), None] {
        let call = bucket.go(T0);
        bucket.done(call, Err(&throttle(until)), false, T0);
        assert_eq!(bucket.may(T0), Ready::At(at(30)));
    }
    assert_eq!(bucket.ready(SMALL, true, T0), Ready::At(at(30)), "for a person as well");
    assert_eq!(bucket.may(at(30)), Ready::Now);
    let call = bucket.go(at(30));
    bucket.done(call, Err(&throttle(Some(at(30)))), false, at(30));
    assert_eq!(bucket.may(at(30)), Ready::At(at(30).plus(Duration::from_millis(250))));
}

#[test]
fn what_is_told_counts_from_the_call_that_was_told_it() {
    let mut bucket = Bucket::default();
    let calls: Vec<u64> = (0..4).map(|_| bucket.go(T0)).collect();
    let told = |left| answer(RateLimits { requests: limit(50, left, 60), ..RateLimits::default() });
    // The second call's news: 8 left, and two more are out.
    bucket.done(calls[1], Ok(&told(8)), false, T0);
    assert_eq!(bucket.may(T0), Ready::Now, "8 - 2 - 5");
    bucket.go(T0);
    assert_eq!(bucket.may(T0), Ready::At(at(60)));
    // Older news changes nothing; newer news does.
    bucket.done(calls[0], Ok(&told(40)), false, T0);
    assert_eq!(bucket.may(T0), Ready::At(at(60)));
    bucket.done(calls[3], Ok(&told(9)), false, T0);
    assert_eq!(bucket.may(T0), Ready::Now);
}

#[test]
fn what_counts_is_when_a_call_goes_out_not_when_it_got_leave() {
    let mut bucket = Bucket::default();
    let told = |left| answer(RateLimits { requests: limit(10, left, 60), ..RateLimits::default() });
    // The first has leave, and goes after the second was told.
    let (first, second) = (bucket.take(SMALL, T0), bucket.go(T0));
    bucket.done(second, Ok(&told(2)), false, T0);
    assert_eq!(bucket.may(T0), Ready::At(at(60)), "2, one reserved, one with leave");
    bucket.sent(first);
    bucket.done(first, Ok(&told(8)), false, T0);
    assert_eq!(bucket.may(T0), Ready::Now, "it went last, so what it was told holds");
}

#[test]
fn tokens_are_estimated_before_and_corrected_after() {
    let mut bucket = Bucket::default();
    let call = bucket.go(T0);
    let told = RateLimits { tokens: limit(1000, 420, 60), ..RateLimits::default() };
    bucket.done(call, Ok(&answer(told)), false, T0);
    // 10 in + 100 at most out, twice, of 420 - 100.
    let calls = [bucket.go(T0), bucket.go(T0)];
    assert_eq!(bucket.may(T0), Ready::At(at(60)), "a third would not fit");
    for call in calls {
        bucket.done(call, Ok(&reply(10, 20)), false, T0);
    }
    assert_eq!(bucket.may(T0), Ready::Now, "30 each were used");
    let huge = Size { chars: 1_000_000, max_tokens: 1 };
    assert_eq!(bucket.ready(huge, false, T0), Ready::At(at(60)));
    assert_eq!(bucket.ready(huge, false, at(60)), Ready::Now, "too large for any window");
}

#[test]
fn an_edit_forgets_what_was_learned() {
    let mut bucket = Bucket::default();
    let (call, late) = (bucket.go(T0), bucket.go(T0));
    bucket.done(call, Err(&throttle(Some(at(3600)))), false, T0);
    bucket.forget();
    assert_eq!((bucket.may(T0), bucket.in_flight()), (Ready::Now, 1));
    bucket.done(late, Err(&throttle(Some(at(3600)))), false, T0);
    assert_eq!((bucket.may(T0), bucket.in_flight()), (Ready::Now, 0), "of the old key");
}

#[test]
fn limits_that_are_told_with_a_refusal_alone_end_with_their_reset() {
    let mut bucket = Bucket::default();
    let told = Some(Box::new(RateLimits { requests: limit(50, 0, 60), ..RateLimits::default() }));
    let call = bucket.go(T0);
    bucket.done(call, Err(&CallError { told, ..throttle(None) }), false, T0);
    assert_eq!(bucket.may(T0), Ready::At(at(60)));
    let scout = bucket.go(at(60));
    assert_ne!(bucket.may(at(60)), Ready::Now, "one looks");
    bucket.done(scout, Ok(&reply(10, 20)), false, at(61));
    bucket.go(at(61));
    assert_eq!(bucket.may(at(61)), Ready::Now, "an answer without a word: nothing holds any more");
}

#[derive(Clone, Debug)]
enum Act {
    Ask,
    Answer(usize, Option<u64>),
    Refuse(usize, Option<u64>),
    Fail(usize),
    Drop(usize),
    Unsent(usize),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let told = || proptest::option::of(0..100_u64);
    prop_oneof![
        6 => Just(Act::Ask),
        4 => (0..64_usize, told()).prop_map(|(n, told)| Act::Answer(n, told)),
        1 => (0..64_usize, told()).prop_map(|(n, until)| Act::Refuse(n, until)),
        1 => (0..64_usize).prop_map(Act::Fail),
        1 => (0..64_usize).prop_map(Act::Drop),
        1 => (0..64_usize).prop_map(Act::Unsent),
        2 => (1..90_000_u64).prop_map(Act::Pass),
    ]
}

proptest! {
    /// Never more than 64 out, nor more than was told to be left; every
    /// place comes back; and whatever happened, somebody may go on.
    #[test]
    fn a_bucket_neither_overflows_nor_dries_up(acts in proptest::collection::vec(act(), 1..400)) {
        let (mut bucket, mut now, mut out) = (Bucket::default(), T0, Vec::new());
        for act in acts {
            let pick = |n: usize, out: &mut Vec<u64>| (!out.is_empty()).then(|| { let n = n % out.len(); out.remove(n) });
            match act {
                Act::Ask if bucket.ready(SMALL, false, now) == Ready::Now => {
                    out.push(bucket.go(now));
                    if let Some((unknown, left)) = bucket.unknown(now) {
                        prop_assert!(unknown as f64 + 10.0 <= left, "{unknown} of {left}");
                    }
                }
                Act::Ask => {}
                Act::Pass(millis) => now = now.plus(Duration::from_millis(millis)),
                Act::Answer(n, told) => if let Some(call) = pick(n, &mut out) {
                    let reset = Some(now.plus(Duration::from_secs(20)));
                    let told = told.map(|remaining| Box::new(RateLimits { requests: Some(RateLimit { limit: 100, remaining, reset, period: None }), ..RateLimits::default() }));
                    bucket.done(call, Ok(&ChatReply { told, ..reply(1, 1) }), true, now);
                },
                Act::Refuse(n, until) => if let Some(call) = pick(n, &mut out) {
                    let until = until.map(|s| now.plus(Duration::from_secs(s)));
                    bucket.done(call, Err(&throttle(until)), true, now);
                },
                Act::Fail(n) => if let Some(call) = pick(n, &mut out) {
                    let error = CallError::new(Decision::GiveUp(ErrorKind::ProviderRejected), "no");
                    bucket.done(call, Err(&error), true, now);
                },
                Act::Drop(n) => if let Some(call) = pick(n, &mut out) { bucket.dropped(call, now) },
                Act::Unsent(n) => if let Some(call) = pick(n, &mut out) { bucket.unsent(call, now) },
            }
            prop_assert!(bucket.in_flight() <= super::crowd::MOST);
            prop_assert_eq!(bucket.in_flight() as usize, out.len());
        }
        for call in out { bucket.unsent(call, now); }
        prop_assert_eq!(bucket.in_flight(), 0);
        let ready = bucket.ready(SMALL, false, now);
        prop_assert!(ready != Ready::Later, "nobody is out, so nobody can be waited for");
        let late = now.plus(Duration::from_secs(3600));
        prop_assert_eq!(bucket.ready(SMALL, false, late), Ready::Now);
    }
}
