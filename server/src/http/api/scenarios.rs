//! Scenarios.

use super::paging::{self, PageParams};
use super::{PREFIX, Reply, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params, based_on};
use crate::http::spawned::spawned;
use domain::services::Page;
use domain::{
    Category, Difficulty, Problems, Scenario, ScenarioFilter, ScenarioId, ScenarioSpec,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
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

/// The words of the filter, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; `ScenarioFilter::read` reads them
pub(super) struct FilterParams {
    /// Of this category.
    category: Option<Category>,
    /// Of this difficulty.
    difficulty: Option<Difficulty>,
    /// With this tag.
    tag: Option<String>,
    /// With these words in name or description.
    q: Option<String>,
    /// Only built-in ones, or only one's own.
    built_in: Option<bool>,
}

fn place(scenario: &Scenario) -> String {
    format!("{PREFIX}/scenarios/{}", scenario.id)
}

/// Scenarios by category, difficulty and name
#[utoipa::path(get, path = "/scenarios", tag = "scenarios", params(FilterParams, PageParams),
    responses((status = 200, description = "A page of scenarios", body = Page<Scenario>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> Reply<Json<Page<Scenario>>> {
    let (filter, cursor) =
        params.read(|reader| (ScenarioFilter::read(reader), paging::cursor(reader)))?;
    Ok(Json(state.services.scenarios.scenarios(&caller, &filter, &cursor).await?))
}

/// Make a scenario
#[utoipa::path(post, path = "/scenarios", tag = "scenarios", request_body = ScenarioSpec,
    responses((status = 201, description = "The scenario", body = Scenario)))]
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> Reply {
    let services = state.services;
    let work = async move { services.scenarios.create_scenario(&caller, &draft).await };
    let scenario = spawned(&state.clock, work).await?;
    Ok(created(place(&scenario), scenario))
}

/// What is wrong with a scenario.
#[derive(Serialize, utoipa::ToSchema)]
struct Validation {
    /// Every problem; empty when it is valid.
    problems: Problems,
}

/// The problems of a scenario, without saving it
#[utoipa::path(post, path = "/scenarios/validate", tag = "scenarios",
    request_body = ScenarioSpec,
    responses((status = 200, description = "The problems", body = Validation)))]
async fn validate(SignedIn(_): SignedIn, JsonBody(draft): JsonBody) -> Json<Validation> {
    Json(Validation { problems: ScenarioSpec::parse(&draft).err().unwrap_or_default() })
}

/// One scenario, at its newest revision
#[utoipa::path(get, path = "/scenarios/{id}", tag = "scenarios", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The scenario", body = Scenario)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
) -> Reply<Json<Scenario>> {
    Ok(Json(state.services.scenarios.scenario(&caller, id).await?))
}

/// Save a new revision
///
/// The body carries the `revision` that it is based on; 409 if there is a
/// newer one. Built-in scenarios are read and duplicated only.
#[utoipa::path(put, path = "/scenarios/{id}", tag = "scenarios", params(("id" = Uuid, Path)),
    request_body = ScenarioSpec,
    responses((status = 200, description = "The new revision", body = Scenario)))]
async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    JsonBody(draft): JsonBody,
) -> Reply<Json<Scenario>> {
    let revision = based_on(&draft, ScenarioSpec::parse)?;
    let services = state.services;
    let work = async move { services.scenarios.update_scenario(&caller, id, revision, &draft).await };
    Ok(Json(spawned(&state.clock, work).await?))
}

/// Remove a scenario; its history stays
#[utoipa::path(delete, path = "/scenarios/{id}", tag = "scenarios",
    params(("id" = Uuid, Path)), responses((status = 204, description = "It is gone")))]
async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
) -> Reply<StatusCode> {
    let services = state.services;
    spawned(&state.clock, async move { services.scenarios.delete_scenario(&caller, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a copy under another name
#[utoipa::path(post, path = "/scenarios/{id}/duplicate", tag = "scenarios",
    params(("id" = Uuid, Path)),
    responses((status = 201, description = "The copy", body = Scenario)))]
async fn duplicate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
) -> Reply {
    let services = state.services;
    let work = async move { services.scenarios.duplicate_scenario(&caller, id).await };
    let scenario = spawned(&state.clock, work).await?;
    Ok(created(place(&scenario), scenario))
}

/// All revisions, newest first
#[utoipa::path(get, path = "/scenarios/{id}/revisions", tag = "scenarios",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The revisions", body = Page<Scenario>)))]
async fn revisions(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
) -> Reply<Json<Page<Scenario>>> {
    let items = state.services.scenarios.scenario_revisions(&caller, id).await?;
    Ok(Json(Page { items, next: None }))
}
