//! Who is next: of the users that wait, the one who was served longest ago;
//! first come first served within a user. So a user with hundreds of waiting
//! calls delays another's by one at most.

use domain::UserId;
use std::collections::{HashMap, VecDeque};

/// Users whose last turn is remembered before those who do not wait are
/// forgotten.
const REMEMBERED: usize = 1000;

/// A queue of `T`, users in turn.
#[derive(Debug)]
pub struct Turns<T> {
    /// When (as a count of turns) each user was last served.
    served: HashMap<UserId, u64>,
    count: u64,
    waiting: HashMap<UserId, VecDeque<T>>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { served: HashMap::new(), count: 0, waiting: HashMap::new() }
    }
}

impl<T> Turns<T> {
    /// Joins the queue.
    pub fn push(&mut self, user: UserId, item: T) {
        self.waiting.entry(user).or_default().push_back(item);
    }

    /// This user is served now.
    pub fn serve(&mut self, user: UserId) {
        if self.served.len() >= REMEMBERED {
            let waiting = &self.waiting;
            self.served.retain(|user, _| waiting.contains_key(user));
        }
        self.count += 1;
        self.served.insert(user, self.count);
    }

    /// Who is next, without serving them. Those that are not `alive` any more
    /// leave.
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

    /// Serves who is next.
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

    /// Whether nobody waits that is `alive`.
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
        let mut turns = Turns::default();
        for (n, who) in [1, 1, 1, 1, 2, 3, 2].into_iter().enumerate() {
            turns.push(user(who), (who, n));
        }
        turns.serve(user(1));
        let order: Vec<_> = std::iter::from_fn(|| turns.pop(|_| true)).collect();
        assert_eq!(order, [(2, 4), (3, 5), (1, 0), (2, 6), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn who_has_left_is_passed_over() {
        let mut turns = Turns::default();
        turns.push(user(1), 10);
        turns.push(user(1), 11);
        turns.push(user(2), 20);
        let alive = |item: &i32| *item == 11;
        assert!(!turns.is_empty(alive));
        assert_eq!(turns.next(alive), Some((user(1), &11)));
        assert_eq!(turns.pop(alive), Some(11));
        assert!(turns.is_empty(alive) && turns.pop(alive).is_none());
    }
}
