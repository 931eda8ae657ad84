//! Connections. Keys go in, never out.

use super::{PREFIX, Reply, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody};
use crate::http::spawned::spawned;
use domain::services::{AppResult, Page};
use domain::{
    Connection, ConnectionId, ConnectionKind, ConnectionTest, Draft, Problems, Reader, limits,
};
use domain::error::AppError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(test))
}

/// What is written about a connection.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `ConnectionSpec::parse` reads it
struct ConnectionInput {
    /// 1–200 characters.
    name: String,
    /// The protocol.
    kind: ConnectionKind,
    /// Where; as the vendors' SDKs take it. Their own when absent.
    base_url: Option<String>,
    /// Extra headers.
    headers: Option<BTreeMap<String, String>>,
    /// The key; absent or empty keeps the stored one.
    api_key: Option<String>,
    /// Removes the stored key.
    remove_key: Option<bool>,
}

/// With which model to test.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body
struct TestInput {
    /// The model; any when absent.
    model: Option<String>,
}

fn place(connection: &Connection) -> String {
    format!("{PREFIX}/connections/{}", connection.id)
}

/// One's own connections and those that the server offers
#[utoipa::path(get, path = "/connections", tag = "connections",
    responses((status = 200, description = "The connections", body = Page<Connection>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
) -> Reply<Json<Page<Connection>>> {
    let items = state.services.connections.connections(&caller).await?;
    Ok(Json(Page { items, next: None }))
}

/// Make a connection
#[utoipa::path(post, path = "/connections", tag = "connections",
    request_body = ConnectionInput,
    responses((status = 201, description = "The connection, without its key", body = Connection)))]
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> Reply {
    let services = state.services;
    let work = async move { services.connections.create_connection(&caller, &draft).await };
    let connection = spawned(&state.clock, work).await?;
    Ok(created(place(&connection), connection))
}

/// One connection
#[utoipa::path(get, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The connection", body = Connection)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
) -> Reply<Json<Connection>> {
    Ok(Json(state.services.connections.connection(&caller, id).await?))
}

/// Change a connection; without a key the stored one stays
#[utoipa::path(put, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path)), request_body = ConnectionInput,
    responses((status = 200, description = "The connection", body = Connection)))]
async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    JsonBody(draft): JsonBody,
) -> Reply<Json<Connection>> {
    let services = state.services;
    let work = async move { services.connections.update_connection(&caller, id, &draft).await };
    Ok(Json(spawned(&state.clock, work).await?))
}

/// Remove a connection; 409 while agents or unfinished runs use it
#[utoipa::path(delete, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path)), responses((status = 204, description = "It is gone")))]
async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
) -> Reply<StatusCode> {
    let services = state.services;
    spawned(&state.clock, async move { services.connections.delete_connection(&caller, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Call the provider once
#[utoipa::path(post, path = "/connections/{id}/test", tag = "connections",
    params(("id" = Uuid, Path)), request_body = Option<TestInput>,
    responses((status = 200, description = "What was answered", body = ConnectionTest)))]
async fn test(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    body: Option<JsonBody>,
) -> Reply<Json<ConnectionTest>> {
    let model = body.map_or(Ok(None), |JsonBody(draft)| model(&draft))?;
    let services = state.services;
    let work = async move { services.connections.test_connection(&caller, id, model).await };
    Ok(Json(spawned(&state.clock, work).await?))
}

/// The model that a test asks for.
///
/// # Errors
/// 422.
pub(crate) fn model(draft: &Draft) -> AppResult<Option<String>> {
    let mut problems = Problems::new();
    let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
    let model = reader.name("model", limits::NAME, false);
    reader.finish(&[]);
    if problems.is_empty() {
        Ok((!model.is_empty()).then_some(model))
    } else {
        Err(AppError::invalid(problems))
    }
}
