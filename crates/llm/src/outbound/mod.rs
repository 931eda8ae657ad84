//! The one path of all outbound calls:
//! `limiter → breaker → call → classify → retry?`
//!
//! There is one retry layer, and it is here. Time is of two kinds: *active*
//! (attempts, and the backoff between them) and *parked* (rate limit,
//! circuit); each has its own end. Dropping the future of a call drops the
//! attempt in flight and gives every permit back.
//!
//! - `limiter`: a [`gate`] by connection and model, users in turn (`turns`),
//!   over `bucket`: what a provider told (`window`, `size`) and how many calls
//!   at once it bears (`crowd`).
//! - `breakers`: a gate by user and connection, over `breaker` and `recent`.
//! - `call`: one call's way; `backoff`, `budget`: its retries.
//!
//! What decides is pure: time is passed in.

mod backoff;
mod breaker;
#[cfg(test)]
mod breaker_tests;
mod breakers;
mod bucket;
#[cfg(test)]
mod bucket_tests;
mod budget;
mod call;
mod crowd;
mod gate;
mod limiter;
#[cfg(test)]
mod limiter_tests;
mod limits;
mod recent;
mod size;
#[cfg(test)]
mod suspend_tests;
mod sweep;
#[cfg(test)]
mod tests;
pub mod turns;
mod window;

pub use limits::{CallLimits, CallTimes, CallWatcher, Held, Route, Scope, Unwatched};

use llm_types::{CallError, ChatReply, ChatRequest, Provider};
use clock::SharedClock;
use domain::{Breaker, BreakerState, ConnectionId, UserId, Waiting, WaitingOn};
use breakers::Breakers;
use budget::RetryBudgets;
use call::Call;
use gate::Gate;
use limiter::Limiter;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use std::sync::Arc;

/// The outbound path. One per process.
pub struct Outbound {
    provider: Arc<dyn Provider>,
    limiter: Limiter,
    breakers: Breakers,
    /// Gates in their place, for tests of the path alone.
    #[cfg(test)]
    gates: Option<[Arc<dyn Gate>; 2]>,
    budgets: RetryBudgets,
    clock: SharedClock,
    rng: Mutex<SmallRng>,
}

impl Outbound {
    /// A path to `provider` that has learned nothing yet.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, clock: SharedClock, rng: SmallRng) -> Self {
        Self {
            provider,
            limiter: Limiter::new(clock.clone()),
            breakers: Breakers::new(clock.clone()),
            #[cfg(test)]
            gates: None,
            budgets: RetryBudgets::default(),
            clock,
            rng: Mutex::new(rng),
        }
    }

    /// The same path behind these gates: a limiter and a breaker.
    #[cfg(test)]
    fn with_gates(mut self, limiter: Arc<dyn Gate>, breaker: Arc<dyn Gate>) -> Self {
        self.gates = Some([limiter, breaker]);
        self
    }

    fn limiter_gate(&self) -> &dyn Gate {
        #[cfg(test)]
        if let Some([limiter, _]) = &self.gates {
            return limiter.as_ref();
        }
        &self.limiter
    }

    fn breaker_gate(&self) -> &dyn Gate {
        #[cfg(test)]
        if let Some([_, breaker]) = &self.gates {
            return breaker.as_ref();
        }
        &self.breakers
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
        route: &dyn Route,
        request: &ChatRequest,
        limits: &CallLimits,
        watcher: &dyn CallWatcher,
        times: &mut CallTimes,
    ) -> Result<ChatReply, CallError> {
        Call::new(self, scope, route, request, limits, watcher, times).run().await
    }

    /// Whole retries that a user has left on a connection.
    #[must_use]
    pub fn retries_left(&self, user: UserId, connection: ConnectionId) -> u32 {
        self.budgets.left(user, connection)
    }

    /// A user's circuit on a connection, as people see it.
    #[must_use]
    pub fn circuit(&self, user: UserId, connection: ConnectionId) -> Breaker {
        self.breakers.view(user, connection, self.clock.now())
    }

    /// The same, as a call to `model` finds it.
    #[must_use]
    pub fn circuit_of(&self, user: UserId, connection: ConnectionId, model: &str) -> Breaker {
        self.breakers.view_of((user, connection), model, self.clock.now())
    }

    /// For what a call of this user to this model would have to wait now.
    #[must_use]
    pub fn waits(&self, user: UserId, connection: ConnectionId, model: &str) -> Option<Waiting> {
        let now = self.clock.now();
        let circuit = self.breakers.view(user, connection, now);
        if [BreakerState::Open, BreakerState::HalfOpen].contains(&circuit.state) {
            return Some(Waiting { what: WaitingOn::Circuit, until: circuit.until });
        }
        let until = limits::worth_saying(self.limiter.dry(connection, model, now)?, now);
        Some(Waiting { what: WaitingOn::RateLimit, until })
    }

    /// Everything that a call would have to wait for now. A latched circuit is not among
    /// these: there a call is refused at once, and waits for nothing.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let now = self.clock.now();
        let shut = self.breakers.all_shut(now).into_iter().map(|(user, connection_id, breaker)| {
            let waiting = Waiting { what: WaitingOn::Circuit, until: breaker.until };
            let nobody = breaker.state == BreakerState::Open;
            Held { user_id: Some(user), connection_id, model: None, waiting, nobody }
        });
        let dry = self.limiter.all_dry(now).into_iter().map(|(connection_id, model, until)| {
            let waiting = Waiting { what: WaitingOn::RateLimit, until };
            let nobody = until.is_some_and(|until| until.since(now) > limits::SOON);
            Held { user_id: None, connection_id, model: Some(model), waiting, nobody }
        });
        shut.chain(dry).collect()
    }

    /// Forgets what was learned of a connection: it was edited or deleted.
    pub fn forget(&self, connection: ConnectionId) {
        self.budgets.forget(connection);
        self.limiter.forget(connection);
        self.breakers.forget(connection);
    }

    /// Ends the latches of a connection, everybody's: somebody saved it. An
    /// open circuit stays open: saving mends no outage.
    pub fn unlatch(&self, connection: ConnectionId) {
        self.breakers.unlatch(connection);
    }
}
