//! Forms of tokens.

use super::{Posted, finish, notice, refuse, see_other};
use crate::http::HttpState;
use crate::http::api::token_name;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use crate::http::spawned::spawned;
use domain::TokenId;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;

const PAGE: &str = "/settings/tokens";

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/tokens", post(create))
        .route("/forms/tokens/{id}/delete", post(delete))
}

/// Makes a token. Its secret can neither travel in the address of the page
/// that shows it nor be stored, so it is held until that page takes it.
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    posted: Posted,
) -> Response {
    let answer = match token_name(&posted.draft) {
        Ok(name) => {
            let (services, who) = (state.services.clone(), caller.clone());
            let work = async move { services.accounts.create_token(&who, &name).await };
            spawned(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    let token = match answer {
        Ok(token) => token,
        Err(error) => return refuse(&state, Some(&caller), posted, PAGE, error).await,
    };
    let held = state.services.accounts.hold_new_token(&caller, &token.token);
    see_other(&format!("{PAGE}?notice=token_created&draft={held}"))
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<TokenId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.accounts.delete_token(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    finish(&state, &caller, posted, PAGE, answer, |()| notice(PAGE, "token_deleted")).await
}
