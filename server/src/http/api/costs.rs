//! Routes of prices, budgets and costs. Amounts are numbers of US dollars.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody};
use axum::Json;
use domain::error::AppError;
use domain::{AgentCost, AgentId, ConnectionId, ConnectionPrices, DailyBudget};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(prices, update_prices))
        .routes(routes!(agent_cost))
        .routes(routes!(daily_budget, update_daily_budget))
}

#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `ModelPrice::parse_list` reads it
struct PricesInput {
    /// At most 100.
    prices: Vec<PriceInput>,
}

/// What a million tokens of a model cost, in US dollars with at most 6 decimals.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body
struct PriceInput {
    /// The provider's name of the model; `*` for every model without a price of its own.
    model: String,
    input_usd: f64,
    /// Default: `input_usd`.
    cached_input_usd: Option<f64>,
    /// Default: `input_usd`.
    cache_write_usd: Option<f64>,
    output_usd: f64,
    /// Default: today.
    as_of: Option<String>,
    /// The price is valid for calls of at most so many input tokens. Default: for all.
    max_input_tokens: Option<u32>,
}

#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `DailyBudget::parse` reads it
struct DailyBudgetInput {
    /// US dollars per day (UTC); null for the default of the server.
    daily_budget_usd: Option<f64>,
}

/// Get the prices of a connection: your own and the built-in ones
#[utoipa::path(get, path = "/connections/{id}/prices", tag = "costs",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The prices", body = ConnectionPrices)))]
async fn prices(user: SignedIn, Id(id): Id<ConnectionId>) -> ApiResult<Json<ConnectionPrices>> {
    Ok(Json(user.services.costs.prices(&user.caller, id).await?))
}

/// Replace your own prices of a connection
///
/// They apply to suites that are started afterwards.
#[utoipa::path(put, path = "/connections/{id}/prices", tag = "costs",
    params(("id" = Uuid, Path)), request_body = PricesInput,
    responses((status = 200, description = "The prices", body = ConnectionPrices)))]
async fn update_prices(
    user: SignedIn,
    Id(id): Id<ConnectionId>,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<ConnectionPrices>> {
    Ok(Json(user.services.costs.update_prices(&user.caller, id, &draft).await?))
}

/// Get the cost of all suites of an agent
#[utoipa::path(get, path = "/agents/{id}/cost", tag = "costs", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The cost", body = AgentCost)))]
async fn agent_cost(user: SignedIn, Id(id): Id<AgentId>) -> ApiResult<Json<AgentCost>> {
    Ok(Json(user.services.costs.agent_cost(&user.caller, id).await?))
}

/// Get your daily budget, and what was spent today (UTC)
#[utoipa::path(get, path = "/budget", tag = "costs",
    responses((status = 200, description = "The budget", body = DailyBudget)))]
async fn daily_budget(user: SignedIn) -> ApiResult<Json<DailyBudget>> {
    Ok(Json(user.services.costs.daily_budget(&user.caller).await?))
}

/// Set your daily budget; null selects the default of the server
#[utoipa::path(put, path = "/budget", tag = "costs", request_body = DailyBudgetInput,
    responses((status = 200, description = "The budget", body = DailyBudget)))]
async fn update_daily_budget(
    user: SignedIn,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<DailyBudget>> {
    let budget = DailyBudget::parse(&draft).map_err(AppError::invalid)?;
    Ok(Json(user.services.costs.update_daily_budget(&user.caller, budget).await?))
}
