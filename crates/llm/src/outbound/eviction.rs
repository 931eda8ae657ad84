//! Schedules the eviction of unused entries from maps that grow with user-supplied keys.

/// The number of insertions between two evictions. An eviction visits all entries, so
/// it has to be rare.
const INTERVAL: usize = 1000;

/// Counts the insertions since the last eviction.
#[derive(Debug, Default)]
pub(super) struct EvictionSchedule(usize);

impl EvictionSchedule {
    /// Counts an insertion. Returns whether to evict before it.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.0 >= INTERVAL;
        self.0 = if due { 1 } else { self.0 + 1 };
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_is_due_every_thousand_insertions() {
        let mut schedule = EvictionSchedule::default();
        let due: Vec<usize> = (1..=3000).filter(|_| schedule.is_due()).collect();
        assert_eq!(due, [1001, 2001]);
    }
}
