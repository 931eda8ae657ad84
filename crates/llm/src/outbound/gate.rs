//! The interface of the limiter and the circuit breaker to a call.

use super::fair_queue::CallOrder;
use super::token_estimate::RequestSize;
use domain::{ConnectionId, Timestamp, UserId, WaitReason};
use futures::future::BoxFuture;
use llm_types::{CallError, ChatReply};

/// The attributes of a call that the gates use. The limiter is keyed by connection
/// and model, the circuit breaker by user and connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallKey {
    pub(super) user_id: UserId,
    pub(super) order: CallOrder,
    pub(super) connection_id: ConnectionId,
    pub(super) model: String,
    /// No attempt is made before: the Retry-After of the call, or its backoff.
    pub(super) not_before: Option<Timestamp>,
    /// Marks a manual probe ("Retry now").
    pub(super) is_manual_probe: bool,
    pub(super) size: RequestSize,
}

/// A limiter or a circuit breaker.
pub(super) trait Gate: Send + Sync + 'static {
    /// Requests a permit for one attempt. Never blocks.
    fn acquire(&self, key: &CallKey, now: Timestamp) -> Admission;

    /// The time until which a waiting call waits, if it is known.
    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        let _ = (key, now);
        None
    }

    /// The last success of a call with the same connection and model.
    fn last_success(&self, key: &CallKey) -> Option<Timestamp> {
        let _ = key;
        None
    }
}

/// Resolves to a permit or a rejection. Dropping it leaves the queue.
pub(super) type PermitFuture = BoxFuture<'static, Result<Box<dyn Permit>, CallError>>;

/// The response of a gate.
pub(super) enum Admission {
    Granted(Box<dyn Permit>),
    Wait {
        reason: WaitReason,
        /// The end of the wait, if it is known.
        until: Option<Timestamp>,
        /// Resolves to the permit itself, so that no other call can take it.
        permit: PermitFuture,
    },
    /// The circuit is suspended.
    Rejected(CallError),
}

/// The permission to make one attempt. Dropping it releases it without an outcome,
/// for example when a call is canceled.
pub(super) trait Permit: Send {
    /// Records that the attempt is sent: if it is canceled later, it still counts.
    fn mark_sent(&mut self) {}

    /// Releases the permit with the outcome of its attempt.
    /// [`crate::classify::effect`] gives the effect of an error on a circuit.
    fn finish(self: Box<Self>, outcome: Result<&ChatReply, &CallError>);
}

/// The permits of both gates.
pub(super) struct Permits {
    pub(super) limiter: Box<dyn Permit>,
    pub(super) breaker: Box<dyn Permit>,
}

impl Permits {
    pub(super) fn mark_sent(&mut self) {
        self.limiter.mark_sent();
        self.breaker.mark_sent();
    }

    pub(super) fn finish(self, outcome: Result<&ChatReply, &CallError>) {
        self.limiter.finish(outcome);
        self.breaker.finish(outcome);
    }
}
