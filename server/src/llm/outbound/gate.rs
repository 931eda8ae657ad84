//! The seams of limiter and breaker: who may call now.

use crate::llm::types::{CallError, ChatReply};
use app::domain::{ConnectionId, Timestamp, UserId, WaitingOn};
use futures::future::BoxFuture;

/// What limits and circuits are kept by: the limiter by connection and model,
/// the breaker by user and connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// Whose call.
    pub user_id: UserId,
    /// Over which connection.
    pub connection_id: ConnectionId,
    /// To which model.
    pub model: String,
    /// A person asked for this very call ("Try now").
    pub probe: bool,
}

/// A limiter or a breaker.
pub trait Gate: Send + Sync + 'static {
    /// Asks for leave to make one attempt now. Never blocks.
    fn admit(&self, key: &CallKey, now: Timestamp) -> Admission;
}

/// The answer of a gate.
pub enum Admission {
    /// Go.
    Granted(Box<dyn Permit>),
    /// Not now. Ask again when `ready` resolves (in vain, perhaps: somebody
    /// else may have been quicker).
    Wait {
        /// For what, as a person is told.
        what: WaitingOn,
        /// Until when, where that is known.
        until: Option<Timestamp>,
        /// Resolves when asking again makes sense.
        ready: BoxFuture<'static, ()>,
    },
    /// Not at all: a latched circuit.
    Refused(CallError),
}

/// Leave to make one attempt. Dropping it gives it back and says nothing
/// about the provider: that is what happens when a call is cancelled.
pub trait Permit: Send {
    /// The attempt has ended like this; [`crate::llm::classify::effect`] says
    /// what an error means for a circuit.
    fn finish(self: Box<Self>, outcome: Result<&ChatReply, &CallError>);
}

/// A gate that is always open.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

struct FreePermit;

impl Permit for FreePermit {
    fn finish(self: Box<Self>, _: Result<&ChatReply, &CallError>) {}
}

impl Gate for OpenGate {
    fn admit(&self, _: &CallKey, _: Timestamp) -> Admission {
        Admission::Granted(Box::new(FreePermit))
    }
}
