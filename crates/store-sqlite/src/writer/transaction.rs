//! The context of a change.

use super::run_cache::RunCache;
use crate::connection_cache::ConnectionCache;
use crate::rows::{RawRun, select_runs};
use domain::{RunId, SuiteId};
use sqlx::SqliteConnection;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use store::StoreResult;
use store::commit_effects::CommitEffects;
use store::rows::RunRow;
use store::schedule::{RunLoad, Schedule};
use uuid::Uuid;

/// The open transaction of the writer: a connection for statements, and the
/// effects that the writer publishes after the commit.
pub struct WriteTransaction {
    pub(super) connection: SqliteConnection,
    pub(crate) effects: CommitEffects,
    /// Runs that the next changes need and that are not cached, read in one query.
    prefetched: HashMap<Uuid, RawRun>,
    cached_runs: RunCache,
    connection_cache: Arc<ConnectionCache>,
    /// Absent until it is read from the database.
    schedule: Option<Schedule>,
    /// The current change changed the schedule, so undoing the change makes it wrong.
    schedule_changed: bool,
    /// SQLite's number of the last change that another connection made.
    data_version: i64,
    /// The open savepoint `change` also contains changes that are kept.
    pub(super) has_kept_changes: bool,
}

impl WriteTransaction {
    pub(super) fn new(
        connection: SqliteConnection,
        connection_cache: Arc<ConnectionCache>,
    ) -> Self {
        Self {
            connection,
            effects: CommitEffects::default(),
            prefetched: HashMap::new(),
            cached_runs: RunCache::default(),
            connection_cache,
            schedule: None,
            schedule_changed: false,
            data_version: 0,
            has_kept_changes: false,
        }
    }

    /// The schedule as the statements of this transaction leave it.
    pub(crate) fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    pub(crate) fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = Some(schedule);
    }

    /// The schedule is read again before its next use.
    pub(crate) fn forget_schedule(&mut self) {
        self.schedule = None;
        self.schedule_changed = true;
    }

    pub(crate) fn change_schedule(&mut self, change: impl FnOnce(&mut Schedule)) {
        self.schedule_changed = true;
        if let Some(schedule) = &mut self.schedule {
            change(schedule);
        }
    }

    /// Records that a run changed.
    pub(crate) fn update_schedule(&mut self, suite: SuiteId, before: RunLoad, after: RunLoad) {
        self.schedule_changed = true;
        let is_wrong = |schedule: &mut Schedule| !schedule.update(suite, before, after);
        if self.schedule.as_mut().is_some_and(is_wrong) {
            tracing::error!(%suite, "the schedule does not match the runs and is read again");
            self.forget_schedule();
        }
    }

    /// Prepares the context of a change.
    pub(super) fn begin_change(&mut self) {
        self.effects = CommitEffects::default();
        self.schedule_changed = false;
    }

    /// Keeps what the current change recorded.
    pub(super) fn keep_change(&mut self) {
        self.has_kept_changes = true;
        self.cached_runs.keep_change();
    }

    /// Forgets what the current change recorded, because it is undone.
    pub(super) fn undo_change(&mut self) {
        self.cached_runs.undo_change();
        if self.schedule_changed {
            self.forget_schedule();
        }
    }

    /// Forgets everything about the database if another connection changed it.
    pub(super) fn observe_data_version(&mut self, version: i64) {
        if std::mem::replace(&mut self.data_version, version) != version {
            self.forget_all();
        }
    }

    /// Forgets everything about the database, because it may have changed otherwise than by
    /// the statements of this connection.
    pub(super) fn forget_all(&mut self) {
        self.forget_schedule();
        self.forget_runs();
        self.forget_connections();
    }

    /// Forgets the connections that are kept in memory.
    pub(super) fn forget_connections(&self) {
        self.connection_cache.clear();
    }

    /// Forgets runs that the current change may make outdated.
    pub(crate) fn forget_runs(&mut self) {
        self.prefetched.clear();
        self.cached_runs.clear();
    }

    /// Whether the current change must begin its own savepoint with its first statement
    /// (`RELEASE change; SAVEPOINT change`). The caller then does so, and the next call
    /// returns false.
    pub(crate) fn take_needs_savepoint(&mut self) -> bool {
        std::mem::take(&mut self.has_kept_changes)
    }

    /// Reads the runs that the next changes need and that are not cached.
    pub(super) async fn prefetch(&mut self, runs: Vec<RunId>) -> Result<(), sqlx::Error> {
        let runs = runs.iter().filter(|run| !self.cached_runs.contains(**run));
        let ids: Vec<_> = runs.map(|run| run.0.simple().to_string()).collect();
        let ids = serde_json::json!(ids).to_string();
        let runs = select_runs!("WHERE r.id IN (SELECT unhex(value) FROM json_each(?))", ids);
        let runs = runs.fetch_all(&mut self.connection).await?;
        self.prefetched = runs.into_iter().map(|run| (run.id.uuid(), run)).collect();
        Ok(())
    }

    /// A run as it is stored, if that is known. It is handed out once, because the change
    /// makes it outdated.
    pub(crate) fn take_run(&mut self, run: RunId) -> Option<StoreResult<RunRow>> {
        if let Some(run) = self.cached_runs.take(run) {
            return Some(Ok(run));
        }
        self.prefetched.remove(&run.0).map(RawRun::read)
    }

    /// Records that the current change saved a run.
    pub(crate) fn cache_run(&mut self, run: &RunRow) {
        self.cached_runs.save(run.clone());
    }

    /// Whether [`take_run`](Self::take_run) knows the run.
    pub(super) fn knows_run(&self, run: RunId) -> bool {
        self.cached_runs.contains(run) || self.prefetched.contains_key(&run.0)
    }

    pub(super) fn clear_prefetched(&mut self) {
        self.prefetched.clear();
    }

    #[cfg(test)]
    pub(crate) fn cached_runs(&self) -> impl Iterator<Item = &RunRow> {
        self.cached_runs.runs()
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
