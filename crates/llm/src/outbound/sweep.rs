//! When memory that grows with names and people is swept out.

/// New entries between two sweeps: a sweep looks at all of them, so it must
/// be rare.
const EVERY: usize = 1000;

/// Counts what came in since the last sweep.
#[derive(Debug, Default)]
pub(super) struct Sweep(usize);

impl Sweep {
    /// One more entry comes in; true when it is time to sweep before.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.0 >= EVERY;
        self.0 = if due { 1 } else { self.0 + 1 };
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_a_thousand() {
        let mut sweep = Sweep::default();
        let due: Vec<usize> = (1..=3000).filter(|_| sweep.is_due()).collect();
        assert_eq!(due, [1001, 2001]);
    }
}
