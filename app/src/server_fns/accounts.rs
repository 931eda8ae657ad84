//! Who is signed in, and the two forms of somebody who is not.

#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::Rejected;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{AccountQuery, RefusedQuery, SessionQuery, ask};

/// What the header shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Visitor {
    /// Who is signed in.
    pub email: Option<String>,
}

/// A form for somebody who is not signed in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountData {
    /// Whether somebody may sign up now.
    pub sign_up_open: bool,
    /// What was typed before and not accepted.
    pub rejected: Option<Rejected>,
}

/// Who is signed in.
#[cfg(feature = "ssr")]
pub(super) async fn session(_: SessionQuery) -> Result<Visitor, AppError> {
    Ok(Visitor { email: ask::visitor().map(|caller| caller.email) })
}

/// Why something was refused, for pages without a form that says so.
#[cfg(feature = "ssr")]
pub(super) async fn refused(
    RefusedQuery { draft }: RefusedQuery,
) -> Result<Option<Rejected>, AppError> {
    Ok(ask::rejected(draft.as_deref()).await)
}

/// The sign-in and sign-up forms.
#[cfg(feature = "ssr")]
pub(super) async fn account_form(
    AccountQuery { draft }: AccountQuery,
) -> Result<AccountData, AppError> {
    if ask::visitor().is_some() {
        ask::past_sign_in();
    }
    let sign_up_open = ask::answered(ask::services().accounts.sign_up_open().await)?;
    Ok(AccountData { sign_up_open, rejected: ask::rejected(draft.as_deref()).await })
}
