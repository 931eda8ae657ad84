//! The one path of all outbound calls:
//! `limiter → breaker → call → classify → retry?`
//!
//! There is one retry layer, and it is here. Time is of two kinds: *active*
//! (attempts, and the backoff between them) and *parked* (rate limit,
//! circuit); each has its own end. Dropping the future of a call drops the
//! attempt in flight and gives every permit back.

mod backoff;
mod budget;
mod call;
mod floor;
mod gate;
mod limits;
#[cfg(test)]
mod tests;

pub use gate::{Admission, CallKey, Gate, OpenGate, Permit};
pub use limits::{CallLimits, CallTimes, CallWatcher, Scope, Unwatched};

use super::types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use crate::clock::SharedClock;
use app::domain::ConnectionId;
use budget::RetryBudgets;
use call::Call;
use floor::Floors;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use std::sync::Arc;

/// The outbound path. One per process.
pub struct Outbound {
    provider: Arc<dyn Provider>,
    limiter: Arc<dyn Gate>,
    breaker: Arc<dyn Gate>,
    budgets: RetryBudgets,
    floors: Floors,
    clock: SharedClock,
    rng: Mutex<SmallRng>,
}

impl Outbound {
    /// A path to `provider` behind gates that are always open.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, clock: SharedClock, rng: SmallRng) -> Self {
        Self {
            provider,
            limiter: Arc::new(OpenGate),
            breaker: Arc::new(OpenGate),
            budgets: RetryBudgets::default(),
            floors: Floors::default(),
            clock,
            rng: Mutex::new(rng),
        }
    }

    /// The same path behind these gates.
    #[must_use]
    pub fn with_gates(mut self, limiter: Arc<dyn Gate>, breaker: Arc<dyn Gate>) -> Self {
        (self.limiter, self.breaker) = (limiter, breaker);
        self
    }

    /// Asks until there is an answer or no sense in asking. `times` grows by
    /// what was used, also when it ends in an error; the reply's latency is
    /// that of its own attempt alone.
    ///
    /// # Errors
    /// Always with [`Decision::GiveUp`](super::Decision::GiveUp): the kind
    /// with which the run ends (`timeout` when `active_left` is used up,
    /// `rate_limited` and `circuit_open` when `max_wait` or `circuit_wait` is).
    #[allow(clippy::too_many_arguments)] // who, where, what, how long, and two who listen
    pub async fn call(
        &self,
        scope: &Scope,
        endpoint: &Endpoint,
        request: &ChatRequest,
        limits: &CallLimits,
        watcher: &dyn CallWatcher,
        times: &mut CallTimes,
    ) -> Result<ChatReply, CallError> {
        Call::new(self, scope, endpoint, request, limits, watcher, times).run().await
    }

    /// Whole retries that a connection has left.
    #[must_use]
    pub fn retries_left(&self, connection: ConnectionId) -> u32 {
        self.budgets.left(connection)
    }

    /// Forgets what was learned of a connection: it was edited or deleted.
    pub fn forget(&self, connection: ConnectionId) {
        self.budgets.forget(connection);
        self.floors.forget(connection);
    }
}
