//! Who is signed in, and the two forms of somebody who is not.

use crate::backend::Rejected;
use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::ask;

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
#[server(prefix = "/fn", endpoint = "session", input = Json)]
pub async fn session() -> Result<Visitor, AppError> {
    Ok(Visitor { email: ask::visitor().map(|caller| caller.email) })
}

/// Why something was refused, for pages without a form that says so.
#[server(prefix = "/fn", endpoint = "refused", input = Json)]
pub async fn refused(draft: Option<String>) -> Result<Option<Rejected>, AppError> {
    Ok(ask::rejected(draft.as_deref()).await)
}

/// The sign-in and sign-up forms.
#[server(prefix = "/fn", endpoint = "account-form", input = Json)]
pub async fn account_form(draft: Option<String>) -> Result<AccountData, AppError> {
    let sign_up_open = ask::answered(ask::backend().sign_up_open().await)?;
    Ok(AccountData { sign_up_open, rejected: ask::rejected(draft.as_deref()).await })
}
