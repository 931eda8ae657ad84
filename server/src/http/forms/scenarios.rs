//! Forms of scenarios.

use super::{Posted, again, finish, notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, based_on};
use crate::http::spawned::spawned;
use domain::{Scenario, ScenarioId, ScenarioSpec};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;

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
    posted: Posted,
) -> Response {
    const BACK: &str = "/scenarios/new";
    if let Some(action) = posted.action.clone() {
        return again(&state, &caller, posted, BACK, &action).await;
    }
    let (services, draft, who) = (state.services.clone(), posted.draft.clone(), caller.clone());
    let work = async move { services.scenarios.create_scenario(&who, &draft).await };
    let answer = spawned(&state.clock, work).await;
    let next = posted.next.clone();
    let done = |made: Scenario| notice(&next.unwrap_or_else(|| page(made.id)), "saved");
    finish(&state, &caller, posted, BACK, answer, done).await
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    posted: Posted,
) -> Response {
    let back = page(id);
    if let Some(action) = posted.action.clone() {
        return again(&state, &caller, posted, &back, &action).await;
    }
    let answer = match based_on(&posted.draft, ScenarioSpec::parse) {
        Ok(revision) => {
            let (services, draft) = (state.services.clone(), posted.draft.clone());
            let who = caller.clone();
            let work = async move { services.scenarios.update_scenario(&who, id, revision, &draft).await };
            spawned(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    let onward = notice(&posted.onward(&back), "saved");
    finish(&state, &caller, posted, &back, answer, |_| onward).await
}

async fn duplicate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.scenarios.duplicate_scenario(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let done = |copy: Scenario| notice(&page(copy.id), "duplicated");
    finish(&state, &caller, posted, &page(id), answer, done).await
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ScenarioId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.scenarios.delete_scenario(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward("/scenarios"), "deleted");
    finish(&state, &caller, posted, &page(id), answer, |()| onward).await
}
