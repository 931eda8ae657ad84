//! A change that waits for its transaction, and what it leaves.

use store::{StoreError, Stored, ended};
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use std::panic::AssertUnwindSafe;
use tokio::sync::oneshot;

pub(super) type Change<T> =
    dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Stored<T>> + Send;
pub(super) type Deliver = Box<dyn FnOnce(Stored<()>) + Send>;

/// What a change left.
pub(super) enum Left {
    /// Something to be committed.
    Keep,
    /// Nothing, for an error of its own.
    Undo,
    /// Nothing, for trouble of the database: this.
    Trouble(String),
}

/// A change that waits for its transaction.
pub(super) trait Job: Send {
    /// Runs it; what it left, and how its caller is told.
    fn run<'c>(self: Box<Self>, c: &'c mut SqliteConnection) -> BoxFuture<'c, (Left, Deliver)>;
    /// Tells its caller that it was not run.
    fn refuse(self: Box<Self>, why: StoreError);
}

pub(super) struct Queued<T> {
    pub(super) change: Box<Change<T>>,
    pub(super) answer: oneshot::Sender<Stored<T>>,
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
