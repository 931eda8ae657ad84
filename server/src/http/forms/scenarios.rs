//! Scenario forms.

use super::{PostedForm, redirect_after, redirect_with_saved_form, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, base_revision};
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::error::AppError;
use domain::services::AppResult;
use domain::{Draft, Scenario, ScenarioId, ScenarioSpec};

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

async fn create(user: SignedIn, form: PostedForm) -> Response {
    const PAGE: &str = "/scenarios/new";
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, PAGE, &action).await;
    }
    let result = match ScenarioSpec::form_to_document(&form.draft) {
        Ok(document) => user.services.scenarios.create_scenario(&user.caller, &document).await,
        Err(problems) => Err(AppError::invalid(problems)),
    };
    let next = form.next.clone();
    let target =
        |scenario: Scenario| with_notice(&next.unwrap_or_else(|| page(scenario.id)), "saved");
    redirect_after(&user, form, PAGE, result, target).await
}

async fn update(user: SignedIn, Id(id): Id<ScenarioId>, form: PostedForm) -> Response {
    let page = page(id);
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, &page, &action).await;
    }
    let result = update_from_form(&user, id, &form.draft).await;
    let target = with_notice(&form.redirect_target(&page), "saved");
    redirect_after(&user, form, &page, result, |_| target).await
}

async fn update_from_form(user: &SignedIn, id: ScenarioId, form: &Draft) -> AppResult<Scenario> {
    let revision = base_revision(form, ScenarioSpec::parse_form)?;
    let document = ScenarioSpec::form_to_document(form).map_err(AppError::invalid)?;
    user.services.scenarios.update_scenario(&user.caller, id, revision, &document).await
}

async fn duplicate(user: SignedIn, Id(id): Id<ScenarioId>, form: PostedForm) -> Response {
    let result = user.services.scenarios.duplicate_scenario(&user.caller, id).await;
    let target = |copy: Scenario| with_notice(&page(copy.id), "duplicated");
    redirect_after(&user, form, &page(id), result, target).await
}

async fn delete(user: SignedIn, Id(id): Id<ScenarioId>, form: PostedForm) -> Response {
    let result = user.services.scenarios.delete_scenario(&user.caller, id).await;
    let target = with_notice(&form.redirect_target("/scenarios"), "deleted");
    redirect_after(&user, form, &page(id), result, |()| target).await
}
