//! The aggregate of what is old: deleted in small steps.

use super::Stored;
use domain::Timestamp;
use async_trait::async_trait;

/// What grows old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// Idempotency keys and the answers under them, by when they were used.
    Keys,
    /// Rejected form input, by when it was sent.
    Drafts,
    /// Browser sessions, by when they expire.
    Sessions,
    /// Events of finished suites, by when those ended. A reader gets the whole
    /// suite then, instead of what it missed.
    Events,
    /// Finished suites with everything in them, by when they ended. One that
    /// is being judged again stays until that is done.
    Suites,
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Rows that went, by table.
    pub rows: Vec<(&'static str, u64)>,
    /// There may be more to go.
    pub more: bool,
}

impl Cleaned {
    /// Rows of all tables.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|(_, rows)| rows).sum()
    }
}

/// Deletes what is old.
#[async_trait]
pub trait CleanStore: Send + Sync + 'static {
    /// One step: deletes at most about `most` rows of what is older than, or
    /// as old as, `before`. What is half deleted is seen by nobody.
    async fn clean(&self, what: Old, before: Timestamp, most: u32) -> Stored<Cleaned>;
    /// Lets the store look after its own tables (statistics for its queries).
    async fn tidy(&self) -> Stored<()>;
}
