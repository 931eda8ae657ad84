//! What keeps runs from starting: limits of a connection, and the capacity of the server
//! and of a model.

use crate::rows::ModelRef;
use domain::{ConnectionId, UserId};
use std::collections::HashMap;

/// A limit on new runs to a connection whose calls have to wait (open circuit,
/// rate limit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionLimit {
    /// `None` limits each user separately.
    pub user_id: Option<UserId>,
    pub connection_id: ConnectionId,
    /// `None` means all models of the connection.
    pub model: Option<String>,
    /// A user's run starts while fewer runs than this are running there: 0 while
    /// no call succeeds, 1 so that one run can probe the connection.
    pub max_running: u32,
}

impl AdmissionLimit {
    /// Whether it limits calls of this user to this model.
    pub(super) fn applies_to(&self, user: UserId, model: Option<&ModelRef>) -> bool {
        self.user_id.is_none_or(|limited| limited == user)
            && model.is_some_and(|target| {
                target.connection_id == self.connection_id
                    && self.model.as_ref().is_none_or(|model| *model == target.model)
            })
    }
}

/// How many runs the calls that are possible at the same time can serve. More do not
/// start, except that every user may have an equal share, so that no user waits until
/// runs of other users end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Active runs that the call slots of the server can serve.
    pub active_runs: u32,
    /// Started runs that a model can serve, where its limit is known.
    pub runs_by_model: HashMap<ModelRef, u32>,
}

impl Capacity {
    /// No limit is known.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { active_runs: u32::MAX, runs_by_model: HashMap::new() }
    }
}

/// The use of a capacity by one user and by all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CapacityUse {
    /// Users with unfinished runs.
    pub(super) users: u32,
    pub(super) total: u32,
    pub(super) of_user: u32,
}

impl CapacityUse {
    pub(super) fn has_room(self, capacity: u32) -> bool {
        self.total < capacity || self.of_user < (capacity / self.users.max(1)).max(1)
    }
}
