//! The places at which calls have to wait now, for the engine and the pages.

use super::Outbound;
use super::timer::shown;
use domain::{BreakerState, ConnectionId, Timestamp, UserId, WaitReason, Waiting};
use std::time::Duration;

/// No run starts before a rate limit that lasts longer. A run that has started waits
/// for a shorter one.
const MAX_WAIT_BEFORE_START: Duration = Duration::from_secs(60);

/// A circuit or a rate limit that makes calls wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backpressure {
    /// The affected user; `None` for all users.
    pub user_id: Option<UserId>,
    pub connection_id: ConnectionId,
    /// The affected model; `None` for all models.
    pub model: Option<String>,
    pub waiting: Waiting,
    /// The connection is suspended: its calls are rejected at once instead of waiting.
    pub is_suspended: bool,
    /// No call passes before `waiting.until`. If false, one call per user may be in
    /// progress, as a probe or as the next one in the queue.
    pub blocks_all: bool,
}

/// A connection, or one model of it, on which the calls of a user fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingConnection {
    pub user_id: UserId,
    pub connection_id: ConnectionId,
    /// The failing model; `None` for all models.
    pub model: Option<String>,
    /// A sentence about the last failures. Contains text of the provider.
    pub reason: String,
    /// The last success, if this process saw one.
    pub last_success: Option<Timestamp>,
}

impl Outbound {
    /// What a call of this user to this model would have to wait for now.
    #[must_use]
    pub fn expected_wait(
        &self,
        user: UserId,
        connection: ConnectionId,
        model: &str,
    ) -> Option<Waiting> {
        let now = self.clock.now();
        let circuit = self.breakers.view(user, connection, now);
        if [BreakerState::Open, BreakerState::HalfOpen].contains(&circuit.state) {
            return Some(Waiting { what: WaitReason::Circuit, until: circuit.until });
        }
        if let Some((until, true)) = self.breakers.suspension((user, connection), model, now) {
            return Some(Waiting { what: WaitReason::Circuit, until: Some(until) });
        }
        let until = shown(self.limiter.exhausted(connection, model, now)?, now);
        Some(Waiting { what: WaitReason::RateLimit, until })
    }

    /// The number of concurrent calls that each model accepts, where refusals showed it.
    #[must_use]
    pub fn learned_concurrency(&self) -> Vec<(ConnectionId, String, u32)> {
        self.limiter.learned_concurrency()
    }

    /// All connections whose circuit is not closed, and all suspended models.
    #[must_use]
    pub fn failing_connections(&self) -> Vec<FailingConnection> {
        self.breakers.all_failing()
    }

    /// All circuits and rate limits that make calls wait now, and the suspended
    /// connections and models, for which calls are rejected at once.
    #[must_use]
    pub fn backpressure(&self) -> Vec<Backpressure> {
        let now = self.clock.now();
        let circuits =
            self.breakers.all_open(now).into_iter().map(|(user, connection_id, breaker)| {
                let waiting = Waiting { what: WaitReason::Circuit, until: breaker.until };
                let blocks_all = breaker.state == BreakerState::Open;
                Backpressure {
                    user_id: Some(user),
                    connection_id,
                    model: None,
                    waiting,
                    is_suspended: false,
                    blocks_all,
                }
            });
        let suspended = self.breakers.all_suspended(now).into_iter();
        let suspended = suspended.map(|suspended| Backpressure {
            user_id: Some(suspended.user_id),
            connection_id: suspended.connection_id,
            model: suspended.model,
            waiting: Waiting { what: WaitReason::Circuit, until: Some(suspended.until) },
            is_suspended: true,
            blocks_all: suspended.rejects,
        });
        let buckets = self.limiter.all_exhausted(now).into_iter();
        let rate_limits = buckets.map(|(connection_id, model, until)| {
            let waiting = Waiting { what: WaitReason::RateLimit, until };
            let blocks_all = until.is_some_and(|until| until.since(now) > MAX_WAIT_BEFORE_START);
            let (user_id, model) = (None, Some(model));
            let is_suspended = false;
            Backpressure { user_id, connection_id, model, waiting, is_suspended, blocks_all }
        });
        circuits.chain(suspended).chain(rate_limits).collect()
    }
}
