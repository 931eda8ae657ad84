//! Tests of one reported rate limit.

use super::*;

const T0: Timestamp = Timestamp(1_000_000);

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

fn limit(limit: u64, remaining: u64, reset: u64) -> RateLimit {
    RateLimit { limit, remaining, reset: Some(at(reset)), period: None }
}

#[test]
fn reserve_is_kept_and_calls_in_flight_count() {
    let window = Window::reported(None, &limit(50, 20, 60), 1, 1, T0);
    assert_eq!(window.ready(1, 14, T0), Ready::Now);
    assert_eq!(window.ready(1, 15, T0), Ready::At(at(60)), "15 + 5 + 1 of 20");
    assert_eq!(window.ready(15, 0, T0), Ready::Now);
    assert_eq!(window.ready(16, 0, T0), Ready::At(at(60)));
}

#[test]
fn one_call_probes_after_reset() {
    let mut window = Window::reported(None, &limit(50, 0, 60), 1, 1, T0);
    assert_eq!(window.ready(1, 0, at(59)), Ready::At(at(60)));
    assert_eq!(window.ready(1, 0, at(60)), Ready::Now);
    window.reserved(2, at(60));
    assert_eq!(
        window.ready(1, 1, at(61)),
        Ready::At(at(70)),
        "another call is the trial if the trial hangs"
    );
    let known = Window::reported(Some(&window), &limit(50, 49, 119), 2, 2, at(62));
    assert_eq!(known.ready(1, 0, at(62)), Ready::Now);
    window.ended(2, 2, 1, at(62));
    assert_eq!(window.ready(1, 0, at(62)), Ready::Now, "the trial ended without a report");
}

#[test]
fn remainder_stays_usable_after_reset() {
    let reset = T0.plus(Duration::from_millis(6));
    let generous = RateLimit { reset: Some(reset), ..limit(10_000, 9_999, 0) };
    let mut window = Window::reported(None, &generous, 1, 1, T0);
    for call in 2..66 {
        assert_eq!(window.ready(1, call - 2, at(1)), Ready::Now, "{call}");
        window.reserved(call, at(1));
    }
}

#[test]
fn huge_numbers_do_not_overflow() {
    let most = i64::MAX.unsigned_abs();
    let first = Window::reported(None, &limit(most, 0, 60), 1, 1, T0);
    let second = Window::reported(Some(&first), &limit(most, 1, 60), 2, 2, T0);
    assert_eq!(second.ready(1, 0, T0), Ready::At(at(60)));
}

#[test]
fn token_bucket_refills_continuously() {
    let bucket = RateLimit { period: Some(Duration::from_secs(60)), ..limit(60, 6, 54) };
    let window = Window::reported(None, &bucket, 1, 1, T0);
    assert_eq!(window.ready(1, 0, T0), Ready::At(at(1)));
    assert_eq!(window.ready(1, 0, at(1)), Ready::Now);
    assert_eq!(window.ready(3, 2, T0), Ready::At(at(5)));
    assert_eq!(window.ready(3, 60, at(500)), Ready::AfterCall, "too much is in flight");
    assert_eq!(window.ready(1_000, 0, T0), Ready::At(at(54)), "when the bucket is full");
    assert_eq!(window.ready(1_000, 0, at(54)), Ready::Now);
}

#[test]
fn resets_distinguish_token_bucket_from_window() {
    // A token bucket of 60 per minute: 1 used is restored in 1 s, 10 in 10 s.
    let first = Window::reported(None, &limit(60, 59, 1), 1, 1, T0);
    assert_eq!(first.refill, Refill::AtReset, "no second sample");
    let second = Window::reported(Some(&first), &limit(60, 50, 10), 2, 2, T0);
    assert_eq!(second.refill, Refill::AtReset, "one agreement is not enough");
    let third = Window::reported(Some(&second), &limit(60, 40, 20), 3, 3, T0);
    assert_eq!(third.refill, Refill::Continuous(Duration::from_secs(60)));
    let same = Window::reported(Some(&third), &limit(60, 39, 15), 4, 4, T0);
    assert_eq!(same.refill, third.refill, "too close to the last sample");
    // A window: the reset does not depend on the usage.
    let other = Window::reported(Some(&third), &limit(60, 20, 20), 4, 4, T0);
    assert_eq!(other.refill, Refill::AtReset);
    let second = third;
    let changed = Window::reported(Some(&second), &limit(90, 80, 10), 4, 4, T0);
    assert_eq!(changed.refill, Refill::AtReset, "another limit starts over");
}

#[test]
fn level_of_silent_token_bucket_is_computed() {
    let bucket = RateLimit { period: Some(Duration::from_secs(60)), ..limit(60, 6, 54) };
    let mut window = Window::reported(None, &bucket, 1, 1, T0);
    // A call whenever it is allowed, without further reports.
    let mut sent = 0;
    for tick in 1..=1000_u64 {
        let now = T0.plus(Duration::from_millis(tick * 100));
        if window.ready(1, 0, now) == Ready::Now {
            sent += 1;
            window.ended(1 + sent, 1 + sent, 1, now);
        }
    }
    assert!((98..=100).contains(&sent), "{sent} in 100 s");
}

#[test]
fn missing_reset_uses_default() {
    let limit = RateLimit { reset: None, ..limit(10, 0, 0) };
    let window = Window::reported(None, &limit, 1, 1, T0);
    assert_eq!(window.ready(1, 0, T0), Ready::At(at(10)));
    assert_eq!(window.ready(1, 0, at(10)), Ready::Now);
}

#[test]
fn unreported_usage_is_subtracted() {
    let mut window = Window::reported(None, &limit(10, 3, 60), 5, 5, T0);
    window.ended(4, 4, 1, T0);
    assert_eq!(window.ready(2, 0, T0), Ready::Now, "call 4 is included in the report");
    window.ended(6, 6, 1, T0);
    assert_eq!(window.ready(2, 0, T0), Ready::At(at(60)));
}
