//! Tokens for programs.

use super::{PREFIX, Reply, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody};
use crate::http::spawned::spawned;
use domain::services::{AppResult, Page};
use domain::{ApiToken, Draft, NewToken, Problems, Reader, TokenId, limits};
use domain::error::AppError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// What a token is for.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `name` reads it
struct TokenInput {
    /// 1–200 characters.
    name: String,
}

/// Tokens, newest first
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens, without their secrets",
        body = Page<ApiToken>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
) -> Reply<Json<Page<ApiToken>>> {
    let items = state.services.accounts.tokens(&caller).await?;
    Ok(Json(Page { items, next: None }))
}

/// Make a token; its secret is shown this once
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenInput,
    responses((status = 201, description = "The token with its secret", body = NewToken)))]
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> Reply {
    let name = name(&draft)?;
    let services = state.services;
    let work = async move { services.accounts.create_token(&caller, &name).await };
    let token = spawned(&state.clock, work).await?;
    Ok(created(format!("{PREFIX}/tokens/{}", token.listed.id), token))
}

/// End a token
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is not accepted any more")))]
async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<TokenId>,
) -> Reply<StatusCode> {
    let services = state.services;
    spawned(&state.clock, async move { services.accounts.delete_token(&caller, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The name of a new token.
///
/// # Errors
/// 422.
pub(crate) fn name(draft: &Draft) -> AppResult<String> {
    let mut problems = Problems::new();
    let mut reader = Reader::new(&draft.0, String::new(), &mut problems);
    let name =
        if reader.is_object() { reader.name("name", limits::NAME, true) } else { String::new() };
    reader.finish(&["idempotency_key"]);
    if problems.is_empty() { Ok(name) } else { Err(AppError::invalid(problems)) }
}
