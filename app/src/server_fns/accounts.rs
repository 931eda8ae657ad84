//! The session, and the sign-in and sign-up forms.

#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{AccountQuery, RejectionQuery, SessionQuery, request};

/// The data of the page header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeaderData {
    pub email: Option<String>,
}

/// The data of the sign-in and sign-up forms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountData {
    /// Whether sign-up is open.
    pub sign_up_open: bool,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
}

/// The signed-in user.
#[cfg(feature = "ssr")]
pub(super) async fn session(_: SessionQuery) -> Result<HeaderData, AppError> {
    Ok(HeaderData { email: request::optional_caller().map(|caller| caller.email) })
}

/// Why a form was rejected.
#[cfg(feature = "ssr")]
pub(super) async fn rejection(
    RejectionQuery { saved_form }: RejectionQuery,
) -> Result<Option<SavedForm>, AppError> {
    Ok(request::rejected(saved_form.as_deref()).await)
}

/// The sign-in and sign-up forms.
#[cfg(feature = "ssr")]
pub(super) async fn account_form(
    AccountQuery { saved_form }: AccountQuery,
) -> Result<AccountData, AppError> {
    if request::optional_caller().is_some() {
        request::past_sign_in();
    }
    let sign_up_open = request::services().accounts.sign_up_open().await?;
    Ok(AccountData { sign_up_open, rejected: request::rejected(saved_form.as_deref()).await })
}
