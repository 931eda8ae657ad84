//! Connections, models, tokens and the account.

use super::ConnectionChoice;
use crate::domain::{
    ApiToken, BrowserSession, Connection, ConnectionPreset, ConnectionTest, DailyBudget, Draft,
    ModelPrice,
};
#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{
    AccountSettingsQuery, ConnectionQuery, ConnectionsQuery, ModelsQuery, PricesQuery, TokensQuery,
    request,
};

/// The data of the connection editor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionData {
    /// `None` for a new connection.
    pub connection: Option<Connection>,
    /// The preset of the connection, or the one that was chosen for a new one.
    pub preset: Option<ConnectionPreset>,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
    /// The result of the last test.
    pub tested: Option<ConnectionTest>,
    /// The model of the last test.
    pub model: String,
}

/// The data of the page of prices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PricesData {
    /// The id of the connection.
    pub id: String,
    /// The name of the connection.
    pub name: String,
    /// The stored prices in the shape of the form.
    pub stored: Draft,
    pub built_in: Vec<ModelPrice>,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
}

/// The data of the models page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelsData {
    /// The stored settings.
    pub stored: Draft,
    /// The connections to select from.
    pub connections: Vec<ConnectionChoice>,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
}

/// The data of the tokens page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokensData {
    pub tokens: Vec<ApiToken>,
    /// The rejected input to restore.
    pub rejected: Option<SavedForm>,
    /// The secret of the new token, which is shown once.
    pub secret: Option<String>,
    /// Whether the secret was already shown, or expired.
    pub too_late: bool,
}

/// The data of the account page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountSettingsData {
    pub email: String,
    pub sessions: Vec<BrowserSession>,
    /// The id of the session of this browser.
    pub current: Option<String>,
    pub budget: DailyBudget,
    /// The rejected input to restore; never a password.
    pub rejected: Option<SavedForm>,
}

/// The user's and the server-wide connections.
#[cfg(feature = "ssr")]
pub(super) async fn connections(_: ConnectionsQuery) -> Result<Vec<Connection>, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    services.connections.connections(&caller).await
}

/// The connections to models, or those to deployed agents, to select from.
#[cfg(feature = "ssr")]
pub(super) async fn choices(
    caller: &crate::services::Caller,
    deployed: bool,
) -> Result<Vec<ConnectionChoice>, AppError> {
    let mut all = request::services().connections.connections(caller).await?;
    all.retain(|c| (c.kind == crate::domain::ConnectionKind::HttpAgent) == deployed);
    let choice =
        |c: Connection| ConnectionChoice { id: c.id.to_string(), name: c.name, models: c.models };
    Ok(all.into_iter().map(choice).collect())
}

/// The editor of a connection, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn connection_form(
    ConnectionQuery { id, preset, saved_form, tested }: ConnectionQuery,
) -> Result<ConnectionData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let rejected = request::rejected(saved_form.as_deref()).await;
    let connection = match id {
        Some(id) => {
            let id = request::id(&id, "connection")?;
            Some(services.connections.connection(&caller, id).await?)
        }
        None => None,
    };
    let tested = request::rejected(tested.as_deref()).await;
    let typed = [tested.as_ref(), rejected.as_ref()].into_iter().flatten();
    let model = typed.map(|kept| kept.draft.text("model")).next().unwrap_or_default();
    let tested = tested.and_then(|kept| serde_json::from_value(kept.draft.0).ok());
    let typed = rejected.as_ref().map(|rejected| rejected.draft.text("preset"));
    let chosen = typed.filter(|word| !word.is_empty()).or(preset).unwrap_or_default();
    let preset = match &connection {
        Some(connection) => connection.preset,
        None => ConnectionPreset::parse(&chosen),
    };
    Ok(ConnectionData { connection, preset, rejected, tested, model })
}

/// The prices of a connection of the user or of the server.
#[cfg(feature = "ssr")]
pub(super) async fn prices_form(
    PricesQuery { id, saved_form }: PricesQuery,
) -> Result<PricesData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let connection = request::id(&id, "connection")?;
    let found = services.costs.prices(&caller, connection).await?;
    let rows = found.prices.iter().map(|price| {
        serde_json::json!({
            "model": price.model,
            "input_usd": price.input_usd.decimal(),
            "cached_input_usd": price.cached_input_usd.decimal(),
            "cache_write_usd": price.cache_write_usd.decimal(),
            "output_usd": price.output_usd.decimal(),
            "max_input_tokens": price.max_input_tokens,
            "as_of": price.as_of,
        })
    });
    Ok(PricesData {
        id,
        name: services.connections.connection(&caller, connection).await?.name,
        stored: Draft(serde_json::json!({ "prices": rows.collect::<Vec<_>>() })),
        built_in: found.built_in,
        rejected: request::rejected(saved_form.as_deref()).await,
    })
}

/// The models that judge and that simulate users.
#[cfg(feature = "ssr")]
pub(super) async fn models_form(
    ModelsQuery { saved_form }: ModelsQuery,
) -> Result<ModelsData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let settings = services.settings.settings(&caller).await?;
    Ok(ModelsData {
        stored: Draft(serde_json::to_value(settings).unwrap_or_default()),
        connections: choices(&caller, false).await?,
        rejected: request::rejected(saved_form.as_deref()).await,
    })
}

/// API tokens.
#[cfg(feature = "ssr")]
pub(super) async fn tokens_form(
    TokensQuery { saved_form }: TokensQuery,
) -> Result<TokensData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let tokens = services.accounts.tokens(&caller).await?;
    let rejected = request::rejected(saved_form.as_deref()).await;
    let new_token = saved_form.as_deref().and_then(|id| id.parse().ok());
    let secret = new_token.and_then(|id| services.accounts.take_new_token(&caller, id));
    let too_late = new_token.is_some() && secret.is_none() && rejected.is_none();
    Ok(TokensData { tokens, rejected, secret, too_late })
}

/// The account of the user.
#[cfg(feature = "ssr")]
pub(super) async fn account_settings(
    AccountSettingsQuery { saved_form }: AccountSettingsQuery,
) -> Result<AccountSettingsData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let sessions = services.accounts.sessions(&caller).await?;
    let rejected = request::rejected(saved_form.as_deref()).await;
    let current = request::current_session();
    let budget = services.costs.daily_budget(&caller).await?;
    Ok(AccountSettingsData { email: caller.email, sessions, current, budget, rejected })
}
