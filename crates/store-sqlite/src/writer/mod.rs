//! The only writer of the database. It runs the queued changes in one
//! transaction, each in a savepoint, commits once, publishes the effects of the
//! changes, and then responds to the callers.
//!
//! sqlx executes each query on a thread of its own, and the hand-over there and
//! back costs more than a short query. So several statements share a query, and
//! the writer keeps the leased runs in memory: a batch of commits takes two
//! queries, and one more per commit. Runs that are not in memory are read together.
//!
//! With `synchronous=FULL` a commit costs an fsync (about 6 ms on an ordinary
//! disk): one commit per turn would limit the server to about 170 turns per
//! second.
//!
//! When the database is unavailable (locked by another process, disk full, I/O
//! error), the whole transaction is rolled back, and every caller receives
//! [`StoreError::Unavailable`] with the reason and may retry. SQLite may roll
//! back the transaction by itself in the middle of a change; the writer notices
//! that because the savepoint is gone. Therefore a change returns every
//! database error and executes no statement after one.

mod change;
mod run_cache;
mod transaction;
mod writer_task;

pub use transaction::WriteTransaction;

use crate::connection_cache::ConnectionCache;
use crate::sqlite_error::{DbResult, Statement};
use change::{QueuedChange, RunAccess, TypedChange};
use domain::RunId;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::event_notifier::EventNotifier;
use store::{StoreError, StoreResult};
use tokio::sync::{mpsc, oneshot};
use writer_task::WriterTask;

/// The limit of changes per transaction, which bounds the wait of the first one.
const MAX_BATCH: usize = 256;
/// The capacity of the queue; further callers wait until there is room.
const QUEUE_CAPACITY: usize = 1024;
/// How long SQLite waits for the lock per attempt of the writer.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(200);

/// How long the writer waits for a lock that another process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct LockTimeout {
    /// After a successful transaction.
    pub(super) normal: Duration,
    /// After a failed transaction, so that callers learn of the failure soon.
    pub(super) after_failure: Duration,
}

impl Default for LockTimeout {
    fn default() -> Self {
        Self { normal: Duration::from_secs(5), after_failure: Duration::from_millis(500) }
    }
}

enum Command {
    Write(Box<dyn QueuedChange>),
    Close(oneshot::Sender<()>),
}

/// A handle to the writer task; cheap to clone.
#[derive(Clone)]
pub struct Writer {
    commands: mpsc::Sender<Command>,
    failing: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the writer task on its connection. It reconnects with `options`
    /// when the connection breaks, and tells `caches` what it commits.
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        lock_timeout: LockTimeout,
        caches: (Arc<EventNotifier>, Arc<ConnectionCache>),
    ) -> Self {
        let (commands, queue) = mpsc::channel(QUEUE_CAPACITY);
        let failing = Arc::new(AtomicBool::new(false));
        let task = WriterTask::new(connection, options, lock_timeout, failing.clone(), caches);
        tokio::spawn(task.run(queue));
        Self { commands, failing }
    }

    /// Runs a change in the next transaction and returns its result after the
    /// commit. An error undoes this change alone, with its effects. The change
    /// runs even if the caller stops waiting.
    ///
    /// # Errors
    /// The error of the change, or [`StoreError::Unavailable`]: nothing was
    /// stored, and the caller may retry.
    pub async fn transaction<T, F>(&self, change: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTransaction) -> BoxFuture<'t, StoreResult<T>>
            + Send
            + 'static,
    {
        self.enqueue(RunAccess::Any, change).await
    }

    /// Like [`Writer::transaction`], for a change of one run that reads it with
    /// [`WriteTransaction::take_run`] and writes first what
    /// [`WriteTransaction::take_needs_savepoint`] demands.
    pub(crate) async fn change_run<T, F>(&self, run: RunId, change: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTransaction) -> BoxFuture<'t, StoreResult<T>>
            + Send
            + 'static,
    {
        self.enqueue(RunAccess::One(run), change).await
    }

    /// Like [`Writer::transaction`], for a change that changes runs only by saving them as
    /// whole rows.
    pub(crate) async fn saving_transaction<T, F>(&self, change: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTransaction) -> BoxFuture<'t, StoreResult<T>>
            + Send
            + 'static,
    {
        self.enqueue(RunAccess::Saved, change).await
    }

    async fn enqueue<T, F>(&self, run_access: RunAccess, change: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTransaction) -> BoxFuture<'t, StoreResult<T>>
            + Send
            + 'static,
    {
        let (response, result) = oneshot::channel();
        let change = Box::new(TypedChange { run_access, change: Box::new(change), response });
        let closed = || StoreError::Unavailable("the store is closed".into());
        self.commands.send(Command::Write(change)).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }

    /// Like [`Writer::transaction`], for a change without effects.
    ///
    /// # Errors
    /// See [`Writer::transaction`].
    pub async fn write<T, F>(&self, change: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, StoreResult<T>>
            + Send
            + 'static,
    {
        self.transaction(move |tx| change(tx)).await
    }

    /// Runs one statement in the next transaction. Returns the number of rows that it
    /// changed.
    ///
    /// # Errors
    /// See [`Writer::transaction`].
    pub(super) async fn execute(&self, statement: Statement<'static>) -> StoreResult<u64> {
        self.write(|c| async move { Ok(statement.execute(c).await.db()?.rows_affected()) }.boxed())
            .await
    }

    /// Whether the latest transaction failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Commits the queued changes and stops the writer task.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}
