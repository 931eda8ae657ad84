//! The context of a change.

use sqlx::SqliteConnection;
use std::ops::{Deref, DerefMut};
use store::commit_effects::CommitEffects;

/// The open transaction of the writer: a connection for statements, and the
/// effects that the writer publishes after the commit.
pub struct WriteTransaction {
    pub(super) connection: SqliteConnection,
    pub(crate) effects: CommitEffects,
}

impl WriteTransaction {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { connection, effects: CommitEffects::default() }
    }
}

impl Deref for WriteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
