//! What is durable: one trait per aggregate, each implemented over SQLite and
//! in memory, and one contract suite that runs against both.
//!
//! - [`rows`]: what the tables hold.
//! - [`transition`]: how a run changes; the only code that sets a status.
//! - `accounts`, `catalog`, `suites`, `queue`: the traits.
//! - `cleaning`, [`cleaner`]: what is old, and the duty that deletes it.
//! - [`hub`]: wakes streams after a commit.
//! - `ended`: counts and logs ends after their commit; [`census`]: what is not
//!   ended, for metrics.

pub mod accounts;
pub mod catalog;
pub mod census;
pub mod cleaner;
pub mod cleaning;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
pub mod ended;
mod evaluation_lease;
pub mod hub;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod pick;
pub mod pick_judging;
pub mod queue;
pub mod rows;
pub mod suites;
pub mod transition;
#[cfg(test)]
mod transition_tests;

use std::sync::Arc;

/// Why the store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else holds the run now: drop everything and stop.
    #[error("the lease is lost")]
    LeaseLost,
    /// A row that must be unique is there already; the name of the rule.
    #[error("there already: {0}")]
    Duplicate(&'static str),
    /// The revision that a change was based on is not the newest.
    #[error("based on an older revision")]
    Stale,
    /// It is in use and cannot go.
    #[error("in use: {0}")]
    InUse(String),
    /// What is stored cannot be read.
    #[error("damaged row: {0}")]
    Damaged(String),
    /// The database does not answer or takes no changes now (locked, full, I/O
    /// errors); the reason, for the log only. Nothing of what was asked is
    /// stored, and it may be asked again.
    #[error("store: {0}")]
    Unavailable(String),
    /// The database refuses it, and would again: a fault of ours.
    #[error("refused by the store: {0}")]
    Fault(String),
}

/// What the store answers.
pub type Stored<T> = Result<T, StoreError>;

/// A store of suites and of the queue, shared.
pub type SharedQueue = Arc<dyn queue::QueueStore>;
/// A store of suites, shared.
pub type SharedSuites = Arc<dyn suites::SuiteStore>;
