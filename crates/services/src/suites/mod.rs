//! The use cases of suites and runs: planned, started, read, cancelled,
//! judged again.
//!
//! - [`plan`]: what a start would do; pure.
//! - `start`, `rerun`, `evaluate`, `cancel`: what changes something.
//! - `troubles`: what is the matter with connections before a start.
//! - `read`: what is shown. [`eta`]: how long it will take; pure.
//! - `live`: what the streams read.

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

/// Whether a connection can be used at all, found out without a paid call.
#[async_trait]
pub trait Reach: Send + Sync + 'static {
    /// What is found of a connection, whatever the model: is it there, may its
    /// address be called, does anybody answer.
    async fn look(&self, caller: &Caller, connection: ConnectionId) -> Look;

    /// What the circuit says to a call of the caller's to this model.
    fn circuit(&self, caller: &Caller, model: &ModelRef) -> Reached;
}

/// What was found of a connection before anything starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its name; empty where there is no such connection for the caller.
    pub name: String,
    /// Whether it can be used.
    pub reached: Reached,
}

/// Whether a connection can be used, in words that follow its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Calls go through, as far as is known.
    Yes,
    /// They may not, but runs wait or try: told, and no hindrance.
    Troubled {
        /// What is wrong.
        message: String,
        /// When it is tried again.
        until: Option<Timestamp>,
    },
    /// No call would get through: there is no such connection, its key is missing
    /// or not accepted, its money is spent, or nobody answers at its address.
    Not(String),
}

/// What is told of a start and of a cancel.
pub trait Executor: Send + Sync + 'static {
    /// Something may begin.
    fn wake(&self);
    /// These runs are to stop.
    fn cancel(&self, runs: &[RunId]);
    /// For what a run of this user and model would wait that is not begun
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

/// Numbers of the settings that suites need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteLimits {
    /// Default of `concurrency`.
    pub runs_per_suite: u32,
    /// Most unfinished runs of a user.
    pub queue_per_user: u32,
}

impl Default for SuiteLimits {
    fn default() -> Self {
        Self { runs_per_suite: 3, queue_per_user: 500 }
    }
}

/// The use cases of suites and runs.
#[derive(Clone)]
pub struct Suites {
    /// Suites, runs, events.
    pub suites: SharedSuites,
    /// Agents.
    pub agents: Arc<dyn AgentStore>,
    /// Scenarios.
    pub scenarios: Arc<dyn ScenarioStore>,
    /// Settings of spaces.
    pub settings: Arc<dyn SettingStore>,
    /// Connections, and the demo agent.
    pub catalog: Arc<Catalog>,
    /// Whether connections can be used.
    pub reach: Arc<dyn Reach>,
    /// The engine.
    pub executor: Arc<dyn Executor>,
    /// Time and ids.
    pub clock: SharedClock,
    /// Numbers.
    pub limits: SuiteLimits,
    /// What streams of the same suite share.
    pub event_cache: Arc<event_cache::EventCache>,
}

/// A cursor of a list from new to old: `millis-id`.
fn before(cursor: &domain::services::Cursor) -> AppResult<Option<store::suites::Before>> {
    let Some(text) = cursor.after.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let parse = || {
        let (millis, id) = text.split_once('-')?;
        let at = domain::Timestamp(millis.parse().ok()?);
        Some(store::suites::Before { at, id: id.parse().ok()? })
    };
    parse().map(Some).ok_or_else(damaged)
}

/// 422 with problems, or nothing.
fn none_of(problems: Vec<Problem>) -> AppResult<()> {
    if problems.is_empty() { Ok(()) } else { Err(AppError::invalid(problems)) }
}
