//! Agents.

use super::paging::{self, PageParams};
use super::{PREFIX, Reply, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params, based_on};
use crate::http::spawned::spawned;
use domain::services::Page;
use domain::{Agent, AgentId, AgentSpec};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(duplicate))
        .routes(routes!(revisions))
}

fn place(agent: &Agent) -> String {
    format!("{PREFIX}/agents/{}", agent.id)
}

/// Agents by name
#[utoipa::path(get, path = "/agents", tag = "agents", params(PageParams),
    responses((status = 200, description = "A page of agents", body = Page<Agent>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> Reply<Json<Page<Agent>>> {
    Ok(Json(state.services.agents.agents(&caller, &paging::page(&params)?).await?))
}

/// Make an agent
#[utoipa::path(post, path = "/agents", tag = "agents", request_body = AgentSpec,
    responses((status = 201, description = "The agent", body = Agent)))]
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> Reply {
    let services = state.services;
    let work = async move { services.agents.create_agent(&caller, &draft).await };
    let agent = spawned(&state.clock, work).await?;
    Ok(created(place(&agent), agent))
}

/// One agent, at its newest revision
#[utoipa::path(get, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The agent", body = Agent)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> Reply<Json<Agent>> {
    Ok(Json(state.services.agents.agent(&caller, id).await?))
}

/// Save a new revision
///
/// The body carries the `revision` that it is based on; 409 if there is a
/// newer one.
#[utoipa::path(put, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    request_body = AgentSpec,
    responses((status = 200, description = "The new revision", body = Agent)))]
async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
    JsonBody(draft): JsonBody,
) -> Reply<Json<Agent>> {
    let revision = based_on(&draft, AgentSpec::parse)?;
    let services = state.services;
    let work = async move { services.agents.update_agent(&caller, id, revision, &draft).await };
    Ok(Json(spawned(&state.clock, work).await?))
}

/// Remove an agent; its history stays
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> Reply<StatusCode> {
    let services = state.services;
    spawned(&state.clock, async move { services.agents.delete_agent(&caller, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a copy under another name
#[utoipa::path(post, path = "/agents/{id}/duplicate", tag = "agents",
    params(("id" = Uuid, Path)),
    responses((status = 201, description = "The copy", body = Agent)))]
async fn duplicate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> Reply {
    let services = state.services;
    let work = async move { services.agents.duplicate_agent(&caller, id).await };
    let agent = spawned(&state.clock, work).await?;
    Ok(created(place(&agent), agent))
}

/// All revisions, newest first
#[utoipa::path(get, path = "/agents/{id}/revisions", tag = "agents",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The revisions", body = Page<Agent>)))]
async fn revisions(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
) -> Reply<Json<Page<Agent>>> {
    let items = state.services.agents.agent_revisions(&caller, id).await?;
    Ok(Json(Page { items, next: None }))
}
