//! The limiter: one [`Bucket`] for each model on each connection, and a queue
//! in which users take turns.
//!
//! While somebody waits, one task a bucket hands out what may go: nobody polls,
//! and nothing stampedes when a rate limit ends.

use super::bucket::Bucket;
use super::gate::{Admission, CallKey, Gate, Permit, Turn};
use super::limits::{sleep_towards, worth_saying};
use super::size::Size;
use super::sweep::Sweep;
use super::turns::Turns;
use super::window::Ready;
use clock::SharedClock;
use llm_types::{CallError, ChatReply, Decision};
use domain::{ConnectionId, ErrorKind, Timestamp, WaitingOn};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Most buckets of one connection that nobody uses: the names of models are
/// anybody's choice.
const MOST_MODELS: usize = 100;

/// The limiter of all connections.
pub(super) struct Limiter {
    all: Mutex<Buckets>,
    clock: SharedClock,
}

#[derive(Default)]
struct Buckets {
    /// By model, of each connection.
    of: HashMap<ConnectionId, HashMap<String, Arc<Cell>>>,
    sweep: Sweep,
}

struct Cell {
    inner: Mutex<Inner>,
    /// Something came back, or was learned.
    kick: Notify,
    clock: SharedClock,
}

#[derive(Default)]
struct Inner {
    bucket: Bucket,
    queue: Turns<Waiter>,
    /// A task hands out.
    pumping: bool,
}

struct Waiter {
    size: Size,
    person: bool,
    pass: oneshot::Sender<Pass>,
}

impl Waiter {
    fn is_here(&self) -> bool {
        !self.pass.is_closed()
    }
}

/// What to do next for those who wait.
enum Next {
    Nobody,
    Sleep(Option<Timestamp>),
}

impl Limiter {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { all: Mutex::default(), clock }
    }

    fn cell(&self, connection: ConnectionId, model: &str) -> Arc<Cell> {
        let mut all = self.all.lock();
        if let Some(cell) = all.known(connection, model) {
            return cell.clone();
        }
        all.make_room(connection, self.clock.now());
        let (inner, kick, clock) = (Mutex::default(), Notify::new(), self.clock.clone());
        let cell = Arc::new(Cell { inner, kick, clock });
        all.of.entry(connection).or_default().insert(model.to_owned(), cell.clone());
        cell
    }

    fn known(&self, connection: ConnectionId, model: &str) -> Option<Arc<Cell>> {
        self.all.lock().known(connection, model).cloned()
    }

    /// Whether a bucket has nothing to give now, and until when.
    pub(super) fn dry(
        &self,
        connection: ConnectionId,
        model: &str,
        now: Timestamp,
    ) -> Option<Option<Timestamp>> {
        self.known(connection, model)?.dry(now)
    }

    /// All buckets that have nothing to give now.
    pub(super) fn all_dry(&self, now: Timestamp) -> Vec<(ConnectionId, String, Option<Timestamp>)> {
        let all = self.all.lock();
        let of_each = all.of.iter().flat_map(|(connection, buckets)| {
            buckets.iter().map(move |(model, cell)| (*connection, model, cell))
        });
        let dry = of_each.filter_map(|(id, model, cell)| Some((id, model.clone(), cell.dry(now)?)));
        dry.collect()
    }

    /// Forgets what was learned of a connection.
    pub(super) fn forget(&self, connection: ConnectionId) {
        for cell in self.all.lock().of.get(&connection).into_iter().flat_map(HashMap::values) {
            cell.inner.lock().bucket.forget();
            cell.kick.notify_one();
        }
    }
}

impl Buckets {
    fn known(&self, connection: ConnectionId, model: &str) -> Option<&Arc<Cell>> {
        self.of.get(&connection)?.get(model)
    }

    /// Before one more bucket of a connection: those that nobody uses go, of
    /// all connections now and then, and of this one when there are too many;
    /// there one that knows of no wait goes first, then that of which the wait
    /// ends first.
    fn make_room(&mut self, connection: ConnectionId, now: Timestamp) {
        if self.sweep.is_due() {
            self.of.retain(|_, buckets| {
                buckets.retain(|_, cell| cell.is_used() || cell.dry(now).is_some());
                !buckets.is_empty()
            });
        }
        let Some(buckets) = self.of.get_mut(&connection) else { return };
        if buckets.len() >= MOST_MODELS {
            let unused = buckets.iter().filter(|(_, cell)| !cell.is_used());
            let first = unused.min_by_key(|(_, cell)| cell.dry(now));
            if let Some(first) = first.map(|(model, _)| model.clone()) {
                buckets.remove(&first);
            }
        }
    }
}

impl Gate for Limiter {
    fn admit(&self, key: &CallKey, now: Timestamp) -> Admission {
        let cell = self.cell(key.connection_id, &key.model);
        let mut inner = cell.inner.lock();
        let ready = inner.bucket.ready(key.size, key.probe, now);
        let first = key.probe || inner.queue.is_empty(Waiter::is_here);
        if ready == Ready::Now && first {
            inner.queue.serve(key.user_id);
            let number = inner.bucket.take(key.size, now);
            drop(inner);
            metrics::histogram!("rehearsal_limiter_wait_seconds").record(0.0);
            return Admission::Granted(Box::new(Pass::of(cell, number)));
        }
        let (pass, turn) = oneshot::channel();
        let waiter = Waiter { size: key.size, person: key.probe, pass };
        inner.queue.push(key.user_id, waiter);
        let pumping = std::mem::replace(&mut inner.pumping, true);
        drop(inner);
        let until = match ready {
            Ready::At(until) if first => Some(until),
            Ready::At(until) => worth_saying(Some(until), now),
            Ready::Now | Ready::Later => None,
        };
        if pumping {
            cell.kick.notify_one();
        } else {
            tokio::spawn(pump(cell));
        }
        Admission::Wait { what: WaitingOn::RateLimit, until, turn: wait(turn) }
    }

    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        self.dry(key.connection_id, &key.model, now)?
    }
}

/// Waits in the queue, and is counted meanwhile.
fn wait(turn: oneshot::Receiver<Pass>) -> Turn {
    struct Counted(Instant);
    impl Drop for Counted {
        fn drop(&mut self) {
            metrics::gauge!("rehearsal_limiter_waiting").decrement(1.0);
            let waited = self.0.elapsed().as_secs_f64();
            metrics::histogram!("rehearsal_limiter_wait_seconds").record(waited);
        }
    }
    metrics::gauge!("rehearsal_limiter_waiting").increment(1.0);
    let counted = Counted(Instant::now());
    Box::pin(async move {
        let pass = turn.await;
        drop(counted);
        match pass {
            Ok(pass) => Ok(Box::new(pass) as Box<dyn Permit>),
            // The queue goes only with the process.
            Err(_) => Err(CallError::new(
                Decision::GiveUp(ErrorKind::Internal),
                "The queue of this connection is gone. Run it again.",
            )),
        }
    })
}

/// Hands out until nobody waits.
async fn pump(cell: Arc<Cell>) {
    loop {
        let until = match cell.hand_out() {
            Next::Nobody => return,
            Next::Sleep(until) => until,
        };
        let time = sleep_towards(until, cell.clock.now());
        tokio::select! { () = time => {} () = cell.kick.notified() => {} }
    }
}

impl Cell {
    /// Hands out what may go now.
    fn hand_out(self: &Arc<Self>) -> Next {
        loop {
            let now = self.clock.now();
            let mut inner = self.inner.lock();
            let Inner { bucket, queue, pumping } = &mut *inner;
            let Some((_, waiter)) = queue.next(Waiter::is_here) else {
                *pumping = false;
                return Next::Nobody;
            };
            let size = waiter.size;
            match bucket.ready(size, waiter.person, now) {
                Ready::Now => {}
                Ready::At(until) => return Next::Sleep(Some(until)),
                Ready::Later => return Next::Sleep(None),
            }
            let Some(waiter) = queue.pop(|_| true) else { continue };
            let number = bucket.take(size, now);
            drop(inner);
            // One that left just now gives its pass back by dropping it.
            let _ = waiter.pass.send(Pass::of(self.clone(), number));
        }
    }

    /// Whether somebody has a pass of it, or waits for one.
    fn is_used(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    fn dry(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        let inner = self.inner.lock();
        let waited_for = !inner.queue.is_empty(Waiter::is_here);
        inner.bucket.dry(now).or(waited_for.then_some(None))
    }
}

/// A place in a bucket.
struct Pass {
    cell: Arc<Cell>,
    number: u64,
    sent: bool,
    done: bool,
}

impl Pass {
    fn of(cell: Arc<Cell>, number: u64) -> Self {
        Self { cell, number, sent: false, done: false }
    }
}

impl Permit for Pass {
    fn sent(&mut self) {
        self.sent = true;
        self.cell.inner.lock().bucket.sent(self.number);
    }

    fn finish(mut self: Box<Self>, outcome: Result<&ChatReply, &CallError>) {
        let now = self.cell.clock.now();
        let mut inner = self.cell.inner.lock();
        let waited = !inner.queue.is_empty(Waiter::is_here);
        inner.bucket.done(self.number, outcome, waited, now);
        drop(inner);
        self.done = true;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.done {
            let now = self.cell.clock.now();
            let mut inner = self.cell.inner.lock();
            if self.sent {
                inner.bucket.dropped(self.number, now);
            } else {
                inner.bucket.unsent(self.number, now);
            }
        }
        self.cell.kick.notify_one();
    }
}
