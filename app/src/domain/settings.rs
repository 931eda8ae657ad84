//! Settings of a space, and tokens for programs.

use super::ids::{ConnectionId, TokenId};
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// A model at a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct ModelChoice {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The model's name there.
    pub model: String,
}

/// Which models judge and play users; `None` = the agent's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct Settings {
    /// The judge.
    pub judge: Option<ModelChoice>,
    /// The simulated user.
    pub simulated_user: Option<ModelChoice>,
}

/// A token as it is listed: never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// A fresh token, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// How it will be listed.
    #[serde(flatten)]
    pub listed: ApiToken,
    /// The secret; not shown again.
    pub token: String,
}
