//! Routes of the judge and simulated-user models.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::JsonBody;
use axum::Json;
use axum::extract::State;
use domain::Settings;
use domain::error::AppError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(read, update))
}

/// Get the judge and simulated-user models; null means the agent's model
#[utoipa::path(get, path = "/settings", tag = "settings",
    responses((status = 200, description = "The settings", body = Settings)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
) -> ApiResult<Json<Settings>> {
    Ok(Json(state.services.settings.settings(&caller).await?))
}

/// Update the judge and simulated-user models
#[utoipa::path(put, path = "/settings", tag = "settings", request_body = Settings,
    responses((status = 200, description = "The settings", body = Settings)))]
async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<Settings>> {
    let settings = Settings::parse(&draft).map_err(AppError::invalid)?;
    let services = state.services;
    let work = async move { services.settings.update_settings(&caller, &settings).await };
    Ok(Json(run_detached(&state.clock, work).await?))
}
