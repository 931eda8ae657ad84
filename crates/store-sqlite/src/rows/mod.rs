//! Conversion between rows of SQLite and the types of [`store::rows`].

mod evaluation;
mod run;
mod suite;
mod turn;

pub(super) use evaluation::{RawEvaluation, save_evaluation, select_evaluations};
pub(super) use run::{RawRun, select_runs};
pub(super) use suite::{RawSuite, RawSuiteState};
pub(super) use turn::{RawTurn, turn_list};

use serde::Serialize;
use store::{StoreError, StoreResult};

/// Leaves corrupt rows out of a list and logs them.
pub(super) fn readable<T>(rows: impl Iterator<Item = StoreResult<T>>) -> Vec<T> {
    let log = |error: &StoreError| tracing::error!(%error, "a corrupt row is left out of a list");
    rows.filter_map(|row| row.inspect_err(log).ok()).collect()
}

/// The JSON text of a document.
pub(super) fn document<T: Serialize>(value: &T) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal(error.to_string()))
}

/// A number as SQLite stores it.
pub(super) fn integer(value: u64) -> StoreResult<i64> {
    i64::try_from(value).map_err(|_| StoreError::Internal(format!("{value} is too large to store")))
}
