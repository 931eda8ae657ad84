//! The rate limiter: one [`ModelLimiter`] per connection and model.

use super::eviction::EvictionSchedule;
use super::gate::{Admission, CallKey, Gate};
use super::model_limiter::ModelLimiter;
use clock::SharedClock;
use domain::{ConnectionId, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The maximum number of unused buckets per connection. Model names are
/// user-supplied and therefore unbounded.
const MAX_MODELS: usize = 100;

pub(super) struct Limiter {
    buckets: Mutex<Buckets>,
    clock: SharedClock,
}

#[derive(Default)]
struct Buckets {
    by_model: HashMap<ConnectionId, HashMap<String, Arc<ModelLimiter>>>,
    eviction: EvictionSchedule,
}

impl Limiter {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { buckets: Mutex::default(), clock }
    }

    fn get_or_insert(&self, connection: ConnectionId, model: &str) -> Arc<ModelLimiter> {
        let mut buckets = self.buckets.lock();
        if let Some(limiter) = buckets.get(connection, model) {
            return limiter.clone();
        }
        buckets.evict(connection, self.clock.now());
        let limiter = Arc::new(ModelLimiter::new(self.clock.clone()));
        let of_connection = buckets.by_model.entry(connection).or_default();
        of_connection.insert(model.to_owned(), limiter.clone());
        limiter
    }

    /// Returns `Some` if the bucket allows no call now, with the time at which it does,
    /// if that is known.
    pub(super) fn exhausted(
        &self,
        connection: ConnectionId,
        model: &str,
        now: Timestamp,
    ) -> Option<Option<Timestamp>> {
        let limiter = self.buckets.lock().get(connection, model).cloned();
        limiter?.exhausted(now)
    }

    /// All buckets that allow no call now.
    pub(super) fn all_exhausted(
        &self,
        now: Timestamp,
    ) -> Vec<(ConnectionId, String, Option<Timestamp>)> {
        let buckets = self.buckets.lock();
        let all = buckets.by_model.iter().flat_map(|(connection, limiters)| {
            limiters.iter().map(move |(model, limiter)| (*connection, model, limiter))
        });
        all.filter_map(|(id, model, limiter)| Some((id, model.clone(), limiter.exhausted(now)?)))
            .collect()
    }

    /// The number of concurrent calls that each model accepts, where it is known.
    pub(super) fn learned_concurrency(&self) -> Vec<(ConnectionId, String, u32)> {
        let buckets = self.buckets.lock();
        let all = buckets.by_model.iter().flat_map(|(connection, limiters)| {
            limiters.iter().map(move |(model, limiter)| (*connection, model, limiter))
        });
        all.filter_map(|(id, model, limiter)| {
            let learned = limiter.learned_concurrency()?;
            Some((id, model.clone(), learned))
        })
        .collect()
    }

    /// Forgets the limits of a connection.
    pub(super) fn reset(&self, connection: ConnectionId) {
        let buckets = self.buckets.lock();
        for limiter in buckets.by_model.get(&connection).into_iter().flat_map(HashMap::values) {
            limiter.reset();
        }
    }
}

impl Buckets {
    fn get(&self, connection: ConnectionId, model: &str) -> Option<&Arc<ModelLimiter>> {
        self.by_model.get(&connection)?.get(model)
    }

    /// Makes room for one more bucket of a connection. Occasionally evicts the unused
    /// buckets of all connections. If this connection has too many, evicts one of its
    /// unused buckets: one without a limit first, then the one whose limit ends first.
    fn evict(&mut self, connection: ConnectionId, now: Timestamp) {
        if self.eviction.is_due() {
            self.by_model.retain(|_, limiters| {
                limiters.retain(|_, limiter| limiter.is_used() || limiter.exhausted(now).is_some());
                !limiters.is_empty()
            });
        }
        let Some(limiters) = self.by_model.get_mut(&connection) else { return };
        if limiters.len() >= MAX_MODELS {
            let unused = limiters.iter().filter(|(_, limiter)| !limiter.is_used());
            let first = unused.min_by_key(|(_, limiter)| limiter.exhausted(now));
            if let Some(first) = first.map(|(model, _)| model.clone()) {
                limiters.remove(&first);
            }
        }
    }
}

impl Gate for Limiter {
    fn acquire(&self, key: &CallKey, now: Timestamp) -> Admission {
        self.get_or_insert(key.connection_id, &key.model).acquire(key, now)
    }

    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        let until = self.exhausted(key.connection_id, &key.model, now).flatten();
        until.max(key.not_before.filter(|until| *until > now))
    }

    fn last_success(&self, key: &CallKey) -> Option<Timestamp> {
        let limiter = self.buckets.lock().get(key.connection_id, &key.model).cloned();
        limiter?.last_success()
    }
}
