//! A queue that is fair to users: the next item is that of the waiting user who was
//! served longest ago; items of one user are first in, first out. A user with hundreds
//! of waiting calls delays another user by one call at most.

use domain::UserId;
use std::collections::{HashMap, VecDeque};

/// The number of users in `served` above which those without waiting items are removed.
const MAX_IDLE_USERS: usize = 1000;

#[derive(Debug)]
pub struct FairQueue<T> {
    /// The value of `count` when each user was last served.
    served: HashMap<UserId, u64>,
    count: u64,
    waiting: HashMap<UserId, VecDeque<T>>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { served: HashMap::new(), count: 0, waiting: HashMap::new() }
    }
}

impl<T> FairQueue<T> {
    pub fn push(&mut self, user: UserId, item: T) {
        self.waiting.entry(user).or_default().push_back(item);
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
            while queue.front().is_some_and(|item| !alive(item)) {
                queue.pop_front();
            }
            if queue.is_empty() {
                self.waiting.remove(&user);
                continue;
            }
            return Some((user, self.waiting.get(&user)?.front()?));
        }
    }

    /// Removes the next item and serves its user.
    pub fn pop(&mut self, alive: impl Fn(&T) -> bool) -> Option<T> {
        let (user, _) = self.next(alive)?;
        let queue = self.waiting.get_mut(&user)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&user);
        }
        self.serve(user);
        item
    }

    /// Whether no `alive` item waits.
    pub fn is_empty(&self, alive: impl Fn(&T) -> bool) -> bool {
        !self.waiting.values().flatten().any(alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    #[test]
    fn users_take_turns() {
        let mut queue = FairQueue::default();
        for (n, who) in [1, 1, 1, 1, 2, 3, 2].into_iter().enumerate() {
            queue.push(user(who), (who, n));
        }
        queue.serve(user(1));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(order, [(2, 4), (3, 5), (1, 0), (2, 6), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn dead_items_are_skipped() {
        let mut queue = FairQueue::default();
        queue.push(user(1), 10);
        queue.push(user(1), 11);
        queue.push(user(2), 20);
        let alive = |item: &i32| *item == 11;
        assert!(!queue.is_empty(alive));
        assert_eq!(queue.next(alive), Some((user(1), &11)));
        assert_eq!(queue.pop(alive), Some(11));
        assert!(queue.is_empty(alive) && queue.pop(alive).is_none());
    }
}
