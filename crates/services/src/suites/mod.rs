//! Suites and runs.
//!
//! - `service`: starts, re-runs, cancels and rejudges; `start` and `rerun` have
//!   its steps.
//! - [`plan`]: what a start would do; pure.
//! - `preflight_warnings`: problems of connections, found before a start.
//! - `read`: what pages and API show. [`eta`]: the remaining time; pure.
//! - `events`, `event_cache`: what streams read.

pub mod eta;
mod event_cache;
mod events;
pub mod plan;
mod preflight_warnings;
mod read;
mod rerun;
mod service;
mod start;

use super::Catalog;
use super::cursor::{damaged, limit};
use async_trait::async_trait;
use clock::SharedClock;
use domain::error::AppError;
use domain::services::{AppResult, Caller};
use domain::{ConnectionId, Problem, RunId, Timestamp, UserId, Waiting};
use engine::Engine;
use std::sync::Arc;
use store::SharedSuites;
use store::catalog::{AgentStore, ScenarioStore, SettingStore};
use store::rows::ModelRef;

/// Checks whether a connection can be used, without a paid call.
#[async_trait]
pub trait ConnectionCheck: Send + Sync + 'static {
    /// Checks a connection regardless of the model: does it exist, may its
    /// address be called, does the address accept connections.
    async fn check(&self, caller: &Caller, connection: ConnectionId) -> CheckedConnection;

    /// Whether the caller's circuit would let a call to this model through.
    fn circuit(&self, caller: &Caller, model: &ModelRef) -> Reachability;
}

/// The result of checking a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedConnection {
    /// Empty if the caller has no such connection.
    pub name: String,
    pub reachability: Reachability,
}

/// Whether a connection can be used. Messages continue a sentence that begins
/// with the name of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Calls go through, as far as is known.
    Ready,
    /// Calls may fail, but runs wait or probe: reported, and the start goes on.
    Degraded {
        message: String,
        /// The next probe.
        until: Option<Timestamp>,
    },
    /// No call would get through: the connection does not exist, its key is
    /// missing or rejected, its quota is exhausted, or its address is unreachable.
    Unusable(String),
}

/// The engine, as the services use it.
pub trait Executor: Send + Sync + 'static {
    /// Looks for runs to claim now instead of at the next poll.
    fn wake(&self);
    /// Stops these runs.
    fn cancel(&self, runs: &[RunId]);
    /// What a pending run of this user and model waits for, if it does not begin
    /// because its first call could not be made now.
    fn held_back(&self, user: UserId, agent: &ModelRef) -> Option<Waiting> {
        let _ = (user, agent);
        None
    }
}

impl Executor for Engine {
    fn wake(&self) {
        Self::wake(self);
    }

    fn cancel(&self, runs: &[RunId]) {
        Self::cancel(self, runs);
    }

    fn held_back(&self, user: UserId, agent: &ModelRef) -> Option<Waiting> {
        Self::held_back(self, user, agent)
    }
}

/// Limits from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteLimits {
    /// The default of `concurrency`.
    pub runs_per_suite: u32,
    /// The maximum number of unfinished runs of a user.
    pub queue_per_user: u32,
}

impl Default for SuiteLimits {
    fn default() -> Self {
        Self { runs_per_suite: 3, queue_per_user: 500 }
    }
}

/// Suites and runs.
#[derive(Clone)]
pub struct Suites {
    pub suites: SharedSuites,
    pub agents: Arc<dyn AgentStore>,
    pub scenarios: Arc<dyn ScenarioStore>,
    pub settings: Arc<dyn SettingStore>,
    pub catalog: Arc<Catalog>,
    pub connection_check: Arc<dyn ConnectionCheck>,
    pub executor: Arc<dyn Executor>,
    pub clock: SharedClock,
    pub limits: SuiteLimits,
    pub event_cache: Arc<event_cache::EventCache>,
}

/// Parses the cursor of a list that is sorted from newest to oldest:
/// `milliseconds-id`.
fn before(cursor: &domain::services::Cursor) -> AppResult<Option<store::suites::TimeCursor>> {
    let Some(text) = cursor.after.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let parse = || {
        let (millis, id) = text.split_once('-')?;
        let at = domain::Timestamp(millis.parse().ok()?);
        Some(store::suites::TimeCursor { at, id: id.parse().ok()? })
    };
    parse().map(Some).ok_or_else(damaged)
}

/// Fails with 422 if there are problems.
fn reject_if_any(problems: Vec<Problem>) -> AppResult<()> {
    if problems.is_empty() { Ok(()) } else { Err(AppError::invalid(problems)) }
}
