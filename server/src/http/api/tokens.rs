//! API token routes.

use super::{ApiResult, PREFIX, created};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody};
use axum::Json;
use axum::http::StatusCode;
use domain::error::AppError;
use domain::services::ListPage;
use domain::{ApiToken, NewToken, TokenId, TokenRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `TokenRequest::parse` reads it
struct TokenInput {
    /// 1–200 characters.
    name: String,
    /// Days until the token stops working, 1–3650; default 90.
    expires_in_days: Option<u32>,
}

/// List tokens, newest first
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens, without their secrets",
        body = ListPage<ApiToken>)))]
async fn list(user: SignedIn) -> ApiResult<Json<ListPage<ApiToken>>> {
    let items = user.services.accounts.tokens(&user.caller).await?;
    Ok(Json(ListPage { items, next: None }))
}

/// Create a token; only this response contains its secret
///
/// Needs the session cookie of a browser: a token cannot create tokens. A user has at most
/// 50 tokens.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenInput,
    responses((status = 201, description = "The token with its secret", body = NewToken),
        (status = 403, description = "The request was authenticated with a token"),
        (status = 409, description = "The user has too many tokens")))]
async fn create(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult {
    let request = TokenRequest::parse(&draft).map_err(AppError::invalid)?;
    let token = user.services.accounts.create_token(&user.caller, &request).await?;
    Ok(created(format!("{PREFIX}/tokens/{}", token.listed.id), token))
}

/// Revoke a token
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Revoked")))]
async fn delete(user: SignedIn, Id(id): Id<TokenId>) -> ApiResult<StatusCode> {
    user.services.accounts.delete_token(&user.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
