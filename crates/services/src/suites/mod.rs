//! Suites and runs.
//!
//! - `service`: starts, re-runs, cancels and rejudges; `start` and `rerun` have
//!   its steps.
//! - [`preflight`]: what a start would do; pure.
//! - `preflight_warnings`: problems of connections, found before a start.
//! - `read`: what pages and API show. [`eta`]: the remaining time; pure.
//! - `events`, `event_cache`: what streams read.

pub mod eta;
mod event_cache;
mod events;
pub mod preflight;
mod preflight_warnings;
mod read;
mod rerun;
mod service;
mod start;
mod variables;

use super::Catalog;
use clock::SharedClock;
use domain::{NanoUsd, RunId, UserId, Waiting};
use engine::Engine;
use std::sync::Arc;
use store::SharedSuites;
use store::rows::ModelRef;

/// The engine, as the services use it.
pub trait Executor: Send + Sync + 'static {
    /// Looks for runs to claim now instead of at the next poll.
    fn wake(&self);
    /// Stops these runs.
    fn cancel(&self, runs: &[RunId]);
    /// What a pending run of this user and model waits for, if it does not begin
    /// because its first call could not be made now.
    fn expected_wait(&self, user: UserId, agent: &ModelRef) -> Option<Waiting> {
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

    fn expected_wait(&self, user: UserId, agent: &ModelRef) -> Option<Waiting> {
        Self::expected_wait(self, user, agent)
    }
}

/// Limits from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteLimits {
    /// The default of `concurrency`.
    pub runs_per_suite: u32,
    /// The maximum number of unfinished runs of a user.
    pub queue_per_user: u32,
    /// The bytes of transcripts and rejudges of a user from which on nothing new is started.
    pub transcript_bytes_per_user: u64,
    /// What a user may spend per day (UTC), unless the user chose another budget.
    pub daily_budget: Option<NanoUsd>,
}

impl Default for SuiteLimits {
    fn default() -> Self {
        Self {
            runs_per_suite: 3,
            queue_per_user: 500,
            transcript_bytes_per_user: 10_000_000_000,
            daily_budget: None,
        }
    }
}

/// Suites and runs.
#[derive(Clone)]
pub struct Suites {
    pub store: SharedSuites,
    pub catalog: Arc<Catalog>,
    pub executor: Arc<dyn Executor>,
    pub clock: SharedClock,
    pub limits: SuiteLimits,
    pub event_cache: Arc<event_cache::EventCache>,
}
