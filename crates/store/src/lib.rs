//! The interface to storage: one trait per aggregate, and the pure decisions
//! that every implementation shares.
//!
//! - [`rows`]: what a store keeps.
//! - [`transition`]: the lifecycles of runs, suites and evaluations.
//! - [`schedule`]: which run or rejudge starts next.
//! - [`accounts`], [`catalog`], [`suites`], [`queue`], [`retention`]: the traits.
//! - [`commit_effects`]: what a store publishes after a commit.
//! - [`spending`]: sums of costs, budgets and prices.
//! - [`learned`]: what servers of models reject, kept beyond a restart.
//! - `contract`: the tests that the implementations of a trait share.
//! - `memory`: suites and queue in memory, for tests on paused time.

pub mod accounts;
pub mod catalog;
pub mod commit_effects;
mod completion_metrics;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
pub mod event_notifier;
pub mod learned;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod profiles;
pub mod queue;
pub mod queue_stats;
pub mod retention;
pub mod rows;
pub mod schedule;
pub mod spending;
pub mod suites;
pub mod transition;

use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row cannot be changed by this caller: another worker holds the lease, or
    /// the row is final or was deleted. In each case a worker has to stop and store
    /// nothing more, so they are one error.
    #[error("the lease is lost")]
    LeaseLost,
    /// A unique value exists already; the name of the constraint.
    #[error("already exists: {0}")]
    Duplicate(&'static str),
    /// The change is based on a revision that is not the newest.
    #[error("based on an older revision")]
    Stale,
    /// The object cannot be deleted because it is in use.
    #[error("in use: {0}")]
    InUse(String),
    /// The user has as many of these objects as one user may have.
    #[error("no more than {max} {objects}")]
    QuotaExceeded {
        /// What they are called on pages, in the plural.
        objects: &'static str,
        max: u32,
    },
    /// A stored row cannot be read: this column does not have a valid value.
    #[error("corrupt row: {table}.{column} of {row}")]
    Corrupt {
        table: &'static str,
        /// The primary key.
        row: String,
        column: &'static str,
    },
    /// The database is locked, full or not reachable; the reason, for the log
    /// only. Nothing was stored, and the caller may retry.
    #[error("store: {0}")]
    Unavailable(String),
    /// The database refused the statement: a bug, a retry fails again.
    #[error("refused by the store: {0}")]
    Internal(String),
}

pub type StoreResult<T> = Result<T, StoreError>;

pub type SharedQueue = Arc<dyn queue::QueueStore>;
pub type SharedSuites = Arc<dyn suites::SuiteStore>;
