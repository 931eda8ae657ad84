//! Repeated runs of one scenario, or all runs of a suite.

/// The 97.5th percentile of the standard normal distribution, for intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How many runs were judged, and how many of them passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    passed: u32,
    judged: u32,
}

/// An interval of a rate; both ends are between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Repeats {
    #[must_use]
    pub fn new(passed: u32, failed: u32) -> Self {
        Self { passed, judged: passed.saturating_add(failed) }
    }

    #[must_use]
    pub fn passed(self) -> u32 {
        self.passed
    }

    /// The number of runs that passed or failed.
    #[must_use]
    pub fn judged(self) -> u32 {
        self.judged
    }

    /// passed / judged; `None` if no run was judged.
    #[must_use]
    pub fn pass_rate(self) -> Option<f64> {
        (self.judged > 0).then(|| f64::from(self.passed) / f64::from(self.judged))
    }

    /// Whether some runs passed and some failed.
    #[must_use]
    pub fn is_flaky(self) -> bool {
        0 < self.passed && self.passed < self.judged
    }

    /// The Wilson score interval of the pass rate at 95 %, without continuity correction
    /// (E. B. Wilson 1927). Unlike the normal approximation it is usable for few runs and
    /// for rates of 0 and 1. `None` if no run was judged.
    #[must_use]
    pub fn interval(self) -> Option<Interval> {
        let rate = self.pass_rate()?;
        let n = f64::from(self.judged);
        let z2 = Z * Z;
        let center = rate + z2 / (2.0 * n);
        let margin = Z * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        // Rounding would otherwise leave a rest beside 0 and 1.
        let low = if self.passed == 0 { 0.0 } else { ((center - margin) / scale).max(0.0) };
        let high =
            if self.passed == self.judged { 1.0 } else { ((center + margin) / scale).min(1.0) };
        Some(Interval { low, high })
    }

    /// pass^k: the unbiased estimate of the probability that `k` runs all pass
    /// (Yao et al. 2024, arXiv:2406.12045). `None` unless `k` is between 1 and the number of
    /// judged runs.
    #[must_use]
    pub fn pass_hat_k(self, k: u32) -> Option<f64> {
        self.share_of_selections(self.passed, k)
    }

    /// pass@k: the unbiased estimate of the probability that at least one of `k` runs passes
    /// (Chen et al. 2021, arXiv:2107.03374). `None` unless `k` is between 1 and the number
    /// of judged runs.
    #[must_use]
    pub fn pass_at_k(self, k: u32) -> Option<f64> {
        self.share_of_selections(self.judged - self.passed, k).map(|all_fail| 1.0 - all_fail)
    }

    /// The share of the selections of `k` judged runs that take only from `wanted` runs:
    /// C(wanted, k) / C(judged, k).
    fn share_of_selections(self, wanted: u32, k: u32) -> Option<f64> {
        if k == 0 || k > self.judged {
            return None;
        }
        let factor = |i| f64::from(wanted.saturating_sub(i)) / f64::from(self.judged - i);
        Some((0..k).map(factor).product())
    }
}

#[cfg(test)]
mod tests {
    use super::Repeats;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    // R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics
    // in Medicine 17 (1998), table I, method 3.
    #[case(81, 263, 0.2553, 0.3662)]
    #[case(15, 148, 0.0624, 0.1605)]
    #[case(0, 20, 0.0000, 0.1611)]
    #[case(1, 29, 0.0061, 0.1718)]
    // The complement of the third case.
    #[case(20, 20, 0.8389, 1.0000)]
    fn interval_matches_published_values(
        #[case] passed: u32,
        #[case] judged: u32,
        #[case] low: f64,
        #[case] high: f64,
    ) {
        let interval = Repeats::new(passed, judged - passed).interval().unwrap();
        assert!((interval.low - low).abs() < 0.000_05, "{interval:?}");
        assert!((interval.high - high).abs() < 0.000_05, "{interval:?}");
    }

    #[rstest]
    // passed, judged, k → pass^k, pass@k, by counting the selections by hand:
    // 2 of 4 pass: one of the 6 pairs passes as a whole, and one fails as a whole.
    #[case(2, 4, 2, Some(1.0 / 6.0), Some(5.0 / 6.0))]
    #[case(2, 4, 1, Some(0.5), Some(0.5))]
    #[case(2, 4, 3, Some(0.0), Some(1.0))]
    // 3 of 5 pass: one of the 10 triples passes as a whole, and none fails as a whole.
    #[case(3, 5, 3, Some(0.1), Some(1.0))]
    #[case(4, 4, 4, Some(1.0), Some(1.0))]
    #[case(0, 3, 2, Some(0.0), Some(0.0))]
    #[case(2, 4, 5, None, None)]
    #[case(2, 4, 0, None, None)]
    #[case(0, 0, 1, None, None)]
    fn k_of_n_counts_selections(
        #[case] passed: u32,
        #[case] judged: u32,
        #[case] k: u32,
        #[case] all: Option<f64>,
        #[case] any: Option<f64>,
    ) {
        let repeats = Repeats::new(passed, judged - passed);
        let is_close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        };
        assert!(is_close(repeats.pass_hat_k(k), all), "{:?}", repeats.pass_hat_k(k));
        assert!(is_close(repeats.pass_at_k(k), any), "{:?}", repeats.pass_at_k(k));
    }

    #[rstest]
    #[case(0, 0, false)]
    #[case(0, 3, false)]
    #[case(3, 0, false)]
    #[case(1, 0, false)]
    #[case(1, 2, true)]
    #[case(2, 1, true)]
    fn flaky_means_that_runs_disagree(
        #[case] passed: u32,
        #[case] failed: u32,
        #[case] flaky: bool,
    ) {
        assert_eq!(Repeats::new(passed, failed).is_flaky(), flaky);
    }

    #[test]
    fn nothing_judged_has_no_rate_and_no_interval() {
        let none = Repeats::new(0, 0);
        assert_eq!((none.pass_rate(), none.interval()), (None, None));
    }

    proptest! {
        #[test]
        fn interval_contains_the_rate_and_is_symmetric(passed in 0u32..500, failed in 0u32..500) {
            prop_assume!(passed + failed > 0);
            let repeats = Repeats::new(passed, failed);
            let (rate, interval) = (repeats.pass_rate().unwrap(), repeats.interval().unwrap());
            prop_assert!(0.0 <= interval.low && interval.low <= rate);
            prop_assert!(rate <= interval.high && interval.high <= 1.0);
            let mirrored = Repeats::new(failed, passed).interval().unwrap();
            prop_assert!((interval.low - (1.0 - mirrored.high)).abs() < 1e-9);
        }

        #[test]
        fn interval_shrinks_with_more_runs(passed in 1u32..50, failed in 1u32..50) {
            let width = |repeats: Repeats| {
                let interval = repeats.interval().unwrap();
                interval.high - interval.low
            };
            let more = Repeats::new(passed * 4, failed * 4);
            prop_assert!(width(more) < width(Repeats::new(passed, failed)));
        }

        #[test]
        fn k_of_n_stays_between_0_and_1_and_is_ordered(
            passed in 0u32..30, failed in 0u32..30, k in 1u32..30,
        ) {
            let repeats = Repeats::new(passed, failed);
            prop_assume!(k <= repeats.judged());
            let all = repeats.pass_hat_k(k).unwrap();
            let any = repeats.pass_at_k(k).unwrap();
            let rate = repeats.pass_rate().unwrap();
            prop_assert!(0.0 <= all && all <= rate + 1e-12);
            prop_assert!(rate <= any + 1e-12 && any <= 1.0);
        }
    }
}
