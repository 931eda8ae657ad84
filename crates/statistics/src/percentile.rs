//! Percentiles of observed values.

/// The `percent`th percentile by the nearest-rank method: the smallest value that at least
/// `percent` % of the values do not exceed. So the result is a value that was observed.
/// `None` without values. `values` must be sorted.
#[must_use]
pub fn percentile(values: &[u64], percent: u32) -> Option<u64> {
    let count = values.len() as u64;
    let rank = (count * u64::from(percent.min(100))).div_ceil(100).max(1);
    values.get(usize::try_from(rank - 1).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    // The worked examples of the nearest-rank method on
    // https://en.wikipedia.org/wiki/Percentile
    #[case(&[15, 20, 35, 40, 50], 5, Some(15))]
    #[case(&[15, 20, 35, 40, 50], 30, Some(20))]
    #[case(&[15, 20, 35, 40, 50], 40, Some(20))]
    #[case(&[15, 20, 35, 40, 50], 50, Some(35))]
    #[case(&[15, 20, 35, 40, 50], 100, Some(50))]
    #[case(&[3, 6, 7, 8, 8, 10, 13, 15, 16, 20], 25, Some(7))]
    #[case(&[3, 6, 7, 8, 8, 10, 13, 15, 16, 20], 75, Some(15))]
    #[case(&[7], 0, Some(7))]
    #[case(&[7, 9], 200, Some(9))]
    #[case(&[], 50, None)]
    fn nearest_rank(#[case] values: &[u64], #[case] percent: u32, #[case] expected: Option<u64>) {
        assert_eq!(percentile(values, percent), expected);
    }

    proptest! {
        #[test]
        fn enough_values_are_not_larger(
            mut values in prop::collection::vec(0u64..1000, 1..200), percent in 1u32..=100,
        ) {
            values.sort_unstable();
            let result = percentile(&values, percent).unwrap();
            let not_larger = values.iter().filter(|value| **value <= result).count();
            let smaller = values.iter().filter(|value| **value < result).count();
            let percent = usize::try_from(percent).unwrap();
            prop_assert!(not_larger * 100 >= values.len() * percent);
            prop_assert!(smaller * 100 < values.len() * percent);
        }
    }
}
