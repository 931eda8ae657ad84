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

use super::trouble;
use super::wal;
use crate::store::{StoreError, Stored, ended};
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

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

type Change<T> = dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Stored<T>> + Send;
type Deliver = Box<dyn FnOnce(Stored<()>) + Send>;

/// What a change left.
enum Left {
    /// Something to be committed.
    Keep,
    /// Nothing, for an error of its own.
    Undo,
    /// Nothing, for trouble of the database: this.
    Trouble(String),
}

/// A change that waits for its transaction.
trait Job: Send {
    /// Runs it; what it left, and how its caller is told.
    fn run<'c>(self: Box<Self>, c: &'c mut SqliteConnection) -> BoxFuture<'c, (Left, Deliver)>;
    /// Tells its caller that it was not run.
    fn refuse(self: Box<Self>, why: StoreError);
}

struct Queued<T> {
    change: Box<Change<T>>,
    answer: oneshot::Sender<Stored<T>>,
}

impl<T: Send + 'static> Job for Queued<T> {
    fn run<'c>(self: Box<Self>, c: &'c mut SqliteConnection) -> BoxFuture<'c, (Left, Deliver)> {
        let Self { change, answer } = *self;
        async move {
            let work = AssertUnwindSafe(change(c)).catch_unwind();
            let (result, ended) = ended::gathering(work).await;
            let result =
                result.unwrap_or_else(|_| Err(StoreError::Fault("a write panicked".into())));
            let left = match &result {
                Ok(_) => Left::Keep,
                Err(StoreError::Unavailable(why)) => Left::Trouble(why.clone()),
                Err(_) => Left::Undo,
            };
            let deliver: Deliver = Box::new(move |committed| {
                let result = committed.and(result);
                if result.is_ok() {
                    ended.tell();
                }
                let _ = answer.send(result);
            });
            (left, deliver)
        }
        .boxed()
    }

    fn refuse(self: Box<Self>, why: StoreError) {
        let _ = self.answer.send(Err(why));
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

/// Where the writer works: its connection, and how things stand.
struct Desk {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    patience: Patience,
    /// The transaction before could not begin or be committed.
    troubled: Arc<AtomicBool>,
    /// Transactions until the next look at the log's length.
    until_look: u32,
}

/// What became of the changes of a batch.
#[derive(Default)]
struct Ran {
    /// Those that wait for the commit.
    kept: Vec<Deliver>,
    /// Those that were not run, because the transaction broke before.
    left: Vec<Box<dyn Job>>,
    /// The transaction is gone, for this: nothing of it may be answered as
    /// stored.
    broken: Option<String>,
    /// The newest trouble that one change met and was undone for, alone.
    trouble: Option<String>,
}

impl Desk {
    async fn work(mut self, mut queue: mpsc::Receiver<Order>) {
        let mut closing = None;
        while closing.is_none() {
            let mut batch = Vec::new();
            let Some(first) = queue.recv().await else { break };
            let mut next = Some(first);
            while let Some(order) = next.take() {
                match order {
                    Order::Write(job) => batch.push(job),
                    Order::Close(done) => closing = Some(done),
                }
                if closing.is_none() && batch.len() < BATCH {
                    next = queue.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                self.transaction(batch).await;
                self.look_at_wal().await;
            }
        }
        let _ = self.connection.close().await;
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    async fn transaction(&mut self, batch: Vec<Box<dyn Job>>) {
        let size = batch.len();
        if let Err(error) = self.begin().await {
            let why = trouble::of_transaction(&error);
            self.failed("begin", &why, size);
            for job in batch {
                job.refuse(StoreError::Unavailable(why.clone()));
            }
            return;
        }
        let began = Instant::now();
        let Ran { kept, left, broken, trouble } = self.run(batch).await;
        let done = match broken {
            // Each has heard its own error; an empty transaction just ends.
            // Where it came to nothing for trouble, the store is not well.
            None if kept.is_empty() => trouble.map_or(Ok(()), Err),
            None => self.commit().await.map_err(|error| trouble::of_transaction(&error)),
            Some(why) => Err(why),
        };
        if done.is_err() || kept.is_empty() {
            // Harmless where SQLite gave the transaction up by itself.
            let _ = execute(&mut self.connection, "ROLLBACK").await;
        }
        match &done {
            Ok(()) => self.went_well(began, size),
            Err(why) => self.failed("commit", why, size),
        }
        for deliver in kept {
            deliver(done.clone().map_err(StoreError::Unavailable));
        }
        for job in left {
            job.refuse(StoreError::Unavailable(done.as_ref().err().cloned().unwrap_or_default()));
        }
    }

    /// Runs the changes. One that fails is undone by itself and answered at
    /// once; where even that is not possible the transaction is broken.
    async fn run(&mut self, batch: Vec<Box<dyn Job>>) -> Ran {
        let c = &mut self.connection;
        let mut ran = Ran::default();
        let alone = batch.len() == 1;
        let mut batch = batch.into_iter();
        for job in batch.by_ref() {
            if alone {
                match job.run(c).await {
                    (Left::Keep, deliver) => ran.kept.push(deliver),
                    (Left::Undo, deliver) => deliver(Ok(())),
                    (Left::Trouble(why), deliver) => {
                        ran.kept.push(deliver);
                        ran.broken = Some(why);
                    }
                }
                break;
            }
            if let Err(error) = execute(c, "SAVEPOINT one").await {
                ran.broken = Some(trouble::of_transaction(&error));
                ran.left.push(job);
                break;
            }
            let (left, deliver) = job.run(c).await;
            let keep = matches!(left, Left::Keep);
            match end_savepoint(c, keep).await {
                Ok(()) if keep => ran.kept.push(deliver),
                Ok(()) => {
                    deliver(Ok(()));
                    if let Left::Trouble(why) = left {
                        ran.trouble = Some(why);
                    }
                }
                Err(error) => {
                    // Everybody hears what began it.
                    ran.kept.push(deliver);
                    ran.broken = Some(match left {
                        Left::Trouble(why) => why,
                        Left::Keep | Left::Undo => trouble::of_transaction(&error),
                    });
                    break;
                }
            }
        }
        ran.left.extend(batch);
        ran
    }

    /// Begins; waits for a lock as long as patience lasts, and replaces a
    /// connection that is broken.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let mut renewed = false;
        let until = self.until();
        loop {
            match execute(&mut self.connection, "BEGIN IMMEDIATE").await {
                Err(error) if trouble::is_busy(&error) && Instant::now() < until => {}
                Err(error) if !trouble::is_busy(&error) && !renewed => {
                    tracing::warn!(%error, "the writer's connection is replaced");
                    self.renew().await?;
                    renewed = true;
                }
                other => return other,
            }
        }
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        let until = self.until();
        loop {
            // A commit that is refused as busy leaves the transaction open.
            match execute(&mut self.connection, "COMMIT").await {
                Err(error) if trouble::is_busy(&error) && Instant::now() < until => {}
                other => return other,
            }
        }
    }

    /// When patience ends.
    fn until(&self) -> Instant {
        let Patience { first, again } = self.patience;
        Instant::now() + if self.troubled.load(Ordering::Relaxed) { again } else { first }
    }

    async fn renew(&mut self) -> Result<(), sqlx::Error> {
        let fresh = SqliteConnection::connect_with(&self.options).await?;
        let old = std::mem::replace(&mut self.connection, fresh);
        let _ = old.close_hard().await;
        Ok(())
    }

    fn went_well(&mut self, began: Instant, size: usize) {
        metrics::histogram!("rehearsal_store_commit_seconds").record(began.elapsed());
        #[allow(clippy::cast_precision_loss)] // at most 256
        metrics::histogram!("rehearsal_store_batch_size").record(size as f64);
        if self.troubled.swap(false, Ordering::Relaxed) {
            tracing::info!("the store takes changes again");
        }
    }

    /// Counts and logs a transaction that did not happen.
    fn failed(&mut self, what: &'static str, why: &str, size: usize) {
        metrics::counter!("rehearsal_store_errors_total", "what" => what).increment(1);
        if self.troubled.swap(true, Ordering::Relaxed) {
            tracing::debug!(why, size, what, "the store still takes no changes");
        } else {
            tracing::error!(
                why,
                size,
                what,
                "the store takes no changes; nothing of these is kept"
            );
        }
    }

    /// Now and then: keeps the log from growing without end.
    async fn look_at_wal(&mut self) {
        self.until_look = self.until_look.saturating_sub(1);
        if self.until_look == 0 {
            self.until_look = LOOK_AT_WAL;
            if let Err(error) = wal::keep_short(&mut self.connection).await {
                tracing::warn!(%error, "the log of the database could not be shortened");
            }
        }
    }
}

/// Keeps or undoes what one change did. An error means that the savepoint is
/// gone, and with it the transaction.
async fn end_savepoint(c: &mut SqliteConnection, keep: bool) -> Result<(), sqlx::Error> {
    if !keep {
        execute(c, "ROLLBACK TO one").await?;
    }
    execute(c, "RELEASE one").await
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}
