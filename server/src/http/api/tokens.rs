//! API token routes.

use super::{ApiResult, PREFIX, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, read_fields};
use axum::Json;
use axum::http::StatusCode;
use domain::services::{AppResult, Page};
use domain::{ApiToken, Draft, NewToken, TokenId, limits};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `token_name` reads it
struct TokenInput {
    /// 1–200 characters.
    name: String,
}

/// List tokens, newest first
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens, without their secrets",
        body = Page<ApiToken>)))]
async fn list(user: SignedIn) -> ApiResult<Json<Page<ApiToken>>> {
    let items = user.services.accounts.tokens(&user.caller).await?;
    Ok(Json(Page { items, next: None }))
}

/// Create a token; only this response contains its secret
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenInput,
    responses((status = 201, description = "The token with its secret", body = NewToken)))]
async fn create(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult {
    let name = token_name(&draft)?;
    let token = user.services.accounts.create_token(&user.caller, &name).await?;
    Ok(created(format!("{PREFIX}/tokens/{}", token.listed.id), token))
}

/// Revoke a token
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Revoked")))]
async fn delete(user: SignedIn, Id(id): Id<TokenId>) -> ApiResult<StatusCode> {
    user.services.accounts.delete_token(&user.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The name of a new token.
///
/// # Errors
/// 422.
pub(crate) fn token_name(draft: &Draft) -> AppResult<String> {
    read_fields(draft, &["idempotency_key"], |reader| {
        if reader.is_object() { reader.name("name", limits::NAME, true) } else { String::new() }
    })
}
