//! Converts store errors to messages for users. A message says what to do and
//! never contains internal details; those are in the log, under the same id.

use domain::Problems;
use domain::error::{AppError, ErrorCode};
use domain::services::AppResult;
use std::fmt::Display;
use store::StoreError;
use telemetry::request::log_id;

/// The Retry-After of requests while the database is unavailable.
const RETRY_AFTER_S: u32 = 5;

/// An internal error: logged, and shown to the user only as its log id.
pub fn internal(error: &dyn Display, doing: &str) -> AppError {
    let id = log_id();
    tracing::error!(log_id = %id, %error, doing, "a use case failed");
    let detail = format!("Something went wrong on our side. The log has it under {id}.");
    AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, detail) }
}

/// Converts results of the store. The domain does not know the store's error
/// type, so `?` alone cannot convert.
pub(crate) trait StoreResultExt<T> {
    /// The value, or the error in words for the user.
    ///
    /// # Errors
    /// See [`app_error`].
    fn or_app_error(self) -> AppResult<T>;
}

impl<T> StoreResultExt<T> for Result<T, StoreError> {
    fn or_app_error(self) -> AppResult<T> {
        self.map_err(app_error)
    }
}

/// Fails with 422 if there are problems.
pub(crate) fn reject_if_any(problems: Problems) -> AppResult<()> {
    if problems.is_empty() { Ok(()) } else { Err(AppError::invalid(problems)) }
}

/// The message for the user.
#[must_use]
pub(crate) fn app_error(error: StoreError) -> AppError {
    match error {
        StoreError::Stale => AppError::conflict(
            "This was changed in the meantime, so nothing was saved. Review the newest version, \
             then save again.",
        ),
        StoreError::InUse(why) => AppError::conflict(format!("It cannot be deleted now: {why}.")),
        StoreError::Duplicate(_) => AppError::conflict("It already exists."),
        StoreError::QuotaExceeded { objects, max } => AppError::conflict(format!(
            "You have {max} {objects}, the most that one user may have. Delete some that you no \
             longer need, then try again."
        )),
        StoreError::Corrupt { .. } => {
            let id = log_id();
            tracing::error!(log_id = %id, %error, "a corrupt row was requested");
            let detail = format!(
                "The stored data is corrupt and cannot be shown. The log has details under {id}."
            );
            AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, detail) }
        }
        StoreError::Unavailable(_) => {
            let id = log_id();
            tracing::error!(log_id = %id, %error, "the store is unavailable");
            let detail = format!(
                "The database is unavailable at the moment, and nothing was changed. \
                     Please try again in a few seconds; the log has details under {id}."
            );
            let unavailable = AppError::new(ErrorCode::Unavailable, detail);
            AppError { log_id: Some(id), retry_after: Some(RETRY_AFTER_S), ..unavailable }
        }
        StoreError::Internal(_) => internal(&error, "use a store"),
        StoreError::LeaseLost => internal(&error, "handle an unexpected lease error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_messages_contain_no_internal_details() {
        let secret = "no such table: users in /srv/data.db";
        let cases = [
            (StoreError::Stale, 409),
            (StoreError::InUse("the agent “Desk” uses it".into()), 409),
            (StoreError::Duplicate("users.email"), 409),
            (StoreError::QuotaExceeded { objects: "tokens", max: 50 }, 409),
            (StoreError::Corrupt { table: "users", row: secret.into(), column: "email" }, 500),
            (StoreError::Unavailable(secret.into()), 503),
            (StoreError::Internal(secret.into()), 500),
            (StoreError::LeaseLost, 500),
        ];
        for (error, status) in cases {
            let logged = status >= 500;
            let answer = app_error(error);
            assert_eq!(answer.code.status(), status, "{answer:?}");
            assert_eq!(answer.log_id.is_some(), logged, "{answer:?}");
            assert_eq!(answer.retry_after.is_some(), status == 503, "{answer:?}");
            for word in ["table", "/srv", "users", "the lease"] {
                assert!(!answer.detail.contains(word), "{answer:?}");
            }
        }
    }
}
