//! Settings of a space, and tokens for programs.

use super::ids::{ConnectionId, TokenId};
use super::problem::Problems;
use super::timestamp::Timestamp;
use super::{Draft, Reader, is_blank, limits};
use serde::{Deserialize, Serialize};

/// A model at a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ModelChoice {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The model's name there.
    pub model: String,
}

/// Which models judge and play users; `None` = the agent's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Settings {
    /// The judge.
    pub judge: Option<ModelChoice>,
    /// The simulated user.
    pub simulated_user: Option<ModelChoice>,
}

impl ModelChoice {
    /// Reads `{connection_id, model}` at `field`. Absent, null, or both blank
    /// (a form's empty choice) is `None`; half of it is a problem.
    pub fn read(reader: &mut Reader<'_>, field: &'static str) -> Option<Self> {
        reader.value(field)?;
        let mut choice = reader.object(field);
        if !choice.is_object() {
            return None;
        }
        let connection = choice.text("connection_id", limits::NAME);
        let model = choice.name("model", limits::NAME, false);
        let connection_id = connection.parse::<ConnectionId>().ok();
        let empty = is_blank(&connection) && is_blank(&model);
        if !empty && is_blank(&connection) {
            choice.problem("connection_id", "must be chosen together with the model");
        } else if !empty && connection_id.is_none() {
            choice.problem("connection_id", "is not the id of a connection");
        }
        if !empty && is_blank(&model) {
            choice.problem("model", "must not be empty");
        }
        choice.finish(&[]);
        connection_id
            .filter(|_| !is_blank(&model))
            .map(|connection_id| Self { connection_id, model })
    }
}

impl Settings {
    /// The valid settings, or all problems of the draft.
    ///
    /// # Errors
    /// Every problem, with its path.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
        if !reader.is_object() {
            return Err(problems);
        }
        let judge = ModelChoice::read(&mut reader, "judge");
        let simulated_user = ModelChoice::read(&mut reader, "simulated_user");
        reader.finish(&["idempotency_key"]);
        if problems.is_empty() { Ok(Self { judge, simulated_user }) } else { Err(problems) }
    }
}

/// A token as it is listed: never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// How it will be listed.
    #[serde(flatten)]
    pub listed: ApiToken,
    /// The secret; not shown again.
    pub token: String,
}
