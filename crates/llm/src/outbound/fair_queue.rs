//! A queue that is fair to users: the next item is that of the waiting user who was
//! served longest ago. Items of one user are served by their [`CallOrder`], equal ones
//! first in, first out. A user with hundreds of waiting calls delays another user by one
//! call at most.

use domain::{Timestamp, UserId};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The number of users in `served` above which those without waiting items are removed.
const MAX_IDLE_USERS: usize = 1000;

/// The order of the waiting calls of one user: a run that began earlier goes first, so
/// that it finishes instead of sharing the throughput with younger ones. The default goes
/// before every run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallOrder {
    /// When the run began.
    pub began_at: Timestamp,
    /// The id of the run, which orders runs that began together.
    pub id: Uuid,
}

#[derive(Debug)]
pub struct FairQueue<T> {
    /// The value of `count` when each user was last served.
    served: HashMap<UserId, u64>,
    count: u64,
    /// The number of items pushed so far, which orders equal ones.
    pushed: u64,
    waiting: HashMap<UserId, BTreeMap<(CallOrder, u64), T>>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { served: HashMap::new(), count: 0, pushed: 0, waiting: HashMap::new() }
    }
}

impl<T> FairQueue<T> {
    pub fn push(&mut self, user: UserId, order: CallOrder, item: T) {
        self.pushed += 1;
        self.waiting.entry(user).or_default().insert((order, self.pushed), item);
    }

    /// Records that the user is served now.
    pub fn serve(&mut self, user: UserId) {
        if self.served.len() >= MAX_IDLE_USERS {
            let waiting = &self.waiting;
            self.served.retain(|user, _| waiting.contains_key(user));
        }
        self.count += 1;
        self.served.insert(user, self.count);
    }

    /// Returns the next item without serving its user. Removes items that are not
    /// `alive`.
    pub fn next(&mut self, alive: impl Fn(&T) -> bool) -> Option<(UserId, &T)> {
        loop {
            let last = |user: &UserId| (self.served.get(user).copied().unwrap_or(0), *user);
            let user = *self.waiting.keys().min_by_key(|user| last(user))?;
            let queue = self.waiting.get_mut(&user)?;
            while queue.first_key_value().is_some_and(|(_, item)| !alive(item)) {
                queue.pop_first();
            }
            if queue.is_empty() {
                self.waiting.remove(&user);
                continue;
            }
            return Some((user, self.waiting.get(&user)?.first_key_value()?.1));
        }
    }

    /// Removes the next item and serves its user.
    pub fn pop(&mut self, alive: impl Fn(&T) -> bool) -> Option<T> {
        let (user, _) = self.next(alive)?;
        let queue = self.waiting.get_mut(&user)?;
        let item = queue.pop_first().map(|(_, item)| item);
        if queue.is_empty() {
            self.waiting.remove(&user);
        }
        self.serve(user);
        item
    }

    /// Whether no `alive` item waits.
    pub fn is_empty(&self, alive: impl Fn(&T) -> bool) -> bool {
        !self.waiting.values().flat_map(BTreeMap::values).any(alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    const ANY: CallOrder = CallOrder { began_at: Timestamp(0), id: Uuid::nil() };

    #[test]
    fn users_take_turns() {
        let mut queue = FairQueue::default();
        for (n, who) in [1, 1, 1, 1, 2, 3, 2].into_iter().enumerate() {
            queue.push(user(who), ANY, (who, n));
        }
        queue.serve(user(1));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(order, [(2, 4), (3, 5), (1, 0), (2, 6), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn older_runs_of_a_user_go_first() {
        let mut queue = FairQueue::default();
        let began =
            |seconds, id| CallOrder { began_at: Timestamp(seconds), id: Uuid::from_u128(id) };
        for (who, order, item) in [
            (1, began(9, 1), "young"),
            (1, began(5, 2), "old, greater id"),
            (2, began(7, 3), "another user"),
            (1, began(5, 1), "old"),
            (1, began(5, 1), "old, later call"),
            (1, CallOrder::default(), "no run"),
        ] {
            queue.push(user(who), order, item);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        let expected =
            ["no run", "another user", "old", "old, later call", "old, greater id", "young"];
        assert_eq!(order, expected);
    }

    #[test]
    fn dead_items_are_skipped() {
        let mut queue = FairQueue::default();
        queue.push(user(1), ANY, 10);
        queue.push(user(1), ANY, 11);
        queue.push(user(2), ANY, 20);
        let alive = |item: &i32| *item == 11;
        assert!(!queue.is_empty(alive));
        assert_eq!(queue.next(alive), Some((user(1), &11)));
        assert_eq!(queue.pop(alive), Some(11));
        assert!(queue.is_empty(alive) && queue.pop(alive).is_none());
    }
}
