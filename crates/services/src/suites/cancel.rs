//! Cancelling: a flag in the database, and a word to the engine at once.

use crate::errors::StoreResultExt;
use super::Suites;
use domain::backend::{Answer, Caller};
use domain::{Run, RunId, RunStatus, Suite, SuiteId, SuiteStatus};
use domain::error::AppError;

impl Suites {
    /// Asks a suite to stop; fine when it was asked before. 409 only if it
    /// finished otherwise.
    pub async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> Answer<Suite> {
        let now = self.clock.now();
        let asked = self.suites.cancel_suite(caller.space_id, id, now).await.or_app_error()?;
        if let Some(outcome) = &asked {
            self.executor.cancel(&outcome.held);
            self.executor.wake();
        }
        let suite = self.suite(caller, id).await?.suite;
        if asked.is_none() && suite.status == SuiteStatus::Finished {
            return Err(AppError::conflict("This suite has finished already.")
                .with_link(format!("/suites/{id}")));
        }
        Ok(suite)
    }

    /// Asks one run to stop; fine when it was asked before.
    pub async fn cancel_run(&self, caller: &Caller, id: RunId) -> Answer<Run> {
        let now = self.clock.now();
        let asked = self.suites.cancel_run(caller.space_id, id, now).await.or_app_error()?;
        if let Some(outcome) = &asked {
            self.executor.cancel(&outcome.held);
            self.executor.wake();
        }
        let run = self.run(caller, id).await?;
        if asked.is_none() && run.status != RunStatus::Cancelled {
            return Err(AppError::conflict("This run has finished already.")
                .with_link(format!("/runs/{id}")));
        }
        Ok(run)
    }
}
