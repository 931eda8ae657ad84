//! The one writer: it takes what is queued, runs each change in a SAVEPOINT
//! of one transaction, commits once, and only then answers.
//!
//! `synchronous=FULL` costs an fsync a commit (about 6 ms on an ordinary
//! disk): one commit a turn would cap the server at some 170 turns a second.

use crate::store::{StoreError, Stored, ended};
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use std::panic::AssertUnwindSafe;
use tokio::sync::{mpsc, oneshot};

/// Most changes in one transaction: bounds how long the first one waits.
const BATCH: usize = 256;
/// Most changes that wait in memory; more wait in their callers.
const QUEUE: usize = 1024;

type Deliver = Box<dyn FnOnce(Stored<()>) + Send>;
type Job =
    Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, (bool, Deliver)> + Send>;

enum Order {
    Write(Job),
    Close(oneshot::Sender<()>),
}

/// A handle to the writer; cheap to clone.
#[derive(Clone)]
pub struct Writer {
    orders: mpsc::Sender<Order>,
}

impl Writer {
    /// Starts the writer on its own connection.
    #[must_use]
    pub fn start(connection: SqliteConnection) -> Self {
        let (orders, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(connection, queue));
        Self { orders }
    }

    /// Runs `change` in the next transaction and answers once that is
    /// committed. An error undoes this change alone. The change goes on when
    /// the caller no longer waits.
    pub async fn write<T, F>(&self, change: F) -> Stored<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Stored<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            async move {
                let work = AssertUnwindSafe(change(connection)).catch_unwind();
                let (result, ended) = ended::gathering(work).await;
                let result = result
                    .unwrap_or_else(|_| Err(StoreError::Unavailable("a write panicked".into())));
                let keep = result.is_ok();
                let deliver: Deliver = Box::new(move |committed| {
                    let result = committed.and(result);
                    if result.is_ok() {
                        ended.tell();
                    }
                    let _ = answer.send(result);
                });
                (keep, deliver)
            }
            .boxed()
        });
        let closed = || StoreError::Unavailable("the store is closed".into());
        self.orders.send(Order::Write(job)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Commits what is queued and ends the writer.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.send(Order::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

async fn run(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Order>) {
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
            transaction(&mut connection, batch).await;
        }
    }
    let _ = connection.close().await;
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

async fn transaction(connection: &mut SqliteConnection, batch: Vec<Job>) {
    let size = batch.len();
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE").await {
        // Nothing ran: the callers' channels close, and they hear of it.
        tracing::error!(%error, size, "the store cannot begin a transaction");
        return;
    }
    let alone = size == 1;
    let mut delivers = Vec::with_capacity(size);
    let mut broken = None;
    for job in batch {
        if broken.is_some() {
            break;
        }
        let (ok, deliver) = if alone {
            job(connection).await
        } else {
            match within_savepoint(connection, job).await {
                Ok(done) => done,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        };
        if ok {
            delivers.push(deliver);
        } else if alone {
            let _ = execute(connection, "ROLLBACK").await;
            deliver(Ok(()));
            return;
        } else {
            deliver(Ok(())); // undone already: its own error goes out now
        }
    }
    let committed = match broken {
        None => execute(connection, "COMMIT").await,
        Some(error) => Err(error),
    };
    let committed = committed.map_err(|error| {
        tracing::error!(%error, size, "the store cannot commit");
        error.to_string()
    });
    if committed.is_err() {
        let _ = execute(connection, "ROLLBACK").await;
    }
    for deliver in delivers {
        deliver(committed.clone().map_err(StoreError::Unavailable));
    }
}

async fn within_savepoint(
    connection: &mut SqliteConnection,
    job: Job,
) -> Result<(bool, Deliver), sqlx::Error> {
    execute(connection, "SAVEPOINT one").await?;
    let (ok, deliver) = job(connection).await;
    if !ok {
        execute(connection, "ROLLBACK TO one").await?;
    }
    execute(connection, "RELEASE one").await?;
    Ok((ok, deliver))
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}
