//! Tests of the learned rate.

use super::*;

const T0: Timestamp = Timestamp(1_000_000);

fn after(millis: u64) -> Timestamp {
    T0.plus(Duration::from_millis(millis))
}

/// A rate that holds at 10 calls per second since 2 s: between two refusals, 20 calls
/// were accepted in 1.9 s.
fn holding() -> LearnedRate {
    let mut rate = LearnedRate::default();
    rate.refused(after(100), 1);
    rate.refused(after(2_000), 22);
    rate.limit_reached(Evidence::Share, after(2_000), 22, after(2_000));
    rate
}

fn per_second(rate: &LearnedRate) -> f64 {
    rate.pace.map_or(f64::INFINITY, |pace| pace.rate())
}

/// Accepts calls at the end of the hold and after it.
fn grow(rate: &mut LearnedRate, calls: u32, now: Timestamp) {
    for _ in 0..calls {
        rate.count(false, now);
        rate.accepted(true, now);
    }
}

#[test]
fn accepted_calls_between_refusals_prove_a_rate() {
    let rate = holding();
    assert!((per_second(&rate) - 10.0).abs() < 1e-9, "{}", per_second(&rate));
    assert_eq!(rate.ready(after(2_000)), Ready::At(after(2_100)));
    let mut few = LearnedRate::default();
    few.refused(after(100), 1);
    few.refused(after(900), 8);
    few.limit_reached(Evidence::Streak, after(900), 8, after(900));
    assert_eq!(few.ready(after(900)), Ready::Now, "six calls prove nothing");
}

#[test]
fn rate_grows_after_the_hold_while_calls_wait() {
    let mut rate = holding();
    grow(&mut rate, 20, after(4_999));
    assert!((per_second(&rate) - 10.0).abs() < 1e-9);
    rate.count(false, after(5_000));
    rate.accepted(false, after(5_000));
    assert!((per_second(&rate) - 10.0).abs() < 1e-9, "no call waits");
    grow(&mut rate, 11, after(5_000));
    assert!((19.0..20.0).contains(&per_second(&rate)), "{}", per_second(&rate));
}

#[test]
fn failed_try_returns_to_the_rate_before() {
    let mut rate = holding();
    grow(&mut rate, 12, after(5_000));
    rate.refused(after(5_500), 60);
    rate.limit_reached(Evidence::Share, after(5_500), 60, after(5_500));
    let tried = per_second(&rate);
    assert!((13.0..15.0).contains(&tried) && rate.is_above_proven(), "{tried}");
    rate.limit_reached(Evidence::Share, after(6_500), 70, after(6_500));
    let held = per_second(&rate);
    assert!((10.0..tried).contains(&held) && !rate.is_above_proven(), "{held}");
}

#[test]
fn refusals_that_remain_at_a_lower_rate_are_usual() {
    let mut rate = holding();
    (0..40).for_each(|n| rate.count(n % 4 == 0, after(2_500)));
    rate.limit_reached(Evidence::Share, after(2_500), 62, after(2_500));
    assert_eq!(rate.usual_refusals(), 0.0, "first the rate is reduced");
    (0..40).for_each(|n| rate.count(n % 4 == 0, after(3_000)));
    rate.limit_reached(Evidence::Share, after(3_000), 102, after(3_000));
    assert!((rate.usual_refusals() - 0.25).abs() < 1e-9);
}
