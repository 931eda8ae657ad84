//! Connections in memory for the engine, which needs one before each attempt of a call.

use domain::ConnectionId;
use parking_lot::Mutex;
use std::collections::HashMap;
use store::catalog::ConnectionRow;

/// The number of connections at which all are forgotten, so that the memory is bounded.
const MAX_CONNECTIONS: usize = 1000;

/// Connections as they are stored. The writer forgets them before it reports a change that
/// may have edited one, so nobody who knows of an edit gets an earlier state.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often everything was forgotten.
    version: u64,
    connections: HashMap<ConnectionId, ConnectionRow>,
}

impl ConnectionCache {
    /// A connection, or else the version to pass to [`insert`](Self::insert) once it is read.
    pub(crate) fn get(&self, id: ConnectionId) -> Result<ConnectionRow, u64> {
        let known = self.0.lock();
        known.connections.get(&id).cloned().ok_or(known.version)
    }

    /// Adds a connection that was read, unless it may have been edited since `version`.
    pub(crate) fn insert(&self, row: &ConnectionRow, version: u64) {
        let mut known = self.0.lock();
        if known.version == version {
            if known.connections.len() >= MAX_CONNECTIONS {
                known.connections.clear();
            }
            known.connections.insert(row.id, row.clone());
        }
    }

    pub(crate) fn clear(&self) {
        let mut known = self.0.lock();
        known.version += 1;
        known.connections.clear();
    }
}
