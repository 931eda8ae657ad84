//! API token forms.

use super::{PostedForm, redirect_after, redirect_with_problems, see_other, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::error::AppError;
use domain::{TokenId, TokenRequest};

const PAGE: &str = "/settings/tokens";

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/tokens", post(create))
        .route("/forms/tokens/{id}/delete", post(delete))
}

/// Creates a token. The secret must be neither in the URL nor in the database, so
/// the server holds it in memory until the page shows it.
async fn create(user: SignedIn, form: PostedForm) -> Response {
    let result = match TokenRequest::parse(&form.draft) {
        Ok(request) => user.services.accounts.create_token(&user.caller, &request).await,
        Err(problems) => Err(AppError::invalid(problems)),
    };
    let token = match result {
        Ok(token) => token,
        Err(error) => {
            return redirect_with_problems(&user, form, PAGE, error).await;
        }
    };
    let id = user.services.accounts.hold_new_token(&user.caller, &token.token);
    see_other(&format!("{PAGE}?notice=token_created&saved_form={id}"))
}

async fn delete(user: SignedIn, Id(id): Id<TokenId>, form: PostedForm) -> Response {
    let result = user.services.accounts.delete_token(&user.caller, id).await;
    redirect_after(&user, form, PAGE, result, |()| with_notice(PAGE, "token_deleted")).await
}
