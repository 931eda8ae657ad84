//! Transitions of stored suites.

use crate::cell::RowReader;
use crate::rows::RawSuiteState;
use crate::sqlite_error::{DbResult, RunStatement};
use domain::{SuiteId, Timestamp};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::rows::EventRow;
use store::transition::{Refused, SuiteState, SuiteTransition};

/// Applies a transition to a stored suite and saves it, unless it is refused. A
/// suite that is missing or corrupt refuses every transition.
pub(crate) async fn transition_suite(
    c: &mut SqliteConnection,
    id: SuiteId,
    transition: SuiteTransition,
    now: Timestamp,
) -> StoreResult<Result<Option<EventRow>, Refused>> {
    let state = sqlx::query_as!(
        RawSuiteState,
        "SELECT status, started_at, finished_at, cancel_requested_at FROM suites WHERE id = ?",
        id.0,
    );
    let Some(state) = state.fetch_optional(&mut *c).await.db()? else {
        return Ok(Err(Refused::NotApplicable));
    };
    let mut state = match state.read(RowReader::new("suites", &id)) {
        Ok(state) => state,
        Err(error) => {
            tracing::error!(%error, "a suite is corrupt and does not change");
            return Ok(Err(Refused::NotApplicable));
        }
    };
    let result = state.transition(transition, now);
    if result.is_ok() {
        save(c, id, &state).await?;
    }
    Ok(result)
}

async fn save(c: &mut SqliteConnection, id: SuiteId, state: &SuiteState) -> StoreResult<()> {
    let status = state.status().as_str();
    let started_at = state.started_at().map(|at| at.0);
    let finished_at = state.finished_at().map(|at| at.0);
    let cancel_requested_at = state.cancel_requested_at().map(|at| at.0);
    sqlx::query!(
        "UPDATE suites SET status = ?, started_at = ?, finished_at = ?, cancel_requested_at = ? \
         WHERE id = ?",
        status,
        started_at,
        finished_at,
        cancel_requested_at,
        id.0,
    )
    .run(c)
    .await
}
