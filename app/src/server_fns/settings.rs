//! Connections, models and tokens.

use super::Choice;
use crate::domain::{ApiToken, Connection, ConnectionTest, Draft};
#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::Rejected;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{ConnectionQuery, ConnectionsQuery, ModelsQuery, TokensQuery, ask};

/// What the editor of a connection shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionData {
    /// The connection as it is stored; `None` for a new one.
    pub connection: Option<Connection>,
    /// What was typed before and not accepted.
    pub rejected: Option<Rejected>,
    /// What a test just found.
    pub tested: Option<ConnectionTest>,
    /// The model that it was asked for.
    pub model: String,
}

/// What the page of models shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelsData {
    /// As they are.
    pub stored: Draft,
    /// How models can be reached.
    pub connections: Vec<Choice>,
    /// What was typed before and not accepted.
    pub rejected: Option<Rejected>,
}

/// What the page of tokens shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokensData {
    /// Tokens, newest first.
    pub tokens: Vec<ApiToken>,
    /// What was typed before and not accepted.
    pub rejected: Option<Rejected>,
    /// The secret of the token that was just made: shown this once.
    pub secret: Option<String>,
    /// It was shown before, or waited too long.
    pub too_late: bool,
}

/// One's own connections and the server's.
#[cfg(feature = "ssr")]
pub(super) async fn connections(_: ConnectionsQuery) -> Result<Vec<Connection>, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    ask::answered(services.connections.connections(&caller).await)
}

/// Connections to choose from.
#[cfg(feature = "ssr")]
pub(super) async fn choices(caller: &crate::services::Caller) -> Result<Vec<Choice>, AppError> {
    let all = ask::answered(ask::services().connections.connections(caller).await)?;
    let choice = |c: Connection| Choice { id: c.id.to_string(), name: c.name, about: c.base_url };
    Ok(all.into_iter().map(choice).collect())
}

/// The editor of one connection, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn connection_form(
    ConnectionQuery { id, draft, tested }: ConnectionQuery,
) -> Result<ConnectionData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let rejected = ask::rejected(draft.as_deref()).await;
    let connection = match id {
        Some(id) => {
            let id = ask::answered(ask::id(&id, "connection"))?;
            Some(ask::answered(services.connections.connection(&caller, id).await)?)
        }
        None => None,
    };
    let tested = ask::rejected(tested.as_deref()).await;
    let typed = [tested.as_ref(), rejected.as_ref()].into_iter().flatten();
    let model = typed.map(|kept| kept.draft.text("model")).next().unwrap_or_default();
    let tested = tested.and_then(|kept| serde_json::from_value(kept.draft.0).ok());
    Ok(ConnectionData { connection, rejected, tested, model })
}

/// The models that judge and play users.
#[cfg(feature = "ssr")]
pub(super) async fn models_form(
    ModelsQuery { draft }: ModelsQuery,
) -> Result<ModelsData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let settings = ask::answered(services.settings.settings(&caller).await)?;
    Ok(ModelsData {
        stored: Draft(serde_json::to_value(settings).unwrap_or_default()),
        connections: choices(&caller).await?,
        rejected: ask::rejected(draft.as_deref()).await,
    })
}

/// Tokens for programs.
#[cfg(feature = "ssr")]
pub(super) async fn tokens_form(
    TokensQuery { draft }: TokensQuery,
) -> Result<TokensData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let tokens = ask::answered(services.accounts.tokens(&caller).await)?;
    let rejected = ask::rejected(draft.as_deref()).await;
    let held = draft.as_deref().and_then(|id| id.parse().ok());
    let secret = held.and_then(|id| services.accounts.take_new_token(&caller, id));
    let too_late = held.is_some() && secret.is_none() && rejected.is_none();
    Ok(TokensData { tokens, rejected, secret, too_late })
}
