//! Settings of a space and API tokens.

use super::ids::{ConnectionId, TokenId};
use super::model_options::ModelOptions;
use super::problem::Problems;
use super::timestamp::Timestamp;
use super::{Draft, DraftReader, is_blank, limits};
use serde::{Deserialize, Serialize};

/// A model of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ModelChoice {
    pub connection_id: ConnectionId,
    /// Name of the model at the provider.
    pub model: String,
    /// What the user chose for the calls of this role.
    #[serde(default)]
    pub options: ModelOptions,
}

/// The models for the judge and the simulated user; `None` selects the agent's model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Settings {
    pub judge: Option<ModelChoice>,
    pub simulated_user: Option<ModelChoice>,
}

impl ModelChoice {
    /// A model without options.
    pub fn new(connection_id: ConnectionId, model: impl Into<String>) -> Self {
        Self { connection_id, model: model.into(), options: ModelOptions::default() }
    }

    /// Reads `{connection_id, model, options}` at `field`. Returns `None` if the object is absent,
    /// null or has two blank fields (an empty form). One blank field is a problem.
    pub fn read(reader: &mut DraftReader<'_>, field: &'static str) -> Option<Self> {
        reader.value(field)?;
        let mut choice = reader.object(field);
        if !choice.is_object() {
            return None;
        }
        let connection = choice.text("connection_id", limits::NAME);
        let model = choice.name("model", limits::NAME, false);
        let connection_id = connection.parse::<ConnectionId>().ok();
        let options = read_options(&mut choice);
        if field == "simulated_user" && options.timeout_seconds.is_some() {
            let problem = "applies to the judge only; the scenario limits the conversation";
            choice.problem("options.timeout_seconds", problem);
        }
        let empty = is_blank(&connection) && is_blank(&model);
        if empty && !options.is_empty() {
            choice.problem("model", "must be selected, because options are set");
        }
        if !empty && is_blank(&connection) {
            choice.problem("connection_id", "must be selected together with the model");
        } else if !empty && connection_id.is_none() {
            choice.problem("connection_id", "is not a connection id");
        }
        if !empty && is_blank(&model) {
            choice.problem("model", "must not be empty");
        }
        choice.deny_unknown_fields(&[]);
        connection_id.filter(|_| !is_blank(&model)).map(|connection_id| Self {
            connection_id,
            model,
            options,
        })
    }
}

fn read_options(choice: &mut DraftReader<'_>) -> ModelOptions {
    let mut reader = choice.object("options");
    let options = ModelOptions::read(&mut reader);
    if reader.is_object() {
        reader.deny_unknown_fields(&[]);
    }
    options
}

impl Settings {
    /// Validates the draft.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let judge = ModelChoice::read(&mut reader, "judge");
        let simulated_user = ModelChoice::read(&mut reader, "simulated_user");
        reader.deny_unknown_fields(&["idempotency_key"]);
        Some(Self { judge, simulated_user })
    }
}

/// An API token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// When the token stops working; `null` for a token that was created before tokens
    /// had an expiry.
    pub expires_at: Option<Timestamp>,
}

/// What a new API token is for, and how long it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    pub name: String,
    pub expires_in_days: u32,
}

impl TokenRequest {
    /// Validates the draft.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(Self::read)
    }

    fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        let name = reader.name("name", limits::NAME, true);
        let days = reader.optional_integer("expires_in_days", 1, limits::TOKEN_MAX_DAYS);
        reader.deny_unknown_fields(&["idempotency_key"]);
        Some(Self { name, expires_in_days: days.unwrap_or(limits::TOKEN_DAYS) })
    }
}

/// A session of a browser in which the user is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserSession {
    /// The hash of the secret session id, in hexadecimal digits: it signs nobody in.
    pub id: String,
    pub signed_in_at: Timestamp,
    /// Accurate to a few minutes.
    pub last_used_at: Timestamp,
    /// The address from which the user signed in; empty if unknown.
    pub address: String,
    /// The name that the browser gave itself; empty if unknown.
    pub browser: String,
}

/// A new API token with its secret. The secret is shown only once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct NewToken {
    #[serde(flatten)]
    pub listed: ApiToken,
    /// The secret.
    pub token: String,
}
