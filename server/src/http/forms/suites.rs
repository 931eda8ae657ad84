//! Forms for suites and runs: start, cancel, rerun and rejudge.

use super::{PostedForm, redirect_after, with_notice};
use crate::http::HttpState;
use crate::http::api::rerun_request;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::error::AppError;
use domain::services::StartResponse;
use domain::{RunId, StartSuite, SuiteId};
use serde_json::json;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/suites", post(start))
        .route("/forms/demo", post(demo))
        .route("/forms/suites/{id}/cancel", post(cancel))
        .route("/forms/suites/{id}/rerun", post(rerun))
        .route("/forms/runs/{id}/cancel", post(cancel_run))
        .route("/forms/runs/{id}/evaluate", post(rejudge))
}

fn page(id: SuiteId) -> String {
    format!("/suites/{id}")
}

fn suite_page(response: StartResponse) -> String {
    let page = page(response.suite_id);
    if response.replayed { with_notice(&page, "replayed") } else { page }
}

/// Starts a suite. Two posts of the same page start one suite, because they contain
/// the same idempotency key.
async fn start(user: SignedIn, form: PostedForm) -> Response {
    let result = match StartSuite::parse(&form.draft) {
        Ok(request) => {
            let request_key = form.key().with_start("/suites", &request);
            user.services.suites.start(&user.caller, &request, &request_key).await
        }
        Err(problems) => Err(AppError::invalid(problems)),
    };
    redirect_after(&user, form, "/suites/new", result, suite_page).await
}

async fn demo(user: SignedIn, form: PostedForm) -> Response {
    let request_key = form.key().with("/demo", json!({}));
    let result = user.services.suites.start_demo(&user.caller, &request_key).await;
    redirect_after(&user, form, "/", result, suite_page).await
}

async fn cancel(user: SignedIn, Id(id): Id<SuiteId>, form: PostedForm) -> Response {
    let result = user.services.suites.cancel_suite(&user.caller, id).await;
    let target = with_notice(&form.redirect_target(&page(id)), "cancelling");
    redirect_after(&user, form, &page(id), result, |_| target).await
}

async fn rerun(user: SignedIn, Id(id): Id<SuiteId>, form: PostedForm) -> Response {
    let result = match rerun_request(&form.draft) {
        Ok(request) => {
            let path = format!("/suites/{id}/rerun");
            let request_key = form.key().with(path, json!(request));
            user.services.suites.rerun(&user.caller, id, request, &request_key).await
        }
        Err(error) => Err(error),
    };
    redirect_after(&user, form, &page(id), result, suite_page).await
}

async fn cancel_run(user: SignedIn, Id(id): Id<RunId>, form: PostedForm) -> Response {
    let page = format!("/runs/{id}");
    let result = user.services.suites.cancel_run(&user.caller, id).await;
    let from = form.page.clone().unwrap_or_else(|| page.clone());
    let target = with_notice(&form.redirect_target(&from), "cancelling");
    redirect_after(&user, form, &page, result, |_| target).await
}

async fn rejudge(user: SignedIn, Id(id): Id<RunId>, form: PostedForm) -> Response {
    let page = format!("/runs/{id}");
    let request_key = form.key().with(format!("/runs/{id}/evaluate"), json!({}));
    let result = user.services.suites.rejudge(&user.caller, id, &request_key).await;
    let target = with_notice(&form.redirect_target(&page), "evaluating");
    redirect_after(&user, form, &page, result, |_| target).await
}
