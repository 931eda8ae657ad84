//! What a caller allows a call, what it used, and who is told meanwhile.

use llm_types::{CallError, Endpoint};
use domain::{ConnectionId, Timestamp, UserId, Waiting};
use async_trait::async_trait;
use std::time::Duration;

/// A rate limit that ends so soon is worth being waited for by a run that has
/// begun; before a longer one nothing begins.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// Where calls trickle through, when the next one goes says little to those
/// behind it: only a time that is further off is said.
pub(super) const WORTH_SAYING: Duration = Duration::from_secs(5);

/// Whoever sleeps until a moment looks again at least so often: the clock goes
/// on while the machine is suspended, and timers do not.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Sleeps until then, or for a while; for ever where it is not known until when.
/// Either way the caller looks at the clock again.
pub(super) async fn sleep_towards(until: Option<Timestamp>, now: Timestamp) {
    match until {
        Some(until) => tokio::time::sleep(until.since(now).min(LOOK_AGAIN)).await,
        None => std::future::pending().await,
    }
}

/// The time, if it is worth saying.
pub(super) fn worth_saying(until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    until.filter(|until| until.since(now) >= WORTH_SAYING)
}

/// On whose behalf a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Breakers are per user and connection.
    pub user_id: UserId,
    /// A person asks to try now: goes through an open or latched circuit, and
    /// its success closes it.
    pub probe: bool,
}

/// What is left for one call, its waits and its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Longest single attempt.
    pub call_timeout: Duration,
    /// What the run has left of its active time.
    pub active_left: Duration,
    /// What the run has left to spend parked.
    pub max_wait: Duration,
    /// The part of it that may be spent behind an open circuit.
    pub circuit_wait: Duration,
}

/// A place at which calls have to wait now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whose calls; `None` = everybody's.
    pub user_id: Option<UserId>,
    /// Over which connection.
    pub connection_id: ConnectionId,
    /// To which model; `None` = to any.
    pub model: Option<String>,
    /// For what they wait, and until when.
    pub waiting: Waiting,
    /// Nobody gets through before `until`. Else one of each user may be on the
    /// way: to probe, or to have its turn.
    pub nobody: bool,
}

/// Where a call goes. Looked up before every attempt, when the call may go out: an
/// edit wakes who waits, and what waited goes where the edit says, with its key.
#[async_trait]
pub trait Route: Send + Sync {
    /// The connection, which stays the same.
    fn connection_id(&self) -> ConnectionId;

    /// Where it leads now.
    ///
    /// # Errors
    /// The error with which the call ends; no attempt is made.
    async fn endpoint(&self) -> Result<Endpoint, CallError>;
}

/// One that was read just now, for a call that does not wait.
#[async_trait]
impl Route for Endpoint {
    fn connection_id(&self) -> ConnectionId {
        self.connection_id
    }

    async fn endpoint(&self) -> Result<Endpoint, CallError> {
        Ok(self.clone())
    }
}

/// Time that went by. Added to, never reset: one value can collect a run's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTimes {
    /// In attempts and in the backoff between them.
    pub active: Duration,
    /// Parked: rate limit, circuit, and what the watcher took.
    pub parked: Duration,
    /// The part of `parked` behind an open circuit.
    pub circuit: Duration,
}

/// Who wants to know what a call is doing. The call goes on when a method
/// returns, so that a run can store `waiting_on`, give its slots back while it
/// waits, and take them again before it goes on.
#[async_trait]
pub trait CallWatcher: Send + Sync {
    /// It waits, for 1 s or more.
    async fn waiting(&self, waiting: Waiting) {
        let _ = waiting;
    }

    /// It goes on after a wait that was told of. What takes longer than about a
    /// second costs the call its turn, and counts as time parked. Not called when
    /// the wait ended in an error: then nothing goes on.
    async fn resumed(&self) {}

    /// An attempt begins, counted from 1: from here on it may cost money.
    async fn attempt_started(&self, attempt: u32) {
        let _ = attempt;
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl CallWatcher for Unwatched {}
