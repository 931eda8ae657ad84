//! The seams of limiter and breaker: who may call now.

use super::size::Size;
use llm_types::{CallError, ChatReply};
use domain::{ConnectionId, Timestamp, UserId, WaitingOn};
use futures::future::BoxFuture;

/// What limits and circuits are kept by (the limiter by connection and model,
/// the breaker by user and connection), and what a call will take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallKey {
    /// Whose call.
    pub(super) user_id: UserId,
    /// Over which connection.
    pub(super) connection_id: ConnectionId,
    /// To which model.
    pub(super) model: String,
    /// A person asked for this very call ("Try now").
    pub(super) probe: bool,
    /// How large it is.
    pub(super) size: Size,
}

/// A limiter or a breaker.
pub(super) trait Gate: Send + Sync + 'static {
    /// Asks for leave to make one attempt now. Never blocks.
    fn admit(&self, key: &CallKey, now: Timestamp) -> Admission;

    /// Until when a call waits here that is waiting, where that is known.
    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        let _ = (key, now);
        None
    }
}

/// What comes of waiting at a gate: leave, or a refusal.
pub(super) type Turn = BoxFuture<'static, Result<Box<dyn Permit>, CallError>>;

/// The answer of a gate.
pub(super) enum Admission {
    /// Go.
    Granted(Box<dyn Permit>),
    /// Not now.
    Wait {
        /// For what, as a person is told.
        what: WaitingOn,
        /// Until when, where that is known.
        until: Option<Timestamp>,
        /// Resolves with the leave itself, so that nobody else is quicker.
        /// Dropping it leaves the queue.
        turn: Turn,
    },
    /// Not at all: a latched circuit.
    Refused(CallError),
}

/// Leave to make one attempt. Dropping it gives it back and says nothing
/// about the provider: that is what happens when a call is cancelled.
pub(super) trait Permit: Send {
    /// The attempt goes out now: given back from here on, it has cost.
    fn sent(&mut self) {}

    /// The attempt has ended like this; [`crate::classify::effect`] says
    /// what an error means for a circuit.
    fn finish(self: Box<Self>, outcome: Result<&ChatReply, &CallError>);
}
