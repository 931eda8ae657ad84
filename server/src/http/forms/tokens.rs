//! API token forms.

use super::{PostedForm, redirect_after, redirect_with_problems, see_other, with_notice};
use crate::http::HttpState;
use crate::http::api::token_name;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::Id;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use domain::TokenId;

const PAGE: &str = "/settings/tokens";

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/tokens", post(create))
        .route("/forms/tokens/{id}/delete", post(delete))
}

/// Creates a token. The secret must be neither in the URL nor in the database, so
/// the server holds it in memory until the page shows it.
async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    form: PostedForm,
) -> Response {
    let result = match token_name(&form.draft) {
        Ok(name) => {
            let (services, user) = (state.services.clone(), caller.clone());
            let work = async move { services.accounts.create_token(&user, &name).await };
            run_detached(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    let token = match result {
        Ok(token) => token,
        Err(error) => {
            return redirect_with_problems(&state, Some(&caller), form, PAGE, error).await;
        }
    };
    let id = state.services.accounts.hold_new_token(&caller, &token.token);
    see_other(&format!("{PAGE}?notice=token_created&draft={id}"))
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<TokenId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let work = async move { services.accounts.delete_token(&user, id).await };
    let result = run_detached(&state.clock, work).await;
    redirect_after(&state, &caller, form, PAGE, result, |()| with_notice(PAGE, "token_deleted"))
        .await
}
