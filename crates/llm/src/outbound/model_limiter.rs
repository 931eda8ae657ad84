//! The limiter of one model on one connection: a [`Bucket`], and a [`FairQueue`] of the
//! waiting calls.
//!
//! While calls wait, one task per bucket grants the permits, so no call polls, and the
//! end of a rate limit does not release all calls at once.

use super::bucket::Bucket;
use super::fair_queue::FairQueue;
use super::gate::{Admission, CallKey, Permit, PermitFuture};
use super::timer::{shown, sleep_towards};
use super::token_estimate::RequestSize;
use super::window::Ready;
use clock::SharedClock;
use domain::{ErrorKind, Timestamp, WaitReason};
use llm_types::{CallError, ChatReply, Decision};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

/// The limiter of one model on one connection.
pub(super) struct ModelLimiter {
    state: Mutex<State>,
    /// Wakes the task that serves the queue when a call ended or a limit changed.
    changed: Notify,
    /// Wakes the calls that wait for their own Retry-After when the connection was edited.
    reset: watch::Sender<()>,
    clock: SharedClock,
}

#[derive(Default)]
struct State {
    bucket: Bucket,
    queue: FairQueue<Waiter>,
    queue_task_runs: bool,
}

struct Waiter {
    size: RequestSize,
    is_manual_probe: bool,
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

impl ModelLimiter {
    pub(super) fn new(clock: SharedClock) -> Self {
        let (state, changed, reset) = (Mutex::default(), Notify::new(), watch::channel(()).0);
        Self { state, changed, reset, clock }
    }

    /// Requests a permit for a call. Never blocks.
    pub(super) fn acquire(self: &Arc<Self>, key: &CallKey, now: Timestamp) -> Admission {
        if let Some(until) = key.not_before.filter(|until| *until > now) {
            let permit = Box::pin(wait_until(self.clone(), key.clone(), until));
            return Admission::Wait { reason: WaitReason::RateLimit, until: Some(until), permit };
        }
        match self.request(key, now) {
            Requested::Granted(permit) => Admission::Granted(Box::new(permit)),
            Requested::Queued { until, receiver } => {
                let permit = wait(receiver);
                Admission::Wait { reason: WaitReason::RateLimit, until, permit }
            }
        }
    }

    /// Forgets the limits, because the connection was edited.
    pub(super) fn reset(&self) {
        self.state.lock().bucket.reset();
        self.reset.send_replace(());
        self.changed.notify_one();
    }

    /// When a call succeeded last.
    pub(super) fn last_success(&self) -> Option<Timestamp> {
        self.state.lock().bucket.last_success()
    }

    /// The number of concurrent calls that the model accepts, if it is known.
    pub(super) fn learned_concurrency(&self) -> Option<u32> {
        self.state.lock().bucket.learned_concurrency()
    }

    /// Grants a permit, or adds the call to the queue.
    fn request(self: &Arc<Self>, key: &CallKey, now: Timestamp) -> Requested {
        let mut state = self.state.lock();
        let ready = state.bucket.ready(key.size, key.is_manual_probe, now);
        let is_first = key.is_manual_probe || state.queue.is_empty(Waiter::is_alive);
        if ready == Ready::Now && is_first {
            state.queue.serve(key.user_id);
            let number = state.bucket.reserve(key.size, now);
            drop(state);
            metrics::histogram!("rehearsal_limiter_wait_seconds").record(0.0);
            return Requested::Granted(LimiterPermit::new(self.clone(), number));
        }
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter { size: key.size, is_manual_probe: key.is_manual_probe, sender };
        state.queue.push(key.user_id, key.order, waiter);
        let queue_task_runs = std::mem::replace(&mut state.queue_task_runs, true);
        drop(state);
        let until = match ready {
            Ready::At(until) if is_first => Some(until),
            Ready::At(until) => shown(Some(until), now),
            Ready::Now | Ready::AfterCall => None,
        };
        if queue_task_runs {
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
            let State { bucket, queue, queue_task_runs } = &mut *state;
            let Some((_, waiter)) = queue.next(Waiter::is_alive) else {
                *queue_task_runs = false;
                return None;
            };
            let size = waiter.size;
            match bucket.ready(size, waiter.is_manual_probe, now) {
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
    pub(super) fn is_used(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// Returns `Some` if the bucket allows no call now, with the time at which it does, if
    /// that is known.
    pub(super) fn exhausted(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        let state = self.state.lock();
        let has_waiters = !state.queue.is_empty(Waiter::is_alive);
        state.bucket.exhausted(now).or(has_waiters.then_some(None))
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
