//! Connection forms.

use super::{
    PostedForm, redirect, redirect_after, redirect_with_problems, see_other, with_notice,
    without_secrets,
};
use crate::http::HttpState;
use crate::http::api::test_model;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use crate::http::problem::ErrorResponse;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use domain::services::{AppResult, SavedForm};
use domain::{ConnectionId, Draft};

const LIST: &str = "/settings/connections";

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/connections", post(create))
        .route("/forms/connections/{id}", post(update))
        .route("/forms/connections/{id}/test", post(test))
        .route("/forms/connections/{id}/delete", post(delete))
}

fn page(id: ConnectionId) -> String {
    format!("{LIST}/{id}")
}

async fn create(user: SignedIn, form: PostedForm) -> Response {
    let result = user.services.connections.create_connection(&user.caller, &form.draft).await;
    let target = with_notice(&form.redirect_target(LIST), "saved");
    redirect_after(&user, form, &format!("{LIST}/new"), result, |_| target).await
}

async fn update(user: SignedIn, Id(id): Id<ConnectionId>, form: PostedForm) -> Response {
    let result = user.services.connections.update_connection(&user.caller, id, &form.draft).await;
    let target = with_notice(&form.redirect_target(&page(id)), "saved");
    redirect_after(&user, form, &page(id), result, |_| target).await
}

/// Calls the provider. Stores the test result as the saved form `?tested=`, which the page of
/// the form shows. Tests the unsaved input if the form contains it, and stores it as
/// the saved form `?saved_form=`.
async fn test(user: SignedIn, Id(id): Id<ConnectionId>, form: PostedForm) -> Response {
    let unsaved = form.draft.at("name").map(|_| form.draft.clone());
    let result = match (&unsaved, test_model(&form.draft)) {
        (Some(draft), _) => {
            user.services.connections.test_unsaved_connection(&user.caller, id, draft).await
        }
        (None, Ok(model)) => {
            user.services.connections.test_connection(&user.caller, id, model).await
        }
        (None, Err(error)) => Err(error),
    };
    let test = match result {
        Ok(test) => test,
        Err(error) => {
            return redirect_with_problems(&user, form, &page(id), error).await;
        }
    };
    let mut draft = Draft(serde_json::to_value(&test).unwrap_or_default());
    draft.0["model"] = form.text("model").into();
    let test = SavedForm { detail: test.message, draft, ..SavedForm::default() };
    let page = form.next.or(form.page).unwrap_or_else(|| page(id));
    match store_test_result(&user, &test, unsaved).await {
        Ok((tested, None)) => see_other(&redirect::with_param(&page, "tested", &tested)),
        Ok((tested, Some(saved_form))) => {
            let page = redirect::with_param(&page, "tested", &tested);
            see_other(&format!("{page}&saved_form={saved_form}"))
        }
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// Stores the test result and the unsaved input. Returns the IDs of both saved forms.
async fn store_test_result(
    user: &SignedIn,
    test: &SavedForm,
    unsaved: Option<Draft>,
) -> AppResult<(String, Option<String>)> {
    let tested = user.services.saved_forms.save_form(Some(&user.caller), test).await?.to_string();
    let Some(unsaved) = unsaved else { return Ok((tested, None)) };
    let rejected = SavedForm { draft: without_secrets(unsaved), ..SavedForm::default() };
    let draft = user.services.saved_forms.save_form(Some(&user.caller), &rejected).await?;
    Ok((tested, Some(draft.to_string())))
}

async fn delete(user: SignedIn, Id(id): Id<ConnectionId>, form: PostedForm) -> Response {
    let result = user.services.connections.delete_connection(&user.caller, id).await;
    let target = with_notice(&form.redirect_target(LIST), "deleted");
    redirect_after(&user, form, &page(id), result, |()| target).await
}
