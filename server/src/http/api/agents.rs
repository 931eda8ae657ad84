//! Agent routes.

use super::paging::{self, PageParams};
use super::{ApiResult, PREFIX, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params, base_revision};
use axum::Json;
use axum::http::StatusCode;
use domain::services::ListPage;
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
    responses((status = 200, description = "A page of agents", body = ListPage<Agent>)))]
async fn list(user: SignedIn, params: Params) -> ApiResult<Json<ListPage<Agent>>> {
    Ok(Json(user.services.agents.agents(&user.caller, &paging::page(&params)?).await?))
}

/// Create an agent
#[utoipa::path(post, path = "/agents", tag = "agents", request_body = AgentSpec,
    responses((status = 201, description = "The agent", body = Agent)))]
async fn create(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult {
    let agent = user.services.agents.create_agent(&user.caller, &draft).await?;
    Ok(created(location(&agent), agent))
}

/// Get the latest revision of an agent
#[utoipa::path(get, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The agent", body = Agent)))]
async fn read(user: SignedIn, Id(id): Id<AgentId>) -> ApiResult<Json<Agent>> {
    Ok(Json(user.services.agents.agent(&user.caller, id).await?))
}

/// Save a new revision
///
/// The body contains the `revision` that it is based on. Answers 409 if there is a
/// newer revision.
#[utoipa::path(put, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    request_body = AgentSpec,
    responses((status = 200, description = "The new revision", body = Agent)))]
async fn update(
    user: SignedIn,
    Id(id): Id<AgentId>,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<Agent>> {
    let revision = base_revision(&draft, AgentSpec::parse)?;
    Ok(Json(user.services.agents.update_agent(&user.caller, id, revision, &draft).await?))
}

/// Delete an agent; its history remains
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(user: SignedIn, Id(id): Id<AgentId>) -> ApiResult<StatusCode> {
    user.services.agents.delete_agent(&user.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Duplicate under a new name
#[utoipa::path(post, path = "/agents/{id}/duplicate", tag = "agents",
    params(("id" = Uuid, Path)),
    responses((status = 201, description = "The copy", body = Agent)))]
async fn duplicate(user: SignedIn, Id(id): Id<AgentId>) -> ApiResult {
    let agent = user.services.agents.duplicate_agent(&user.caller, id).await?;
    Ok(created(location(&agent), agent))
}

/// List all revisions, newest first
#[utoipa::path(get, path = "/agents/{id}/revisions", tag = "agents",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The revisions", body = ListPage<Agent>)))]
async fn revisions(user: SignedIn, Id(id): Id<AgentId>) -> ApiResult<Json<ListPage<Agent>>> {
    let items = user.services.agents.agent_revisions(&user.caller, id).await?;
    Ok(Json(ListPage { items, next: None }))
}
