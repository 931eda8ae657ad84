//! A limit of the work that one evaluation may spend on searching texts. It counts bytes
//! instead of measuring time, so that the same evaluation always has the same result.

/// Bytes that may be searched: about a second of work.
const BYTES: u64 = 1_000_000_000;
/// Normalizing a byte takes about as long as searching this many.
const NORMALIZATION: u64 = 20;

/// What is left of the work that one evaluation may spend.
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: BYTES }
    }

    #[cfg(test)]
    pub(super) fn of_bytes(left: u64) -> Self {
        Self { left }
    }

    /// Takes the cost of one search; false if the budget does not cover it.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let covered = bytes <= self.left;
        self.left = if covered { self.left - bytes } else { 0 };
        covered
    }

    /// Takes the cost of a normalization with a result of this size.
    pub(super) fn charge_normalization(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(bytes.saturating_mul(NORMALIZATION));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }
}
