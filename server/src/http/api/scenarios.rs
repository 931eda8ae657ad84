//! Scenario routes.

use super::paging::{self, PageParams};
use super::{ApiResult, PREFIX, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params, base_revision};
use axum::Json;
use axum::http::StatusCode;
use domain::services::ListPage;
use domain::{Category, Difficulty, Problems, Scenario, ScenarioFilter, ScenarioId, ScenarioSpec};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(validate))
        .routes(routes!(read, update, delete))
        .routes(routes!(duplicate))
        .routes(routes!(revisions))
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; `ScenarioFilter::read` reads them
pub(super) struct FilterParams {
    /// Category.
    category: Option<Category>,
    /// Difficulty.
    difficulty: Option<Difficulty>,
    /// Tag.
    tag: Option<String>,
    /// Words in the name or the description.
    q: Option<String>,
    /// Only built-in scenarios (true) or only the caller's (false).
    built_in: Option<bool>,
}

fn location(scenario: &Scenario) -> String {
    format!("{PREFIX}/scenarios/{}", scenario.id)
}

/// List scenarios by category, difficulty and name
#[utoipa::path(get, path = "/scenarios", tag = "scenarios", params(FilterParams, PageParams),
    responses((status = 200, description = "A page of scenarios", body = ListPage<Scenario>)))]
async fn list(user: SignedIn, params: Params) -> ApiResult<Json<ListPage<Scenario>>> {
    let (filter, cursor) =
        params.read(|reader| (ScenarioFilter::read(reader), paging::cursor(reader)))?;
    Ok(Json(user.services.scenarios.scenarios(&user.caller, &filter, &cursor).await?))
}

/// Create a scenario
#[utoipa::path(post, path = "/scenarios", tag = "scenarios", request_body = ScenarioSpec,
    responses((status = 201, description = "The scenario", body = Scenario)))]
async fn create(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult {
    let scenario = user.services.scenarios.create_scenario(&user.caller, &draft).await?;
    Ok(created(location(&scenario), scenario))
}

#[derive(Serialize, utoipa::ToSchema)]
struct Validation {
    /// All problems; empty for a valid scenario.
    problems: Problems,
}

/// Validate a scenario without saving it
#[utoipa::path(post, path = "/scenarios/validate", tag = "scenarios",
    request_body = ScenarioSpec,
    responses((status = 200, description = "The problems", body = Validation)))]
async fn validate(_: SignedIn, JsonBody(draft): JsonBody) -> Json<Validation> {
    Json(Validation { problems: ScenarioSpec::parse(&draft).err().unwrap_or_default() })
}

/// Get the latest revision of a scenario
#[utoipa::path(get, path = "/scenarios/{id}", tag = "scenarios", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The scenario", body = Scenario)))]
async fn read(user: SignedIn, Id(id): Id<ScenarioId>) -> ApiResult<Json<Scenario>> {
    Ok(Json(user.services.scenarios.scenario(&user.caller, id).await?))
}

/// Save a new revision
///
/// The body contains the `revision` that it is based on. Answers 409 if there is a
/// newer revision. Built-in scenarios are read-only, but can be duplicated.
#[utoipa::path(put, path = "/scenarios/{id}", tag = "scenarios", params(("id" = Uuid, Path)),
    request_body = ScenarioSpec,
    responses((status = 200, description = "The new revision", body = Scenario)))]
async fn update(
    user: SignedIn,
    Id(id): Id<ScenarioId>,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<Scenario>> {
    let revision = base_revision(&draft, ScenarioSpec::parse)?;
    Ok(Json(user.services.scenarios.update_scenario(&user.caller, id, revision, &draft).await?))
}

/// Delete a scenario; its history remains
#[utoipa::path(delete, path = "/scenarios/{id}", tag = "scenarios",
    params(("id" = Uuid, Path)), responses((status = 204, description = "Deleted")))]
async fn delete(user: SignedIn, Id(id): Id<ScenarioId>) -> ApiResult<StatusCode> {
    user.services.scenarios.delete_scenario(&user.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Duplicate under a new name
#[utoipa::path(post, path = "/scenarios/{id}/duplicate", tag = "scenarios",
    params(("id" = Uuid, Path)),
    responses((status = 201, description = "The copy", body = Scenario)))]
async fn duplicate(user: SignedIn, Id(id): Id<ScenarioId>) -> ApiResult {
    let scenario = user.services.scenarios.duplicate_scenario(&user.caller, id).await?;
    Ok(created(location(&scenario), scenario))
}

/// List all revisions, newest first
#[utoipa::path(get, path = "/scenarios/{id}/revisions", tag = "scenarios",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The revisions", body = ListPage<Scenario>)))]
async fn revisions(user: SignedIn, Id(id): Id<ScenarioId>) -> ApiResult<Json<ListPage<Scenario>>> {
    let items = user.services.scenarios.scenario_revisions(&user.caller, id).await?;
    Ok(Json(ListPage { items, next: None }))
}
