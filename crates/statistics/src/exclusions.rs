//! Why runs are not counted.

use std::collections::BTreeMap;

/// Runs that are not counted for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exclusion<R> {
    pub reason: R,
    pub runs: u32,
}

/// Groups the reasons, the most frequent first.
pub fn count_exclusions<R: Ord>(reasons: impl IntoIterator<Item = R>) -> Vec<Exclusion<R>> {
    let mut counts = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let mut exclusions: Vec<_> =
        counts.into_iter().map(|(reason, runs)| Exclusion { reason, runs }).collect();
    exclusions.sort_by_key(|exclusion| std::cmp::Reverse(exclusion.runs));
    exclusions
}

#[cfg(test)]
mod tests {
    use super::{Exclusion, count_exclusions};

    #[test]
    fn most_frequent_reason_comes_first_and_ties_are_sorted() {
        let exclusions = count_exclusions(["timeout", "rate", "cancelled", "rate", "cancelled"]);
        let expected = [("cancelled", 2), ("rate", 2), ("timeout", 1)];
        assert_eq!(exclusions, expected.map(|(reason, runs)| Exclusion { reason, runs }));
        assert!(count_exclusions::<&str>([]).is_empty());
    }
}
