//! What an error of the database means: trouble that passes, or a fault.

use store::{StoreError, Stored};
use sqlx::Error;

/// The primary code of SQLite, without what its extension adds.
fn code(error: &Error) -> Option<i32> {
    let Error::Database(error) = error else { return None };
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

/// Whether another process holds the lock (SQLITE_BUSY, SQLITE_LOCKED).
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// What an operator can do about it; `None` where it is no trouble that passes.
fn sentence(code: i32) -> Option<&'static str> {
    Some(match code {
        5 | 6 => "another process holds the database's lock",
        7 => "there is no memory left",
        8 => "the database is read-only",
        10 => "the disk does not read or write",
        13 => "the disk is full",
        14 => "the database cannot be opened",
        15 => "the database's locks do not work on this file system",
        _ => return None,
    })
}

/// What it means for whoever asked.
pub(crate) fn of(error: &Error) -> StoreError {
    match error {
        Error::ColumnDecode { .. } | Error::Decode(_) => StoreError::Damaged(error.to_string()),
        Error::Database(_) => match code(error).and_then(sentence) {
            Some(sentence) => StoreError::Unavailable(format!("{sentence} ({error})")),
            None => StoreError::Fault(error.to_string()),
        },
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Fault(error.to_string()),
    }
}

/// The same for a whole transaction: its changes were undone, and each may be
/// tried again, whatever broke it.
pub(super) fn of_transaction(error: &Error) -> String {
    match code(error).and_then(sentence) {
        Some(sentence) => format!("{sentence} ({error})"),
        None => error.to_string(),
    }
}

/// Converts results of sqlx. The store's error type does not know sqlx, so `?`
/// alone cannot convert.
pub(crate) trait DbResult<T> {
    /// The value, or what the error means for the caller.
    fn db(self) -> Stored<T>;
}

impl<T> DbResult<T> for Result<T, Error> {
    fn db(self) -> Stored<T> {
        self.map_err(|error| of(&error))
    }
}
