//! The models that judge and play users.

use super::Reply;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::JsonBody;
use crate::http::spawned::spawned;
use domain::Settings;
use domain::error::AppError;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(read, update))
}

/// The models that judge and play users; null is the agent's own
#[utoipa::path(get, path = "/settings", tag = "settings",
    responses((status = 200, description = "The settings", body = Settings)))]
async fn read(State(state): State<HttpState>, SignedIn(caller): SignedIn) -> Reply<Json<Settings>> {
    Ok(Json(state.services.settings.settings(&caller).await?))
}

/// Change them
#[utoipa::path(put, path = "/settings", tag = "settings", request_body = Settings,
    responses((status = 200, description = "The settings", body = Settings)))]
async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> Reply<Json<Settings>> {
    let settings = Settings::parse(&draft).map_err(AppError::invalid)?;
    let services = state.services;
    let work = async move { services.settings.update_settings(&caller, &settings).await };
    Ok(Json(spawned(&state.clock, work).await?))
}
