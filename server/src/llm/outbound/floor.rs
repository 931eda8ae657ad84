//! Before when nobody may call a model on a connection: what one call was
//! told by Retry-After holds for all calls of that bucket.

use app::domain::{ConnectionId, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Entries after which those that lie in the past are swept out.
const SWEEP_AT: usize = 1000;

/// The floors of all buckets.
#[derive(Debug, Default)]
pub(super) struct Floors {
    until: Mutex<HashMap<(ConnectionId, String), Timestamp>>,
}

impl Floors {
    /// Raises the floor of a bucket; it never sinks.
    pub(super) fn raise(
        &self,
        connection: ConnectionId,
        model: &str,
        until: Timestamp,
        now: Timestamp,
    ) {
        let mut floors = self.until.lock();
        if floors.len() >= SWEEP_AT {
            floors.retain(|_, until| *until > now);
        }
        let floor = floors.entry((connection, model.to_owned())).or_insert(until);
        *floor = until.max(*floor);
    }

    /// The floor, if it still lies ahead.
    pub(super) fn ahead(
        &self,
        connection: ConnectionId,
        model: &str,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let floors = self.until.lock();
        floors.get(&(connection, model.to_owned())).copied().filter(|until| *until > now)
    }

    /// Takes all floors of a connection away: it was edited.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.until.lock().retain(|(of, _), _| *of != connection);
    }
}
