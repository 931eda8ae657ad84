//! Forms of suites and runs: starting, stopping, running and judging again.

use super::{Posted, finish, notice};
use crate::http::HttpState;
use crate::http::api::rerun_which;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use crate::http::spawned::spawned;
use domain::services::Started;
use domain::{RunId, StartSuite, SuiteId};
use domain::error::AppError;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/suites", post(start))
        .route("/forms/demo", post(demo))
        .route("/forms/suites/{id}/cancel", post(cancel))
        .route("/forms/suites/{id}/rerun", post(rerun))
        .route("/forms/runs/{id}/cancel", post(cancel_run))
        .route("/forms/runs/{id}/evaluate", post(evaluate))
}

fn page(id: SuiteId) -> String {
    format!("/suites/{id}")
}

fn started(started: Started) -> String {
    let page = page(started.suite_id);
    if started.replayed { notice(&page, "replayed") } else { page }
}

/// Starts a suite. Two posts of one page lead to the same suite; a refused
/// one leads back to the form, which then gets a fresh key.
async fn start(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    posted: Posted,
) -> Response {
    let answer = match StartSuite::parse(&posted.draft) {
        Ok(request) => {
            let keyed = posted.key().with_start("/suites", &request);
            let (services, who) = (state.services.clone(), caller.clone());
            let work = async move { services.suites.start(&who, &request, &keyed).await };
            spawned(&state.clock, work).await
        }
        Err(problems) => Err(AppError::invalid(problems)),
    };
    finish(&state, &caller, posted, "/suites/new", answer, started).await
}

async fn demo(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    posted: Posted,
) -> Response {
    let keyed = posted.key().with("/demo", json!({}));
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.suites.start_demo(&who, &keyed).await };
    let answer = spawned(&state.clock, work).await;
    finish(&state, &caller, posted, "/", answer, started).await
}

async fn cancel(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<SuiteId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.suites.cancel_suite(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(&page(id)), "cancelling");
    finish(&state, &caller, posted, &page(id), answer, |_| onward).await
}

async fn rerun(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<SuiteId>,
    posted: Posted,
) -> Response {
    let answer = match rerun_which(&posted.draft) {
        Ok(which) => {
            let path = format!("/suites/{id}/rerun");
            let keyed = posted.key().with(path, json!({ "which": which }));
            let (services, who) = (state.services.clone(), caller.clone());
            let work = async move { services.suites.rerun(&who, id, which, &keyed).await };
            spawned(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    finish(&state, &caller, posted, &page(id), answer, started).await
}

async fn cancel_run(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
    posted: Posted,
) -> Response {
    let back = format!("/runs/{id}");
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.suites.cancel_run(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let from = posted.back.clone().unwrap_or_else(|| back.clone());
    let onward = notice(&posted.onward(&from), "cancelling");
    finish(&state, &caller, posted, &back, answer, |_| onward).await
}

async fn evaluate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
    posted: Posted,
) -> Response {
    let back = format!("/runs/{id}");
    let keyed = posted.key().with(format!("/runs/{id}/evaluate"), json!({}));
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.suites.evaluate(&who, id, &keyed).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(&back), "evaluating");
    finish(&state, &caller, posted, &back, answer, |_| onward).await
}
