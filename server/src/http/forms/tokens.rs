//! Forms of tokens.

use super::posted::Poster;
use super::{Posted, finish, notice, refuse, see_other};
use crate::http::HttpState;
use crate::http::api::token_name;
use crate::http::extract::Id;
use crate::http::problem::Failure;
use crate::http::spawned::spawned;
use app::backend::Rejected;
use app::domain::{Draft, TokenId};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;

const PAGE: &str = "/settings/tokens";

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/tokens", post(create))
        .route("/forms/tokens/{id}/delete", post(delete))
}

/// Makes a token. Its secret cannot travel in the address of the page that
/// shows it, so it waits there as a draft.
async fn create(
    State(state): State<HttpState>,
    Poster(caller): Poster,
    posted: Posted,
) -> Response {
    let answer = match token_name(&posted.draft) {
        Ok(name) => {
            let (backend, who) = (state.backend.clone(), caller.clone());
            let work = async move { backend.create_token(&who, &name).await };
            spawned(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    let token = match answer {
        Ok(token) => token,
        Err(error) => return refuse(&state, Some(&caller), posted, PAGE, error).await,
    };
    let fresh = json!({ "token": token.token, "name": token.listed.name });
    let kept = Rejected { draft: Draft(fresh), ..Rejected::default() };
    match state.backend.keep_rejected(Some(&caller), &kept).await {
        Ok(draft) => see_other(&format!("{PAGE}?notice=token_created&draft={draft}")),
        Err(error) => Failure::from(error).into_response(),
    }
}

async fn delete(
    State(state): State<HttpState>,
    Poster(caller): Poster,
    Id(id): Id<TokenId>,
    posted: Posted,
) -> Response {
    let (backend, who) = (state.backend.clone(), caller.clone());
    let work = async move { backend.delete_token(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    finish(&state, &caller, posted, PAGE, answer, |()| notice(PAGE, "token_deleted")).await
}
