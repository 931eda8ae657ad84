//! Retry budgets, so that retries do not multiply the load of an outage. A budget
//! starts with 10 retries, and each success adds a tenth of one. Each user has a budget
//! per connection, also on connections that the server shares among users.

use super::eviction::EvictionSchedule;
use domain::{ConnectionId, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;

const INITIAL_RETRIES: u32 = 10;
const MAX_RETRIES: u32 = 20;
/// Budgets are stored in tenths of a retry.
const TENTHS: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct RetryBudgets {
    budgets: Mutex<Budgets>,
}

#[derive(Debug, Default)]
struct Budgets {
    /// In tenths of a retry.
    left: HashMap<(UserId, ConnectionId), u32>,
    eviction: EvictionSchedule,
}

impl RetryBudgets {
    /// Adds a tenth of a retry after a success.
    pub(super) fn deposit(&self, user: UserId, connection: ConnectionId) {
        let mut budgets = self.budgets.lock();
        let budget = budgets.get_or_insert(user, connection);
        *budget = (*budget + 1).min(MAX_RETRIES * TENTHS);
        update_metric(&budgets.left);
    }

    /// Takes one retry. Returns false if none is left.
    pub(super) fn withdraw(&self, user: UserId, connection: ConnectionId) -> bool {
        let mut budgets = self.budgets.lock();
        let budget = budgets.get_or_insert(user, connection);
        let rest = budget.checked_sub(TENTHS);
        *budget = rest.unwrap_or(*budget);
        update_metric(&budgets.left);
        rest.is_some()
    }

    /// The whole retries left.
    pub(super) fn left(&self, user: UserId, connection: ConnectionId) -> u32 {
        let left = self.budgets.lock().left.get(&(user, connection)).copied();
        left.unwrap_or(INITIAL_RETRIES * TENTHS) / TENTHS
    }

    /// Resets the budgets of all users on an edited connection.
    pub(super) fn reset(&self, connection: ConnectionId) {
        self.budgets.lock().left.retain(|(_, of), _| *of != connection);
    }
}

impl Budgets {
    fn get_or_insert(&mut self, user: UserId, connection: ConnectionId) -> &mut u32 {
        let Self { left, eviction } = self;
        // Evicting a full budget loses at most the retries above the initial ones.
        if !left.contains_key(&(user, connection)) && eviction.is_due() {
            left.retain(|_, left| *left < INITIAL_RETRIES * TENTHS);
        }
        left.entry((user, connection)).or_insert(INITIAL_RETRIES * TENTHS)
    }
}

/// Exports the smallest budget.
fn update_metric(left: &HashMap<(UserId, ConnectionId), u32>) {
    let least = left.values().copied().min().unwrap_or(INITIAL_RETRIES * TENTHS);
    metrics::gauge!("rehearsal_retry_budget_least").set(f64::from(least) / f64::from(TENTHS));
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn connection(n: u128) -> ConnectionId {
        ConnectionId(Uuid::from_u128(n))
    }

    #[test]
    fn starts_with_ten_retries_and_earns_one_per_ten_successes() {
        let (budgets, me, one) = (RetryBudgets::default(), user(1), connection(1));
        assert_eq!((0..20).filter(|_| budgets.withdraw(me, one)).count(), 10);
        (0..9).for_each(|_| budgets.deposit(me, one));
        assert!(!budgets.withdraw(me, one));
        budgets.deposit(me, one);
        assert!(budgets.withdraw(me, one) && !budgets.withdraw(me, one));
        assert!(budgets.withdraw(me, connection(2)), "each connection has its own");
        assert!(budgets.withdraw(user(2), one), "and each user");
    }

    #[test]
    fn budget_is_capped_and_reset_by_edit() {
        let (budgets, me, one) = (RetryBudgets::default(), user(1), connection(1));
        (0..10_000).for_each(|_| budgets.deposit(me, one));
        assert_eq!(budgets.left(me, one), MAX_RETRIES);
        assert!(budgets.withdraw(user(2), one));
        budgets.reset(one);
        assert_eq!(
            (budgets.left(me, one), budgets.left(user(2), one)),
            (INITIAL_RETRIES, INITIAL_RETRIES)
        );
    }

    #[test]
    fn full_budgets_are_evicted_and_others_kept() {
        let (budgets, one) = (RetryBudgets::default(), connection(1));
        assert!(budgets.withdraw(user(0), one));
        (1..10_000).for_each(|n| budgets.deposit(user(n), one));
        assert!(budgets.budgets.lock().left.len() <= 1001);
        assert_eq!(budgets.left(user(0), one), INITIAL_RETRIES - 1);
    }
}
