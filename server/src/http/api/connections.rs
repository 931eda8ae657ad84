//! Connection routes. Responses never contain API keys.

use super::{ApiResult, PREFIX, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, read_fields};
use axum::Json;
use axum::http::StatusCode;
use domain::services::{AppResult, ListPage};
use domain::{
    Connection, ConnectionAuth, ConnectionId, ConnectionKind, ConnectionPreset, ConnectionTest,
    Draft, limits,
};
use std::collections::BTreeMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(test))
}

#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `ConnectionSpec::parse` reads it
struct ConnectionInput {
    /// 1–200 characters.
    name: String,
    /// Required without a preset.
    kind: Option<ConnectionKind>,
    /// Base URL, in the format of the provider's SDK. Default: the provider's own URL.
    base_url: Option<String>,
    /// How requests authenticate. Default: `x_api_key` for `anthropic`, else `bearer`.
    auth: Option<ConnectionAuth>,
    /// Query parameters of every request, such as `api-version`. Values of secret ones are
    /// returned as `••••••••`; this value keeps the stored one.
    query: Option<BTreeMap<String, String>>,
    /// Timeout of one attempt of a call in seconds, at most 600. Default: the server's setting.
    timeout_seconds: Option<u32>,
    /// Fills in `kind`, `base_url` and `auth` where they are absent.
    preset: Option<ConnectionPreset>,
    /// With the preset `azure_openai`, instead of `base_url`: the name of the resource, or
    /// its host.
    resource: Option<String>,
    /// The query parameter `api-version`, for the preset `azure_openai`.
    api_version: Option<String>,
    /// Additional HTTP headers. Values of secret headers are returned as `••••••••`; this
    /// value keeps the stored one.
    headers: Option<BTreeMap<String, String>>,
    /// API key, or the password of `basic`, or the client secret of
    /// `oauth_client_credentials`. If absent or empty, the stored one remains. Required again
    /// when `kind`, `base_url` or `auth.token_url` change, because the stored one is not sent
    /// to another address.
    api_key: Option<String>,
    /// Deletes the stored key.
    remove_key: Option<bool>,
}

#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body
struct TestInput {
    /// Model of the test call. Default: any model of the connection.
    model: Option<String>,
}

fn location(connection: &Connection) -> String {
    format!("{PREFIX}/connections/{}", connection.id)
}

/// List the caller's connections and those of the server
#[utoipa::path(get, path = "/connections", tag = "connections",
    responses((status = 200, description = "The connections", body = ListPage<Connection>)))]
async fn list(user: SignedIn) -> ApiResult<Json<ListPage<Connection>>> {
    let items = user.services.connections.connections(&user.caller).await?;
    Ok(Json(ListPage { items, next: None }))
}

/// Create a connection
#[utoipa::path(post, path = "/connections", tag = "connections",
    request_body = ConnectionInput,
    responses((status = 201, description = "The connection, without its key", body = Connection)))]
async fn create(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult {
    let connection = user.services.connections.create_connection(&user.caller, &draft).await?;
    Ok(created(location(&connection), connection))
}

/// Get a connection
#[utoipa::path(get, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The connection", body = Connection)))]
async fn read(user: SignedIn, Id(id): Id<ConnectionId>) -> ApiResult<Json<Connection>> {
    Ok(Json(user.services.connections.connection(&user.caller, id).await?))
}

/// Update a connection; without `api_key` the stored key remains
#[utoipa::path(put, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path)), request_body = ConnectionInput,
    responses((status = 200, description = "The connection", body = Connection)))]
async fn update(
    user: SignedIn,
    Id(id): Id<ConnectionId>,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<Connection>> {
    Ok(Json(user.services.connections.update_connection(&user.caller, id, &draft).await?))
}

/// Delete a connection; 409 while agents or unfinished runs use it
#[utoipa::path(delete, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path)), responses((status = 204, description = "Deleted")))]
async fn delete(user: SignedIn, Id(id): Id<ConnectionId>) -> ApiResult<StatusCode> {
    user.services.connections.delete_connection(&user.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test a connection: a plain reply, then tools and structured output, and list its models
#[utoipa::path(post, path = "/connections/{id}/test", tag = "connections",
    params(("id" = Uuid, Path)), request_body = Option<TestInput>,
    responses((status = 200, description = "The test result", body = ConnectionTest)))]
async fn test(
    user: SignedIn,
    Id(id): Id<ConnectionId>,
    body: Option<JsonBody>,
) -> ApiResult<Json<ConnectionTest>> {
    let model = body.map_or(Ok(None), |JsonBody(draft)| test_model(&draft))?;
    Ok(Json(user.services.connections.test_connection(&user.caller, id, model).await?))
}

/// The model of a connection test.
///
/// # Errors
/// 422.
pub(crate) fn test_model(draft: &Draft) -> AppResult<Option<String>> {
    let model = read_fields(draft, &[], |reader| reader.name("model", limits::NAME, false))?;
    Ok((!model.is_empty()).then_some(model))
}
