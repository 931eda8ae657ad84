//! A queued change, with the type of its result erased.

use super::WriteTransaction;
use domain::RunId;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use store::{StoreError, StoreResult};
use tokio::sync::oneshot;

pub(super) type Change<T> =
    dyn for<'t> FnOnce(&'t mut WriteTransaction) -> BoxFuture<'t, StoreResult<T>> + Send;
/// Sends the result of a change to its caller. An error of the commit replaces
/// the result.
pub(super) type Responder = Box<dyn FnOnce(StoreResult<()>) + Send>;

/// How a change ended, before the commit.
pub(super) enum ChangeOutcome {
    Succeeded,
    /// Failed with an error of its own.
    Failed,
    /// Failed because the database is unavailable, for this reason.
    Unavailable(String),
}

/// What a change may do to runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunAccess {
    /// It reads and changes only this run, and begins its own savepoint.
    One(RunId),
    /// It changes runs only by saving them as whole rows, so cached runs stay up to date.
    Saved,
    /// Its statements may change any run.
    Any,
}

impl RunAccess {
    pub(super) fn one(self) -> Option<RunId> {
        match self {
            Self::One(run) => Some(run),
            Self::Saved | Self::Any => None,
        }
    }
}

pub(super) trait QueuedChange: Send {
    fn run_access(&self) -> RunAccess;
    fn run<'t>(
        self: Box<Self>,
        tx: &'t mut WriteTransaction,
    ) -> BoxFuture<'t, (ChangeOutcome, Responder)>;
    /// Responds with an error without running the change.
    fn reject(self: Box<Self>, error: StoreError);
}

pub(super) struct TypedChange<T> {
    pub(super) run_access: RunAccess,
    pub(super) change: Box<Change<T>>,
    pub(super) response: oneshot::Sender<StoreResult<T>>,
}

impl<T: Send + 'static> QueuedChange for TypedChange<T> {
    fn run_access(&self) -> RunAccess {
        self.run_access
    }

    fn run<'t>(
        self: Box<Self>,
        tx: &'t mut WriteTransaction,
    ) -> BoxFuture<'t, (ChangeOutcome, Responder)> {
        let Self { change, response, .. } = *self;
        async move {
            let result = AssertUnwindSafe(change(tx)).catch_unwind().await;
            let result =
                result.unwrap_or_else(|_| Err(StoreError::Internal("a change panicked".into())));
            let outcome = match &result {
                Ok(_) => ChangeOutcome::Succeeded,
                Err(StoreError::Unavailable(reason)) => ChangeOutcome::Unavailable(reason.clone()),
                Err(_) => ChangeOutcome::Failed,
            };
            let responder: Responder = Box::new(move |committed| {
                // The caller may have stopped waiting.
                let _ = response.send(committed.and(result));
            });
            (outcome, responder)
        }
        .boxed()
    }

    fn reject(self: Box<Self>, error: StoreError) {
        let _ = self.response.send(Err(error));
    }
}
