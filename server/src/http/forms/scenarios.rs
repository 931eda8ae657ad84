//! Scenario forms.

use super::{PostedForm, redirect_after, redirect_with_draft, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::{Id, base_revision};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use domain::{Scenario, ScenarioId, ScenarioSpec};

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/scenarios", post(create))
        .route("/forms/scenarios/{id}", post(update))
        .route("/forms/scenarios/{id}/duplicate", post(duplicate))
        .route("/forms/scenarios/{id}/delete", post(delete))
}

fn page(id: ScenarioId) -> String {
    format!("/scenarios/{id}")
}

async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    form: PostedForm,
) -> Response {
    const PAGE: &str = "/scenarios/new";
    if let Some(action) = form.action.clone() {
        return redirect_with_draft(&state, &caller, form, PAGE, &action).await;
    }
    let (services, draft, user) = (state.services.clone(), form.draft.clone(), caller.clone());
    let work = async move { services.scenarios.create_scenario(&user, &draft).await };
    let result = run_detached(&state.clock, work).await;
    let next = form.next.clone();
    let target =
        |scenario: Scenario| with_notice(&next.unwrap_or_else(|| page(scenario.id)), "saved");
    redirect_after(&state, &caller, form, PAGE, result, target).await
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    form: PostedForm,
) -> Response {
    let page = page(id);
    if let Some(action) = form.action.clone() {
        return redirect_with_draft(&state, &caller, form, &page, &action).await;
    }
    let result = match base_revision(&form.draft, ScenarioSpec::parse) {
        Ok(revision) => {
            let (services, draft) = (state.services.clone(), form.draft.clone());
            let user = caller.clone();
            let work = async move {
                services.scenarios.update_scenario(&user, id, revision, &draft).await
            };
            run_detached(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    let target = with_notice(&form.redirect_target(&page), "saved");
    redirect_after(&state, &caller, form, &page, result, |_| target).await
}

async fn duplicate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let work = async move { services.scenarios.duplicate_scenario(&user, id).await };
    let result = run_detached(&state.clock, work).await;
    let target = |copy: Scenario| with_notice(&page(copy.id), "duplicated");
    redirect_after(&state, &caller, form, &page(id), result, target).await
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let work = async move { services.scenarios.delete_scenario(&user, id).await };
    let result = run_detached(&state.clock, work).await;
    let target = with_notice(&form.redirect_target("/scenarios"), "deleted");
    redirect_after(&state, &caller, form, &page(id), result, |()| target).await
}
