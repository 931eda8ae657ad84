//! Forms of agents.

use super::{Posted, again, finish, notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, based_on};
use crate::http::spawned::spawned;
use domain::{Agent, AgentId, AgentSpec};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/agents", post(create))
        .route("/forms/agents/{id}", post(update))
        .route("/forms/agents/{id}/duplicate", post(duplicate))
        .route("/forms/agents/{id}/delete", post(delete))
}

fn page(id: AgentId) -> String {
    format!("/agents/{id}")
}

async fn create(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    posted: Posted,
) -> Response {
    const BACK: &str = "/agents/new";
    if let Some(action) = posted.action.clone() {
        return again(&state, &caller, posted, BACK, &action).await;
    }
    let (services, draft, who) = (state.services.clone(), posted.draft.clone(), caller.clone());
    let work = async move { services.agents.create_agent(&who, &draft).await };
    let answer = spawned(&state.clock, work).await;
    let next = posted.next.clone();
    let done = |made: Agent| notice(&next.unwrap_or_else(|| page(made.id)), "saved");
    finish(&state, &caller, posted, BACK, answer, done).await
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
    posted: Posted,
) -> Response {
    let back = page(id);
    if let Some(action) = posted.action.clone() {
        return again(&state, &caller, posted, &back, &action).await;
    }
    let answer = match based_on(&posted.draft, AgentSpec::parse) {
        Ok(revision) => {
            let (services, draft) = (state.services.clone(), posted.draft.clone());
            let who = caller.clone();
            let work = async move { services.agents.update_agent(&who, id, revision, &draft).await };
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
    Id(id): Id<AgentId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.agents.duplicate_agent(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let done = |copy: Agent| notice(&page(copy.id), "duplicated");
    finish(&state, &caller, posted, &page(id), answer, done).await
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.agents.delete_agent(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward("/agents"), "deleted");
    finish(&state, &caller, posted, &page(id), answer, |()| onward).await
}
