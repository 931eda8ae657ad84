//! Routes of the judge and simulated-user models.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::JsonBody;
use axum::Json;
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
async fn read(user: SignedIn) -> ApiResult<Json<Settings>> {
    Ok(Json(user.services.settings.settings(&user.caller).await?))
}

/// Update the judge and simulated-user models
#[utoipa::path(put, path = "/settings", tag = "settings", request_body = Settings,
    responses((status = 200, description = "The settings", body = Settings)))]
async fn update(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult<Json<Settings>> {
    let settings = Settings::parse(&draft).map_err(AppError::invalid)?;
    Ok(Json(user.services.settings.update_settings(&user.caller, &settings).await?))
}
