//! The page of a run.

use crate::domain::Run;
#[cfg(feature = "ssr")]
use crate::error::AppError;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{RunQuery, request};

/// The data of the run page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunData {
    pub run: Run,
    /// The idempotency key of the rejudge form.
    pub key: String,
}

/// A run with its evaluations.
#[cfg(feature = "ssr")]
pub(super) async fn run_view(RunQuery { id }: RunQuery) -> Result<RunData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let id = request::id(&id, "run")?;
    let mut run = services.results.run(&caller, id).await?;
    if run.evaluations.is_none() {
        run.evaluations = Some(services.results.evaluations(&caller, id).await?);
    }
    Ok(RunData { run, key: services.suites.new_idempotency_key() })
}
