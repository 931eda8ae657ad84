//! The rate limiter: one [`Bucket`] per connection and model, and a [`FairQueue`] of
//! the waiting calls.
//!
//! While calls wait, one task per bucket grants the permits, so no call polls, and the
//! end of a rate limit does not release all calls at once.

use super::bucket::Bucket;
use super::eviction::EvictionSchedule;
use super::fair_queue::FairQueue;
use super::gate::{Admission, CallKey, Gate, Permit, PermitFuture};
use super::timer::{reported, sleep_towards};
use super::token_estimate::RequestSize;
use super::window::Ready;
use clock::SharedClock;
use domain::{ConnectionId, ErrorKind, Timestamp, WaitReason};
use llm_types::{CallError, ChatReply, Decision};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

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

/// The limiter of one model on one connection.
struct ModelLimiter {
    state: Mutex<State>,
    /// Wakes the dispatcher when a call ended or a limit changed.
    changed: Notify,
    /// Wakes the calls that wait for their own Retry-After when the connection was edited.
    reset: watch::Sender<()>,
    clock: SharedClock,
}

#[derive(Default)]
struct State {
    bucket: Bucket,
    queue: FairQueue<Waiter>,
    dispatcher_runs: bool,
}

struct Waiter {
    size: RequestSize,
    probe: bool,
    sender: oneshot::Sender<LimiterPermit>,
}

impl Waiter {
    fn is_alive(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// The result of a request for a permit.
enum Requested {
    Granted(LimiterPermit),
    Queued { until: Option<Timestamp>, receiver: oneshot::Receiver<LimiterPermit> },
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
        let (state, changed, clock) = (Mutex::default(), Notify::new(), self.clock.clone());
        let reset = watch::channel(()).0;
        let limiter = Arc::new(ModelLimiter { state, changed, reset, clock });
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
            let learned = limiter.state.lock().bucket.learned_concurrency()?;
            Some((id, model.clone(), learned))
        })
        .collect()
    }

    /// Forgets the limits of a connection.
    pub(super) fn reset(&self, connection: ConnectionId) {
        let buckets = self.buckets.lock();
        for limiter in buckets.by_model.get(&connection).into_iter().flat_map(HashMap::values) {
            limiter.state.lock().bucket.reset();
            limiter.reset.send_replace(());
            limiter.changed.notify_one();
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
        let limiter = self.get_or_insert(key.connection_id, &key.model);
        if let Some(until) = key.not_before.filter(|until| *until > now) {
            let permit = Box::pin(wait_until(limiter, key.clone(), until));
            return Admission::Wait { reason: WaitReason::RateLimit, until: Some(until), permit };
        }
        match limiter.request(key, now) {
            Requested::Granted(permit) => Admission::Granted(Box::new(permit)),
            Requested::Queued { until, receiver } => {
                let permit = wait(receiver);
                Admission::Wait { reason: WaitReason::RateLimit, until, permit }
            }
        }
    }

    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        let until = self.exhausted(key.connection_id, &key.model, now).flatten();
        until.max(key.not_before.filter(|until| *until > now))
    }

    fn last_success(&self, key: &CallKey) -> Option<Timestamp> {
        let limiter = self.buckets.lock().get(key.connection_id, &key.model).cloned();
        limiter?.state.lock().bucket.last_success()
    }
}

/// Waits until the time or an edit of the connection, and then for a permit.
async fn wait_until(
    limiter: Arc<ModelLimiter>,
    key: CallKey,
    until: Timestamp,
) -> Result<Box<dyn Permit>, CallError> {
    let mut reset = limiter.reset.subscribe();
    loop {
        let now = limiter.clock.now();
        if now >= until {
            break;
        }
        tokio::select! {
            () = sleep_towards(Some(until), now) => {}
            _ = reset.changed() => break,
        }
    }
    match limiter.request(&key, limiter.clock.now()) {
        Requested::Granted(permit) => Ok(Box::new(permit)),
        Requested::Queued { receiver, .. } => wait(receiver).await,
    }
}

/// Waits for a permit, and updates the metrics of waiting calls.
fn wait(receiver: oneshot::Receiver<LimiterPermit>) -> PermitFuture {
    struct WaitMetrics(Instant);
    impl Drop for WaitMetrics {
        fn drop(&mut self) {
            metrics::gauge!("rehearsal_limiter_waiting").decrement(1.0);
            let waited = self.0.elapsed().as_secs_f64();
            metrics::histogram!("rehearsal_limiter_wait_seconds").record(waited);
        }
    }
    metrics::gauge!("rehearsal_limiter_waiting").increment(1.0);
    let wait_metrics = WaitMetrics(Instant::now());
    Box::pin(async move {
        let permit = receiver.await;
        drop(wait_metrics);
        match permit {
            Ok(permit) => Ok(Box::new(permit) as Box<dyn Permit>),
            // The queue is dropped only with the process.
            Err(_) => Err(CallError::new(
                Decision::GiveUp(ErrorKind::Internal),
                "The queue of this connection was closed. Re-run it.",
            )),
        }
    })
}

/// Grants permits until no call waits.
async fn dispatch(limiter: Arc<ModelLimiter>) {
    while let Some(until) = limiter.grant_permits() {
        let sleep = sleep_towards(until, limiter.clock.now());
        tokio::select! { () = sleep => {} () = limiter.changed.notified() => {} }
    }
}

impl ModelLimiter {
    /// Grants a permit, or adds the call to the queue.
    fn request(self: &Arc<Self>, key: &CallKey, now: Timestamp) -> Requested {
        let mut state = self.state.lock();
        let ready = state.bucket.ready(key.size, key.probe, now);
        let is_first = key.probe || state.queue.is_empty(Waiter::is_alive);
        if ready == Ready::Now && is_first {
            state.queue.serve(key.user_id);
            let number = state.bucket.reserve(key.size, now);
            drop(state);
            metrics::histogram!("rehearsal_limiter_wait_seconds").record(0.0);
            return Requested::Granted(LimiterPermit::new(self.clone(), number));
        }
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter { size: key.size, probe: key.probe, sender };
        state.queue.push(key.user_id, key.order, waiter);
        let dispatcher_runs = std::mem::replace(&mut state.dispatcher_runs, true);
        drop(state);
        let until = match ready {
            Ready::At(until) if is_first => Some(until),
            Ready::At(until) => reported(Some(until), now),
            Ready::Now | Ready::AfterCall => None,
        };
        if dispatcher_runs {
            self.changed.notify_one();
        } else {
            tokio::spawn(dispatch(self.clone()));
        }
        Requested::Queued { until, receiver }
    }

    /// Grants permits to all calls that are allowed now. Returns `Some` if calls still
    /// wait, with the time at which the next one is allowed, if that is known.
    fn grant_permits(self: &Arc<Self>) -> Option<Option<Timestamp>> {
        loop {
            let now = self.clock.now();
            let mut state = self.state.lock();
            let State { bucket, queue, dispatcher_runs } = &mut *state;
            let Some((_, waiter)) = queue.next(Waiter::is_alive) else {
                *dispatcher_runs = false;
                return None;
            };
            let size = waiter.size;
            match bucket.ready(size, waiter.probe, now) {
                Ready::Now => {}
                Ready::At(until) => return Some(Some(until)),
                Ready::AfterCall => return Some(None),
            }
            let Some(waiter) = queue.pop(|_| true) else { continue };
            let number = bucket.reserve(size, now);
            drop(state);
            // If the waiter is gone, dropping the permit releases it.
            let _ = waiter.sender.send(LimiterPermit::new(self.clone(), number));
        }
    }

    /// Whether a call holds a permit or waits for one.
    fn is_used(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    fn exhausted(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        let state = self.state.lock();
        let has_waiters = !state.queue.is_empty(Waiter::is_alive);
        state.bucket.exhausted(now).or(has_waiters.then_some(None))
    }
}

struct LimiterPermit {
    limiter: Arc<ModelLimiter>,
    number: u64,
    sent: bool,
    finished: bool,
}

impl LimiterPermit {
    fn new(limiter: Arc<ModelLimiter>, number: u64) -> Self {
        Self { limiter, number, sent: false, finished: false }
    }
}

impl Permit for LimiterPermit {
    fn mark_sent(&mut self) {
        self.sent = true;
        self.limiter.state.lock().bucket.mark_sent(self.number);
    }

    fn finish(mut self: Box<Self>, outcome: Result<&ChatReply, &CallError>) {
        let now = self.limiter.clock.now();
        let mut state = self.limiter.state.lock();
        let has_waiters = !state.queue.is_empty(Waiter::is_alive);
        state.bucket.finish(self.number, outcome, has_waiters, now);
        drop(state);
        self.finished = true;
    }
}

impl Drop for LimiterPermit {
    fn drop(&mut self) {
        if !self.finished {
            let now = self.limiter.clock.now();
            let mut state = self.limiter.state.lock();
            if self.sent {
                state.bucket.cancel_sent(self.number, now);
            } else {
                state.bucket.cancel_unsent(self.number, now);
            }
        }
        self.limiter.changed.notify_one();
    }
}
