//! The input of a call, its outcome, and the hooks that it calls meanwhile.

use super::fair_queue::CallOrder;
use async_trait::async_trait;
use domain::{ConnectionId, UserId, Waiting};
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint};
use std::time::Duration;

/// The input of one call.
pub struct Call<'a, R> {
    /// Circuits, retry budgets and queues are per user.
    pub user_id: UserId,
    /// The place among the waiting calls of the user.
    pub order: CallOrder,
    /// Marks a manual probe: it passes an open or suspended circuit, is not
    /// retried, and closes the circuit if it succeeds.
    pub is_manual_probe: bool,
    pub resolver: &'a R,
    pub request: &'a ChatRequest,
    pub limits: CallLimits,
    pub hooks: &'a dyn CallHooks,
}

/// The remaining time of one call, its waits and its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// The maximum duration of one attempt.
    pub call_timeout: Duration,
    /// The remaining active time of the run.
    pub active_left: Duration,
    /// How long the call may wait for a rate limit that lets no call of its connection and
    /// model through (`max_wait` of the engine's settings, or what is left of it). Calls that
    /// succeed meanwhile restart this time.
    pub max_wait: Duration,
    /// How long it may wait for an open circuit.
    pub circuit_wait: Duration,
}

/// The result of a call and the time that it used.
#[derive(Debug)]
pub struct CallOutcome<E = CallError> {
    pub result: Result<ChatReply, E>,
    pub times: CallTimes,
}

/// The time that a call used, also if it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTimes {
    /// The time of the attempts and of the backoff between them.
    pub active: Duration,
    /// The time waited for rate limits and circuits, also in waits that were too short to
    /// be reported to the hooks. Waits of the hooks for slots are not included.
    pub waited: Duration,
    /// The part of `waited` in waits for an open circuit.
    pub circuit: Duration,
}

/// Resolves the endpoint of a connection before each attempt, after both gates. An
/// edit of the connection wakes waiting calls, so they use the edited endpoint.
#[async_trait]
pub trait EndpointResolver: Send + Sync {
    /// The error of a call: a failed call, or a failed resolution.
    type Error: From<CallError> + Send;

    /// The connection, which is constant.
    fn connection_id(&self) -> ConnectionId;

    /// Resolves the current endpoint.
    ///
    /// # Errors
    /// The error ends the call without an attempt.
    async fn resolve(&self) -> Result<Endpoint, Self::Error>;
}

/// A constant endpoint, for a call that does not wait.
#[async_trait]
impl EndpointResolver for Endpoint {
    type Error = CallError;

    fn connection_id(&self) -> ConnectionId {
        self.connection_id
    }

    async fn resolve(&self) -> Result<Endpoint, CallError> {
        Ok(self.clone())
    }
}

/// Hooks of a call. The call continues when a hook returns, so that a run can
/// store `waiting_on`, release its slots while it waits, and acquire them again.
#[async_trait]
pub trait CallHooks: Send + Sync {
    /// The call waits for 2 s or longer.
    async fn waiting(&self, waiting: Waiting) {
        let _ = waiting;
    }

    /// The call continues after a wait that was reported. If the hook takes longer
    /// than 1 s, the call releases its permit and queues again. The hook may take any
    /// time. Not called if the wait ended with an error.
    async fn resumed(&self) {}

    /// Attempt number `attempt` (from 1) starts: from here on it may cost money.
    async fn attempt_started(&self, attempt: u32) {
        let _ = attempt;
    }
}

/// Hooks that do nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl CallHooks for NoHooks {}
