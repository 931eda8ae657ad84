//! A bounded and fair queue for password hashes. A hash takes tens of milliseconds of a
//! core, so an unbounded queue would let one client delay everybody's sign-in.
//!
//! Clients take turns: a client with many requests delays another by one hash. When the
//! queue is full, the newest request of the client with the most requests is refused.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The maximum number of concurrent hashes.
    pub(super) concurrency: usize,
    /// The maximum number of waiting requests of all clients.
    pub(super) capacity: usize,
    /// The maximum number of waiting requests of one client.
    pub(super) per_client: usize,
}

impl Limits {
    /// A hash takes about 25 ms, so the last of 32 per core waits less than a second.
    pub(super) fn for_cores(cores: usize) -> Self {
        let concurrency = cores.clamp(1, 4);
        Self { concurrency, capacity: 32 * concurrency, per_client: 16 * concurrency }
    }
}

/// The queue is full. Nothing was hashed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The client of a request; `None` for the command line.
type Client = Option<IpAddr>;

#[derive(Clone)]
pub(super) struct HashQueue {
    limits: Limits,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Clients with waiting requests; the first one is served next.
    turns: VecDeque<Client>,
    requests: HashMap<Client, VecDeque<oneshot::Sender<Permit>>>,
}

/// The right to run one hash. Dropping it starts the next one.
pub(super) struct Permit(Option<Arc<Mutex<State>>>);

impl HashQueue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Arc::default() }
    }

    /// Waits for the client's turn.
    ///
    /// # Errors
    /// [`QueueFull`], at once or when a client with fewer requests needs the place.
    pub(super) async fn acquire(&self, client: Client) -> Result<Permit, QueueFull> {
        let turn = {
            let mut state = self.state.lock();
            if state.running < self.limits.concurrency {
                state.running += 1;
                return Ok(Permit(Some(self.state.clone())));
            }
            self.enqueue(&mut state, client)?
        };
        turn.await.map_err(|_| QueueFull)
    }

    fn enqueue(
        &self,
        state: &mut State,
        client: Client,
    ) -> Result<oneshot::Receiver<Permit>, QueueFull> {
        let own = state.requests.get(&client).map_or(0, VecDeque::len);
        if own >= self.limits.per_client {
            return Err(QueueFull);
        }
        if state.waiting >= self.limits.capacity {
            state.refuse_one_of_busiest(own)?;
        }
        let (sender, receiver) = oneshot::channel();
        if own == 0 {
            state.turns.push_back(client);
        }
        state.requests.entry(client).or_default().push_back(sender);
        state.waiting += 1;
        Ok(receiver)
    }
}

impl State {
    /// Refuses the newest request of the client with the most requests, unless that is
    /// not more than a client with `own` requests would have then.
    fn refuse_one_of_busiest(&mut self, own: usize) -> Result<(), QueueFull> {
        let busiest = self.requests.values_mut().max_by_key(|requests| requests.len());
        let busiest = busiest.filter(|requests| requests.len() > own + 1).ok_or(QueueFull)?;
        busiest.pop_back();
        self.waiting -= 1;
        Ok(())
    }

    /// The oldest request of the client whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        let client = self.turns.pop_front()?;
        let requests = self.requests.get_mut(&client)?;
        let next = requests.pop_front();
        if requests.is_empty() {
            self.requests.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        self.waiting -= 1;
        next
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        let mut state = shared.lock();
        while let Some(next) = state.next() {
            match next.send(Permit(Some(shared.clone()))) {
                Ok(()) => return,
                // The caller is gone; dropping this permit must not lock again.
                Err(mut unused) => unused.0 = None,
            }
        }
        state.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, HashQueue, Limits, Permit, QueueFull};
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use std::net::IpAddr;

    type Request = BoxFuture<'static, Result<Permit, QueueFull>>;

    fn queue(capacity: usize, per_client: usize) -> HashQueue {
        HashQueue::new(Limits { concurrency: 1, capacity, per_client })
    }

    fn client(n: u8) -> Client {
        Some(IpAddr::from([203, 0, 113, n]))
    }

    /// A request that is queued already, unless it was refused at once.
    fn request(queue: &HashQueue, client: Client) -> Result<Request, QueueFull> {
        let queue = queue.clone();
        let mut request = async move { queue.acquire(client).await }.boxed();
        match request.as_mut().now_or_never() {
            None => Ok(request),
            Some(Err(QueueFull)) => Err(QueueFull),
            Some(Ok(permit)) => Ok(async { Ok(permit) }.boxed()),
        }
    }

    fn is_ready(request: &mut Request) -> Option<Permit> {
        request.as_mut().now_or_never().map(|result| result.expect("not refused"))
    }

    #[test]
    fn eighty_requests_of_one_client_delay_another_by_one_hash() {
        let queue = queue(100, 100);
        let running = request(&queue, client(1)).unwrap().now_or_never().unwrap();
        let mut flood: Vec<_> = (0..79).map(|_| request(&queue, client(1)).unwrap()).collect();
        let mut other = request(&queue, client(2)).unwrap();
        drop(running);
        assert!(is_ready(&mut other).is_none());
        let second = is_ready(&mut flood[0]).expect("the oldest of the first client");
        drop(second);
        let third = is_ready(&mut other).expect("the turn of the other client");
        assert!(is_ready(&mut flood[1]).is_none(), "one hash at a time");
        drop(third);
        assert!(is_ready(&mut flood[1]).is_some());
    }

    #[test]
    fn queue_is_bounded_and_refuses_the_client_with_most_requests() {
        let queue = queue(4, 3);
        let _running = request(&queue, client(1)).unwrap().now_or_never().unwrap();
        let mut first: Vec<_> = (0..3).map(|_| request(&queue, client(1)).unwrap()).collect();
        assert!(request(&queue, client(1)).is_err(), "one client has three places");
        let mut second = request(&queue, client(2)).unwrap();
        let mut third = request(&queue, client(3)).unwrap();
        let refused = first.pop().unwrap().now_or_never().unwrap();
        assert!(refused.is_err(), "the newest of the first client made room");
        for waiting in first.iter_mut().chain([&mut second, &mut third]) {
            assert!(is_ready(waiting).is_none());
        }
        // Everybody has few requests now, so nobody is refused for another.
        let _fourth = request(&queue, client(4)).unwrap();
        assert!(request(&queue, client(5)).is_err());
    }

    #[test]
    fn abandoned_requests_free_their_places() {
        let queue = queue(10, 10);
        let running = request(&queue, client(1)).unwrap().now_or_never().unwrap();
        let abandoned = request(&queue, client(1)).unwrap();
        let mut waiting = request(&queue, client(2)).unwrap();
        drop(abandoned);
        drop(running);
        // A permit that was sent to a caller who is gone by then is passed on, too.
        let next = request(&queue, client(3)).unwrap();
        let permit = is_ready(&mut waiting).expect("the next in line");
        drop(permit);
        drop(next);
        let free = request(&queue, client(4)).unwrap().now_or_never().unwrap();
        assert!(free.is_ok());
        assert_eq!(queue.state.lock().waiting, 0);
    }

    #[test]
    fn last_in_line_waits_for_at_most_32_hashes_per_core() {
        for cores in [1, 2, 4, 64] {
            let limits = Limits::for_cores(cores);
            assert!(limits.capacity.div_ceil(limits.concurrency) <= 32, "{limits:?}");
            assert!(limits.per_client < limits.capacity, "{limits:?}");
        }
    }
}
