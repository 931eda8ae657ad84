//! The one writer: it takes what is queued, runs each change in a SAVEPOINT
//! of one transaction, commits once, and only then answers.
//!
//! `synchronous=FULL` costs an fsync a commit (about 6 ms on an ordinary
//! disk): one commit a turn would cap the server at some 170 turns a second.
//!
//! Trouble (locked by another process, disk full, I/O errors) undoes the whole
//! transaction, and every caller hears [`StoreError::Unavailable`] with its
//! reason. Nothing of it is kept, so each may be tried again. SQLite may give
//! up the transaction by itself in the middle of a change; the SAVEPOINT is
//! gone then, which is how it is noticed. Therefore a change hands every error
//! of the database on, and makes no statement after one.

mod desk;
mod job;

use store::{StoreError, Stored};
use desk::Desk;
use futures::future::BoxFuture;
use job::{Job, Queued};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Most changes in one transaction: bounds how long the first one waits.
const BATCH: usize = 256;
/// Most changes that wait in memory; more wait in their callers.
const QUEUE: usize = 1024;
/// How long SQLite itself waits for the lock at one try.
pub(super) const ONE_TRY: Duration = Duration::from_millis(200);
/// Between two looks at the log's length, in transactions.
const LOOK_AT_WAL: u32 = 256;

/// How long the writer waits for a lock that another process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// While all was well before.
    pub(super) first: Duration,
    /// While the transaction before failed too: its callers are told soon.
    pub(super) again: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(5), again: Duration::from_millis(500) }
    }
}

enum Order {
    Write(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// A handle to the writer; cheap to clone.
#[derive(Clone)]
pub struct Writer {
    orders: mpsc::Sender<Order>,
    troubled: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the writer on its own connection; `options` are those with which
    /// a broken one is replaced.
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        patience: Patience,
    ) -> Self {
        let (orders, queue) = mpsc::channel(QUEUE);
        let troubled = Arc::new(AtomicBool::new(false));
        let until_look = LOOK_AT_WAL;
        let desk = Desk { connection, options, patience, troubled: troubled.clone(), until_look };
        tokio::spawn(desk.work(queue));
        Self { orders, troubled }
    }

    /// Runs `change` in the next transaction and answers once that is
    /// committed. An error undoes this change alone. The change goes on when
    /// the caller no longer waits.
    ///
    /// # Errors
    /// The change's own, or [`StoreError::Unavailable`]: nothing of it is
    /// stored, and it may be tried again.
    pub async fn write<T, F>(&self, change: F) -> Stored<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Stored<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Queued { change: Box::new(change), answer });
        let closed = || StoreError::Unavailable("the store is closed".into());
        self.orders.send(Order::Write(job)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Whether the newest transaction did not happen.
    pub(super) fn in_trouble(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    /// Commits what is queued and ends the writer.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.send(Order::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}
