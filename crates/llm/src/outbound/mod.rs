//! The path of all outbound calls:
//! `limiter → breaker → attempt → classify → retry?`
//!
//! [`call`] is the only retry layer. It distinguishes *active* time (attempts and
//! the backoff between them) from time *waited* (rate limit, circuit); each has its
//! own limit. Dropping the future of a call drops its attempt and releases its
//! permits.
//!
//! - `limiter`: a `gate` by connection and model (`model_limiter`). A `fair_queue` of
//!   users in front of a `bucket`, which tracks the provider's limits (`window`, `token_estimate`), the
//!   number of concurrent calls (`adaptive_concurrency`) and the rate (`learned_rate`,
//!   `pace`). `refusals` tells a limit from single refusals, `stop` pauses the bucket.
//! - `breakers`: a gate by user and connection, built on `breaker` and
//!   `call_history`.
//! - `call`: the steps of one call; `backoff` and `budget` control its retries.
//!
//! All decisions are pure functions of the time that is passed in.

mod adaptive_concurrency;
mod backoff;
mod backpressure;
mod breaker;
#[cfg(test)]
mod breaker_tests;
mod breakers;
#[cfg(test)]
mod breakers_tests;
mod bucket;
#[cfg(test)]
mod bucket_tests;
mod budget;
mod call;
mod call_history;
mod eviction;
pub mod fair_queue;
mod gate;
mod learned_rate;
mod limit_kinds;
mod limiter;
#[cfg(test)]
mod limiter_tests;
#[cfg(test)]
mod machine_pause_tests;
mod model_limiter;
mod pace;
mod refusals;
mod stop;
#[cfg(test)]
mod tests;
mod timer;
mod token_estimate;
mod types;
mod window;

pub use backpressure::{Backpressure, FailingConnection};
pub use fair_queue::CallOrder;
pub use types::{Call, CallHooks, CallLimits, CallOutcome, CallTimes, EndpointResolver, NoHooks};

use breakers::Breakers;
use budget::RetryBudgets;
use call::CallDriver;
use clock::SharedClock;
use domain::{Breaker, ConnectionId, UserId};
use gate::Gate;
use limiter::Limiter;
use llm_types::{CallError, Endpoint, Provider};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use std::sync::Arc;

/// The outbound path. One per process.
pub struct Outbound {
    provider: Arc<dyn Provider>,
    limiter: Limiter,
    breakers: Breakers,
    /// Replacements of the limiter and the breakers in tests.
    #[cfg(test)]
    gates: Option<[Arc<dyn Gate>; 2]>,
    budgets: RetryBudgets,
    clock: SharedClock,
    rng: Mutex<SmallRng>,
}

impl Outbound {
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

    /// Replaces the limiter and the breakers.
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

    /// Calls the model until it replies or a retry is useless. The latency of the
    /// reply is that of its own attempt. A [`CallError`](llm_types::CallError) always
    /// has the decision [`GiveUp`](llm_types::Decision::GiveUp) with the error kind of
    /// the run: `timeout` if `active_left` is used up, `rate_limited` if `max_wait` is,
    /// `circuit_open` if `circuit_wait` is.
    pub async fn call<R: EndpointResolver>(&self, call: Call<'_, R>) -> CallOutcome<R::Error> {
        CallDriver::new(self, call).run().await
    }

    /// The models that a server lists. This calls no model, so it neither waits for limits
    /// nor counts for the circuit.
    ///
    /// # Errors
    /// As [`Provider::models`].
    pub async fn models(&self, endpoint: &Endpoint) -> Result<Vec<String>, CallError> {
        self.provider.models(endpoint).await
    }

    /// The whole retries left to a user on a connection.
    #[must_use]
    pub fn retries_left(&self, user: UserId, connection: ConnectionId) -> u32 {
        self.budgets.left(user, connection)
    }

    /// A user's circuit on a connection.
    #[must_use]
    pub fn circuit(&self, user: UserId, connection: ConnectionId) -> Breaker {
        self.breakers.view(user, connection, self.clock.now())
    }

    /// A user's circuit on a connection, as it applies to calls of `model`.
    #[must_use]
    pub fn model_circuit(&self, user: UserId, connection: ConnectionId, model: &str) -> Breaker {
        self.breakers.view_for_model((user, connection), model, self.clock.now())
    }

    /// Forgets everything about a connection that was edited or deleted.
    pub fn reset_connection(&self, connection: ConnectionId) {
        self.budgets.reset(connection);
        self.limiter.reset(connection);
        self.breakers.reset(connection);
        self.provider.forget_adjustments(connection);
    }

    /// Ends the suspensions of a connection for all users, and forgets what its server
    /// rejects, because it was saved. An open circuit stays open, because saving does not end an outage.
    pub fn clear_suspensions(&self, connection: ConnectionId) {
        self.breakers.clear_suspensions(connection);
        self.provider.forget_adjustments(connection);
    }
}
