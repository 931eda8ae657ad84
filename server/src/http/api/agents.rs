//! Agent routes.

use super::paging::{self, PageParams};
use super::{ApiResult, PREFIX, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::{Id, JsonBody, Params, base_revision};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::services::Page;
use domain::{Agent, AgentId, AgentSpec};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(duplicate))
        .routes(routes!(revisions))
}

fn location(agent: &Agent) -> String {
    format!("{PREFIX}/agents/{}", agent.id)
}

/// List agents by name
#[utoipa::path(get, path = "/agents", tag = "agents", params(PageParams),
    responses((status = 200, description = "A page of agents", body = Page<Agent>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> ApiResult<Json<Page<Agent>>> {
    Ok(Json(state.services.agents.agents(&caller, &paging::page(&params)?).await?))
}

/// Create an agent
#[utoipa::path(post, path = "/agents", tag = "agents", request_body = AgentSpec,
    responses((status = 201, description = "The agent", body = Agent)))]
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> ApiResult {
    let services = state.services;
    let work = async move { services.agents.create_agent(&caller, &draft).await };
    let agent = run_detached(&state.clock, work).await?;
    Ok(created(location(&agent), agent))
}

/// Get the latest revision of an agent
#[utoipa::path(get, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The agent", body = Agent)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> ApiResult<Json<Agent>> {
    Ok(Json(state.services.agents.agent(&caller, id).await?))
}

/// Save a new revision
///
/// The body contains the `revision` that it is based on. Answers 409 if there is a
/// newer revision.
#[utoipa::path(put, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    request_body = AgentSpec,
    responses((status = 200, description = "The new revision", body = Agent)))]
async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<Agent>> {
    let revision = base_revision(&draft, AgentSpec::parse)?;
    let services = state.services;
    let work = async move { services.agents.update_agent(&caller, id, revision, &draft).await };
    Ok(Json(run_detached(&state.clock, work).await?))
}

/// Delete an agent; its history remains
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> ApiResult<StatusCode> {
    let services = state.services;
    run_detached(&state.clock, async move { services.agents.delete_agent(&caller, id).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Duplicate under a new name
#[utoipa::path(post, path = "/agents/{id}/duplicate", tag = "agents",
    params(("id" = Uuid, Path)),
    responses((status = 201, description = "The copy", body = Agent)))]
async fn duplicate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> ApiResult {
    let services = state.services;
    let work = async move { services.agents.duplicate_agent(&caller, id).await };
    let agent = run_detached(&state.clock, work).await?;
    Ok(created(location(&agent), agent))
}

/// List all revisions, newest first
#[utoipa::path(get, path = "/agents/{id}/revisions", tag = "agents",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The revisions", body = Page<Agent>)))]
async fn revisions(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> ApiResult<Json<Page<Agent>>> {
    let items = state.services.agents.agent_revisions(&caller, id).await?;
    Ok(Json(Page { items, next: None }))
}
