//! Retries that a user has left on a connection, so that an outage is not
//! multiplied: 10 at the start, and a tenth of one for every success. Each user
//! has their own, also on a connection that the server offers to all.

use super::sweep::Sweep;
use domain::{ConnectionId, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Retries at the start.
const AT_START: u32 = 10;
/// Most that can be saved up: a quiet week must not pay for a storm.
const MOST: u32 = 20;
/// Kept in tenths, exactly.
const TENTHS: u32 = 10;

/// The budgets of all users on all connections.
#[derive(Debug, Default)]
pub(super) struct RetryBudgets {
    all: Mutex<Budgets>,
}

#[derive(Debug, Default)]
struct Budgets {
    /// In tenths of a retry.
    left: HashMap<(UserId, ConnectionId), u32>,
    sweep: Sweep,
}

impl RetryBudgets {
    /// A success pays a tenth of a retry in.
    pub(super) fn deposit(&self, user: UserId, connection: ConnectionId) {
        let mut all = self.all.lock();
        let mine = all.of(user, connection);
        *mine = (*mine + 1).min(MOST * TENTHS);
        shown(&all.left);
    }

    /// Takes one retry; false if none is left.
    pub(super) fn withdraw(&self, user: UserId, connection: ConnectionId) -> bool {
        let mut all = self.all.lock();
        let mine = all.of(user, connection);
        let rest = mine.checked_sub(TENTHS);
        *mine = rest.unwrap_or(*mine);
        shown(&all.left);
        rest.is_some()
    }

    /// Whole retries left.
    pub(super) fn left(&self, user: UserId, connection: ConnectionId) -> u32 {
        let left = self.all.lock().left.get(&(user, connection)).copied();
        left.unwrap_or(AT_START * TENTHS) / TENTHS
    }

    /// Starts anew, for everybody: the connection was edited.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.all.lock().left.retain(|(_, of), _| *of != connection);
    }
}

impl Budgets {
    fn of(&mut self, user: UserId, connection: ConnectionId) -> &mut u32 {
        let Self { left, sweep } = self;
        // Whoever has as much as at the start, or more, has nothing to lose
        // but savings.
        if !left.contains_key(&(user, connection)) && sweep.is_due() {
            left.retain(|_, left| *left < AT_START * TENTHS);
        }
        left.entry((user, connection)).or_insert(AT_START * TENTHS)
    }
}

/// The least that anybody has left, as a metric.
fn shown(left: &HashMap<(UserId, ConnectionId), u32>) {
    let least = left.values().copied().min().unwrap_or(AT_START * TENTHS);
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
    fn ten_at_the_start_then_one_for_every_ten_successes() {
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
    fn savings_are_capped_and_forgotten() {
        let (budgets, me, one) = (RetryBudgets::default(), user(1), connection(1));
        (0..10_000).for_each(|_| budgets.deposit(me, one));
        assert_eq!(budgets.left(me, one), MOST);
        assert!(budgets.withdraw(user(2), one));
        budgets.forget(one);
        assert_eq!((budgets.left(me, one), budgets.left(user(2), one)), (AT_START, AT_START));
    }

    #[test]
    fn full_ones_are_swept_out_and_the_others_stay() {
        let (budgets, one) = (RetryBudgets::default(), connection(1));
        assert!(budgets.withdraw(user(0), one));
        (1..10_000).for_each(|n| budgets.deposit(user(n), one));
        assert!(budgets.all.lock().left.len() <= 1001);
        assert_eq!(budgets.left(user(0), one), AT_START - 1);
    }
}
