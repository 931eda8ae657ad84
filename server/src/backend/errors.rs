//! From what the store says to what a person reads: a sentence that helps,
//! never an internal word; the log has the rest under the id.

use crate::observe::request::log_id;
use crate::store::StoreError;
use app::error::{AppError, ErrorCode};
use std::fmt::Display;

/// After so many seconds a request may find the database well again.
const TRY_AGAIN_S: u32 = 5;

/// Something that should not happen: logged, and named by its id alone.
pub fn internal(error: &dyn Display, doing: &str) -> AppError {
    let id = log_id();
    tracing::error!(log_id = %id, %error, doing, "a use case failed");
    let detail = format!("Something went wrong on our side. The log has it under {id}.");
    AppError { log_id: Some(id), ..AppError::new(ErrorCode::Internal, detail) }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::conflict(
                "This was changed in the meantime, so nothing was saved. Look at the newest \
                 version, then save on top of it.",
            ),
            StoreError::InUse(why) => Self::conflict(format!("It cannot be deleted now: {why}.")),
            StoreError::Duplicate(_) => Self::conflict("It is there already."),
            StoreError::Damaged(_) => {
                let id = log_id();
                tracing::error!(log_id = %id, %error, "a damaged row was asked for");
                let detail = format!(
                    "What is stored is damaged and cannot be shown. The log has it under {id}."
                );
                Self { log_id: Some(id), ..Self::new(ErrorCode::Internal, detail) }
            }
            StoreError::Unavailable(_) => {
                let id = log_id();
                tracing::error!(log_id = %id, %error, "the store does not answer");
                let detail = format!(
                    "The database does not answer at the moment, and nothing was changed. \
                     Please try again in a few seconds; the log has it under {id}."
                );
                let unavailable = Self::new(ErrorCode::Unavailable, detail);
                Self { log_id: Some(id), retry_after: Some(TRY_AGAIN_S), ..unavailable }
            }
            StoreError::Fault(_) => internal(&error, "the store refused it"),
            StoreError::LeaseLost => internal(&error, "a use case met a lease"),
        }
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
            let answer = AppError::from(error);
            assert_eq!(answer.code.status(), status, "{answer:?}");
            assert_eq!(answer.log_id.is_some(), logged, "{answer:?}");
            assert_eq!(answer.retry_after.is_some(), status == 503, "{answer:?}");
            for word in ["table", "/srv", "users", "the lease"] {
                assert!(!answer.detail.contains(word), "{answer:?}");
            }
        }
    }
}
