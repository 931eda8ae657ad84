//! The meaning of SQLite errors (whether the caller may retry), and statements that
//! return it.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Error, Sqlite, SqliteConnection};
use store::{StoreError, StoreResult};

/// The primary result code of SQLite.
fn code(error: &Error) -> Option<i32> {
    let Error::Database(error) = error else { return None };
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

/// Whether another process holds the lock (SQLITE_BUSY, SQLITE_LOCKED).
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// Why the database is unavailable; `None` if a retry cannot succeed.
fn unavailable(code: i32) -> Option<&'static str> {
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

pub(crate) fn store_error(error: &Error) -> StoreError {
    match error {
        Error::Database(_) => match code(error).and_then(unavailable) {
            Some(reason) => StoreError::Unavailable(format!("{reason} ({error})")),
            None => StoreError::Internal(error.to_string()),
        },
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Internal(error.to_string()),
    }
}

/// Why a transaction failed. It was rolled back, so its changes can be retried
/// after any error.
pub(super) fn transaction_error(error: &Error) -> String {
    match code(error).and_then(unavailable) {
        Some(reason) => format!("{reason} ({error})"),
        None => error.to_string(),
    }
}

/// Converts errors of sqlx. The error type of the store does not know sqlx, so
/// `?` alone cannot convert them.
pub(crate) trait DbResult<T> {
    fn db(self) -> StoreResult<T>;
}

impl<T> DbResult<T> for Result<T, Error> {
    fn db(self) -> StoreResult<T> {
        self.map_err(|error| store_error(&error))
    }
}

/// A statement that returns no rows.
pub(crate) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

pub(crate) trait RunStatement {
    async fn run(self, c: &mut SqliteConnection) -> StoreResult<()>;
}

impl RunStatement for Statement<'_> {
    async fn run(self, c: &mut SqliteConnection) -> StoreResult<()> {
        self.execute(c).await.db().map(|_| ())
    }
}
