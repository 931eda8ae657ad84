//! The task that runs the queued changes in transactions.

use super::change::{ChangeOutcome, QueuedChange, Responder, RunAccess};
use super::{Command, LockTimeout, MAX_BATCH, WriteTransaction};
use crate::connection_cache::ConnectionCache;
use crate::sqlite_error::{self, transaction_error};
use crate::wal;
use domain::RunId;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::StoreError;
use store::commit_effects::CommitEffects;
use store::event_notifier::EventNotifier;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The number of transactions between two checks of the WAL's size.
const WAL_CHECK_INTERVAL: u32 = 256;

pub(super) struct WriterTask {
    tx: WriteTransaction,
    options: SqliteConnectOptions,
    lock_timeout: LockTimeout,
    /// Whether the latest transaction failed to begin or to commit.
    failing: Arc<AtomicBool>,
    event_notifier: Arc<EventNotifier>,
    until_wal_check: u32,
}

/// A batch of changes before the commit.
#[derive(Default)]
struct Batch {
    /// Responses that wait for the commit.
    responders: Vec<Responder>,
    /// Effects of the successful changes.
    effects: CommitEffects,
    /// Changes that did not run because the transaction broke first.
    not_run: Vec<Box<dyn QueuedChange>>,
    /// Why the transaction broke: none of its changes may count as stored.
    broken: Option<String>,
    /// Responses of changes that were undone alone because the database was unavailable.
    /// They wait for the end of the transaction, after which readiness reports it.
    undone: Vec<Responder>,
    /// Why the database was unavailable for these.
    unavailable: Option<String>,
    /// Whether a change may have edited something that is cached outside of the writer.
    may_edit: bool,
}

impl WriterTask {
    pub(super) fn new(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        lock_timeout: LockTimeout,
        failing: Arc<AtomicBool>,
        (event_notifier, connection_cache): (Arc<EventNotifier>, Arc<ConnectionCache>),
    ) -> Self {
        Self {
            tx: WriteTransaction::new(connection, connection_cache),
            options,
            lock_timeout,
            failing,
            event_notifier,
            until_wal_check: WAL_CHECK_INTERVAL,
        }
    }

    /// Runs until it is closed or every handle is dropped.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut closing = None;
        while closing.is_none() {
            let mut changes = Vec::new();
            let mut next = queue.recv().await;
            if next.is_none() {
                break;
            }
            while let Some(command) = next.take() {
                match command {
                    Command::Write(change) => changes.push(change),
                    Command::Close(done) => closing = Some(done),
                }
                if closing.is_none() && changes.len() < MAX_BATCH {
                    next = queue.try_recv().ok();
                }
            }
            if !changes.is_empty() {
                self.transaction(changes).await;
                self.check_wal().await;
            }
        }
        let _ = self.tx.connection.close().await;
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    #[tracing::instrument(name = "commit", level = "debug", skip_all, fields(changes = changes.len()))]
    async fn transaction(&mut self, changes: Vec<Box<dyn QueuedChange>>) {
        let size = changes.len();
        if let Err(error) = self.begin().await {
            let reason = transaction_error(&error);
            self.record_failure("begin", &reason, size);
            for change in changes {
                change.reject(StoreError::Unavailable(reason.clone()));
            }
            return;
        }
        let started = Instant::now();
        let batch = self.run_changes(changes).await;
        let committed = match batch.broken {
            Some(reason) => Err(reason),
            // Nothing to commit: each caller has its own error already.
            None if batch.responders.is_empty() => batch.unavailable.map_or(Ok(()), Err),
            None => self.commit().await.map_err(|error| transaction_error(&error)),
        };
        if committed.is_err() || batch.responders.is_empty() {
            // Fails harmlessly where SQLite rolled back by itself.
            let _ = execute(&mut self.tx, "ROLLBACK").await;
        }
        match &committed {
            Ok(()) => {
                if batch.may_edit {
                    self.tx.forget_connections();
                }
                self.record_commit(started, size);
                batch.effects.publish(&self.event_notifier);
            }
            Err(reason) => {
                self.tx.forget_all();
                self.record_failure("commit", reason, size);
            }
        }
        for respond in batch.responders {
            respond(committed.clone().map_err(StoreError::Unavailable));
        }
        for respond in batch.undone {
            respond(Ok(()));
        }
        let reason = committed.err().unwrap_or_default();
        for change in batch.not_run {
            change.reject(StoreError::Unavailable(reason.clone()));
        }
    }

    /// Runs the changes. A failed one is undone alone and its caller receives the
    /// error at once; where that is not possible the transaction is broken.
    async fn run_changes(&mut self, changes: Vec<Box<dyn QueuedChange>>) -> Batch {
        let mut batch = Batch::default();
        let mut changes = VecDeque::from(changes);
        while !changes.is_empty() {
            let Some(change) = changes.pop_front() else { break };
            let access = change.run_access();
            let unknown_runs = match access.one().filter(|run| !self.tx.knows_run(*run)) {
                Some(run) => {
                    let next = changes.iter().map_while(|change| change.run_access().one());
                    [run].into_iter().chain(next).collect()
                }
                None => Vec::new(),
            };
            // After an error the transaction may be gone.
            if let Err(error) = self.prepare(access, unknown_runs).await {
                changes.push_front(change);
                batch.broken = Some(transaction_error(&error));
                break;
            }
            self.tx.begin_change();
            let (outcome, responder) = change.run(&mut self.tx).await;
            let keep = matches!(outcome, ChangeOutcome::Succeeded);
            let ended = self.end_change(keep).await;
            if access == RunAccess::Any {
                self.tx.forget_runs();
                batch.may_edit = true;
            }
            match (outcome, ended) {
                (ChangeOutcome::Succeeded, Ok(())) => {
                    batch.effects.append(std::mem::take(&mut self.tx.effects));
                    batch.responders.push(responder);
                }
                (ChangeOutcome::Failed, Ok(())) => responder(Ok(())),
                (ChangeOutcome::Unavailable(reason), Ok(())) => {
                    batch.undone.push(responder);
                    batch.unavailable = Some(reason);
                }
                // The first error is the cause; the error of the savepoint follows from it.
                (ChangeOutcome::Unavailable(reason), Err(_)) => {
                    batch.responders.push(responder);
                    batch.broken = Some(reason);
                    break;
                }
                (_, Err(error)) => {
                    batch.responders.push(responder);
                    batch.broken = Some(transaction_error(&error));
                    break;
                }
            }
        }
        self.tx.clear_prefetched();
        batch.not_run.extend(changes);
        batch
    }

    /// Reads the runs of the next changes, or begins the savepoint of a change that does not
    /// do so itself.
    async fn prepare(&mut self, access: RunAccess, runs: Vec<RunId>) -> Result<(), sqlx::Error> {
        match access {
            RunAccess::One(_) if runs.is_empty() => Ok(()),
            RunAccess::One(_) => self.tx.prefetch(runs).await,
            RunAccess::Saved => {
                self.tx.clear_prefetched();
                self.begin_savepoint().await
            }
            RunAccess::Any => {
                self.tx.forget_runs();
                self.begin_savepoint().await
            }
        }
    }

    async fn begin_savepoint(&mut self) -> Result<(), sqlx::Error> {
        if self.tx.take_needs_savepoint() {
            execute(&mut self.tx, "RELEASE change; SAVEPOINT change").await?;
        }
        Ok(())
    }

    /// Keeps or undoes one change. An error means that the savepoint is gone, and
    /// the transaction with it.
    async fn end_change(&mut self, keep: bool) -> Result<(), sqlx::Error> {
        if keep {
            self.tx.keep_change();
            return Ok(());
        }
        self.tx.undo_change();
        if self.tx.has_kept_changes {
            // The change failed before its first statement: the savepoint is not its own.
            return Ok(());
        }
        execute(&mut self.tx, "ROLLBACK TO change").await
    }

    /// Begins a transaction. Waits for a lock, and replaces a broken connection.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.tx.has_kept_changes = false;
        let mut reconnected = false;
        let deadline = self.lock_deadline();
        loop {
            match self.begin_once().await {
                Err(error) if sqlite_error::is_busy(&error) && Instant::now() < deadline => {}
                Err(error) if !sqlite_error::is_busy(&error) && !reconnected => {
                    tracing::warn!(%error, "the writer's connection is replaced");
                    self.reconnect().await?;
                    reconnected = true;
                }
                result => return result,
            }
        }
    }

    /// Also notices changes by other connections.
    async fn begin_once(&mut self) -> Result<(), sqlx::Error> {
        let begin = "BEGIN IMMEDIATE; SAVEPOINT change; PRAGMA data_version";
        let versions: Vec<i64> = sqlx::query_scalar(begin).fetch_all(&mut *self.tx).await?;
        versions.into_iter().for_each(|version| self.tx.observe_data_version(version));
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        let deadline = self.lock_deadline();
        loop {
            // After SQLITE_BUSY the transaction is still open.
            match execute(&mut self.tx, "COMMIT").await {
                Err(error) if sqlite_error::is_busy(&error) && Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    fn lock_deadline(&self) -> Instant {
        let LockTimeout { normal, after_failure } = self.lock_timeout;
        let failing = self.failing.load(Ordering::Relaxed);
        Instant::now() + if failing { after_failure } else { normal }
    }

    async fn reconnect(&mut self) -> Result<(), sqlx::Error> {
        let connection = SqliteConnection::connect_with(&self.options).await?;
        let broken = std::mem::replace(&mut self.tx.connection, connection);
        self.tx.forget_all();
        let _ = broken.close_hard().await;
        Ok(())
    }

    fn record_commit(&mut self, started: Instant, size: usize) {
        metrics::histogram!("rehearsal_store_commit_seconds").record(started.elapsed());
        #[allow(clippy::cast_precision_loss)] // at most MAX_BATCH
        metrics::histogram!("rehearsal_store_batch_size").record(size as f64);
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the store accepts changes again");
        }
    }

    fn record_failure(&mut self, what: &'static str, why: &str, size: usize) {
        metrics::counter!("rehearsal_store_errors_total", "what" => what).increment(1);
        if self.failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(why, size, what, "the store still accepts no changes");
        } else {
            tracing::error!(
                why,
                size,
                what,
                "the store accepts no changes; the changes of this transaction were undone"
            );
        }
    }

    /// Keeps the WAL from growing without limit.
    async fn check_wal(&mut self) {
        self.until_wal_check = self.until_wal_check.saturating_sub(1);
        if self.until_wal_check == 0 {
            self.until_wal_check = WAL_CHECK_INTERVAL;
            if let Err(error) = wal::truncate_if_long(&mut self.tx).await {
                tracing::warn!(%error, "the WAL could not be truncated");
            }
        }
    }
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}
