//! Test profile forms.

use super::{PostedForm, redirect_after, redirect_with_saved_form, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, base_revision};
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::{ProfileId, ProfileSpec};

const LIST: &str = "/settings/profiles";

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/profiles", post(create))
        .route("/forms/profiles/{id}", post(update))
        .route("/forms/profiles/{id}/delete", post(delete))
}

async fn create(user: SignedIn, form: PostedForm) -> Response {
    let page = format!("{LIST}/new");
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, &page, &action).await;
    }
    let result = user.services.profiles.create_profile(&user.caller, &form.draft).await;
    let target = with_notice(&form.redirect_target(LIST), "saved");
    redirect_after(&user, form, &page, result, |_| target).await
}

async fn update(user: SignedIn, Id(id): Id<ProfileId>, form: PostedForm) -> Response {
    let page = format!("{LIST}/{id}");
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, &page, &action).await;
    }
    let result = match base_revision(&form.draft, ProfileSpec::parse) {
        Ok(revision) => {
            user.services.profiles.update_profile(&user.caller, id, revision, &form.draft).await
        }
        Err(error) => Err(error),
    };
    let target = with_notice(&form.redirect_target(&page), "saved");
    redirect_after(&user, form, &page, result, |_| target).await
}

async fn delete(user: SignedIn, Id(id): Id<ProfileId>, form: PostedForm) -> Response {
    let result = user.services.profiles.delete_profile(&user.caller, id).await;
    let target = with_notice(&form.redirect_target(LIST), "deleted");
    redirect_after(&user, form, &format!("{LIST}/{id}"), result, |()| target).await
}
