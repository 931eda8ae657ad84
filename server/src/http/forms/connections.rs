//! Connection forms.

use super::{
    PostedForm, redirect, redirect_after, redirect_with_problems, see_other, with_notice,
    without_secrets,
};
use crate::http::HttpState;
use crate::http::api::test_model;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::Id;
use crate::http::problem::ErrorResponse;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use domain::services::{AppResult, Caller, RejectedForm};
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

async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    form: PostedForm,
) -> Response {
    let (services, draft, user) = (state.services.clone(), form.draft.clone(), caller.clone());
    let work = async move { services.connections.create_connection(&user, &draft).await };
    let result = run_detached(&state.clock, work).await;
    let target = with_notice(&form.redirect_target(LIST), "saved");
    redirect_after(&state, &caller, form, &format!("{LIST}/new"), result, |_| target).await
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    form: PostedForm,
) -> Response {
    let (services, draft, user) = (state.services.clone(), form.draft.clone(), caller.clone());
    let work = async move { services.connections.update_connection(&user, id, &draft).await };
    let result = run_detached(&state.clock, work).await;
    let target = with_notice(&form.redirect_target(&page(id)), "saved");
    redirect_after(&state, &caller, form, &page(id), result, |_| target).await
}

/// Calls the provider. Stores the result as the draft `?tested=`, which the page of
/// the form shows. Tests the unsaved input if the form contains it, and stores it as
/// the draft `?draft=`.
async fn test(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let unsaved = form.draft.at("name").map(|_| form.draft.clone());
    let result = match (unsaved.clone(), test_model(&form.draft)) {
        (Some(draft), _) => {
            let work = async move {
                services.connections.test_unsaved_connection(&user, id, &draft).await
            };
            run_detached(&state.clock, work).await
        }
        (None, Ok(model)) => {
            let work = async move { services.connections.test_connection(&user, id, model).await };
            run_detached(&state.clock, work).await
        }
        (None, Err(error)) => Err(error),
    };
    let test = match result {
        Ok(test) => test,
        Err(error) => {
            return redirect_with_problems(&state, Some(&caller), form, &page(id), error).await;
        }
    };
    let mut draft = Draft(serde_json::to_value(&test).unwrap_or_default());
    draft.0["model"] = form.text("model").into();
    let test = RejectedForm { detail: test.message, draft, ..RejectedForm::default() };
    let page = form.next.or(form.page).unwrap_or_else(|| page(id));
    match store_test(&state, &caller, &test, unsaved).await {
        Ok((tested, None)) => see_other(&redirect::with_param(&page, "tested", &tested)),
        Ok((tested, Some(draft))) => {
            see_other(&format!("{}&draft={draft}", redirect::with_param(&page, "tested", &tested)))
        }
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// Stores the test result and the unsaved input. Returns the IDs of both drafts.
async fn store_test(
    state: &HttpState,
    caller: &Caller,
    test: &RejectedForm,
    unsaved: Option<Draft>,
) -> AppResult<(String, Option<String>)> {
    let tested = state.services.drafts.keep_draft(Some(caller), test).await?.to_string();
    let Some(unsaved) = unsaved else { return Ok((tested, None)) };
    let rejected = RejectedForm { draft: without_secrets(unsaved), ..RejectedForm::default() };
    let draft = state.services.drafts.keep_draft(Some(caller), &rejected).await?;
    Ok((tested, Some(draft.to_string())))
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let work = async move { services.connections.delete_connection(&user, id).await };
    let result = run_detached(&state.clock, work).await;
    let target = with_notice(&form.redirect_target(LIST), "deleted");
    redirect_after(&state, &caller, form, &page(id), result, |()| target).await
}
