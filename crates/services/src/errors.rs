//! From what the store says to what a person reads: a sentence that helps,
//! never an internal word; the log has the rest under the id.

use domain::error::{AppError, ErrorCode};
use std::fmt::Display;
use store::StoreError;
use telemetry::request::log_id;

/// After so many seconds a request may find the database well again.
const TRY_AGAIN_S: u32 = 5;

/// Something that should not happen: logged, and named by its id alone.
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
    fn or_app_error(self) -> Result<T, AppError>;
}

impl<T> StoreResultExt<T> for Result<T, StoreError> {
    fn or_app_error(self) -> Result<T, AppError> {
        self.map_err(app_error)
    }
}

/// What a store error means for the user.
#[must_use]
pub(crate) fn app_error(error: StoreError) -> AppError {
    match error {
        StoreError::Stale => AppError::conflict(
            "This was changed in the meantime, so nothing was saved. Look at the newest \
                 version, then save on top of it.",
        ),
        StoreError::InUse(why) => AppError::conflict(format!("It cannot be deleted now: {why}.")),
        StoreError::Duplicate(_) => AppError::conflict("It is there already."),
        StoreError::Damaged(_) => {
            let id = log_id();
            tracing::error!(log_id = %id, %error, "a damaged row was asked for");
            let detail = format!(
                "What is stored is damaged and cannot be shown. The log has it under {id}."
            );
            AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, detail) }
        }
        StoreError::Unavailable(_) => {
            let id = log_id();
            tracing::error!(log_id = %id, %error, "the store does not answer");
            let detail = format!(
                "The database does not answer at the moment, and nothing was changed. \
                     Please try again in a few seconds; the log has it under {id}."
            );
            let unavailable = AppError::new(ErrorCode::Unavailable, detail);
            AppError { log_id: Some(id), retry_after: Some(TRY_AGAIN_S), ..unavailable }
        }
        StoreError::Fault(_) => internal(&error, "the store refused it"),
        StoreError::LeaseLost => internal(&error, "a use case met a lease"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_internal_reaches_a_person() {
        let secret = "no such table: users in /srv/data.db";
        let cases = [
            (StoreError::Stale, 409),
            (StoreError::InUse("the agent “Desk” uses it".into()), 409),
            (StoreError::Duplicate("users.email"), 409),
            (StoreError::Damaged(secret.into()), 500),
            (StoreError::Unavailable(secret.into()), 503),
            (StoreError::Fault(secret.into()), 500),
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
