//! Runs: the page of one, and stopping it.

use crate::domain::Run;
#[cfg(feature = "ssr")]
use crate::error::AppError;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{RunQuery, ask};

/// What the page of a run shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunData {
    /// The run with transcript and evaluations.
    pub run: Run,
    /// Key of the re-evaluation form.
    pub key: String,
}

/// One run.
#[cfg(feature = "ssr")]
pub(super) async fn run_view(RunQuery { id }: RunQuery) -> Result<RunData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let id = ask::answered(ask::id(&id, "run"))?;
    let mut run = ask::answered(services.results.run(&caller, id).await)?;
    if run.evaluations.is_none() {
        run.evaluations = Some(ask::answered(services.results.evaluations(&caller, id).await)?);
    }
    Ok(RunData { run, key: services.suites.new_idempotency_key() })
}
