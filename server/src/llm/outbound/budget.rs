//! Retries that a connection has left, so that an outage is not multiplied:
//! 10 at the start, and a tenth of one for every success.

use app::domain::ConnectionId;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Retries at the start.
const AT_START: u32 = 10;
/// Most that can be saved up: a quiet week must not pay for a storm.
const MOST: u32 = 20;
/// Kept in tenths, exactly.
const TENTHS: u32 = 10;

/// The budgets of all connections.
#[derive(Debug, Default)]
pub(super) struct RetryBudgets {
    /// In tenths of a retry.
    left: Mutex<HashMap<ConnectionId, u32>>,
}

impl RetryBudgets {
    /// A success pays a tenth of a retry in.
    pub(super) fn deposit(&self, connection: ConnectionId) {
        let mut left = self.left.lock();
        let mine = left.entry(connection).or_insert(AT_START * TENTHS);
        *mine = (*mine + 1).min(MOST * TENTHS);
        shown(&left);
    }

    /// Takes one retry; false if none is left.
    pub(super) fn withdraw(&self, connection: ConnectionId) -> bool {
        let mut left = self.left.lock();
        let mine = left.entry(connection).or_insert(AT_START * TENTHS);
        let rest = mine.checked_sub(TENTHS);
        *mine = rest.unwrap_or(*mine);
        shown(&left);
        rest.is_some()
    }

    /// Whole retries left.
    pub(super) fn left(&self, connection: ConnectionId) -> u32 {
        self.left.lock().get(&connection).copied().unwrap_or(AT_START * TENTHS) / TENTHS
    }

    /// Starts anew: the connection was edited.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.left.lock().remove(&connection);
    }
}

/// The least that any connection has left, as a metric.
fn shown(left: &HashMap<ConnectionId, u32>) {
    let least = left.values().copied().min().unwrap_or(AT_START * TENTHS);
    metrics::gauge!("rehearsal_retry_budget_least").set(f64::from(least) / f64::from(TENTHS));
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn ten_at_the_start_then_one_for_every_ten_successes() {
        let (budgets, one) = (RetryBudgets::default(), ConnectionId(Uuid::from_u128(1)));
        assert_eq!((0..20).filter(|_| budgets.withdraw(one)).count(), 10);
        (0..9).for_each(|_| budgets.deposit(one));
        assert!(!budgets.withdraw(one));
        budgets.deposit(one);
        assert!(budgets.withdraw(one) && !budgets.withdraw(one));
        assert!(budgets.withdraw(ConnectionId(Uuid::from_u128(2))), "each has its own");
    }

    #[test]
    fn savings_are_capped_and_forgotten() {
        let (budgets, one) = (RetryBudgets::default(), ConnectionId(Uuid::from_u128(1)));
        (0..10_000).for_each(|_| budgets.deposit(one));
        assert_eq!(budgets.left(one), MOST);
        budgets.forget(one);
        assert_eq!(budgets.left(one), AT_START);
    }
}
