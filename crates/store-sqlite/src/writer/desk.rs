//! Where changes become transactions.

use super::job::{Deliver, Job, Left};
use super::{BATCH, LOOK_AT_WAL, Order, Patience};
use store::StoreError;
use crate::{trouble, wal};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Where the writer works: its connection, and how things stand.
pub(super) struct Desk {
    pub(super) connection: SqliteConnection,
    pub(super) options: SqliteConnectOptions,
    pub(super) patience: Patience,
    /// The transaction before could not begin or be committed.
    pub(super) troubled: Arc<AtomicBool>,
    /// Transactions until the next look at the log's length.
    pub(super) until_look: u32,
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
    /// Works until it is closed, or every handle is gone.
    pub(super) async fn work(mut self, mut queue: mpsc::Receiver<Order>) {
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
