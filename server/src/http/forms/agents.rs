//! Agent forms.

use super::{PostedForm, redirect_after, redirect_with_draft, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::{Id, base_revision};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use domain::{Agent, AgentId, AgentSpec};

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
    form: PostedForm,
) -> Response {
    const PAGE: &str = "/agents/new";
    if let Some(action) = form.action.clone() {
        return redirect_with_draft(&state, &caller, form, PAGE, &action).await;
    }
    let (services, draft, user) = (state.services.clone(), form.draft.clone(), caller.clone());
    let work = async move { services.agents.create_agent(&user, &draft).await };
    let result = run_detached(&state.clock, work).await;
    let next = form.next.clone();
    let target = |agent: Agent| with_notice(&next.unwrap_or_else(|| page(agent.id)), "saved");
    redirect_after(&state, &caller, form, PAGE, result, target).await
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
    form: PostedForm,
) -> Response {
    let page = page(id);
    if let Some(action) = form.action.clone() {
        return redirect_with_draft(&state, &caller, form, &page, &action).await;
    }
    let result = match base_revision(&form.draft, AgentSpec::parse) {
        Ok(revision) => {
            let (services, draft) = (state.services.clone(), form.draft.clone());
            let user = caller.clone();
            let work =
                async move { services.agents.update_agent(&user, id, revision, &draft).await };
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
    Id(id): Id<AgentId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let work = async move { services.agents.duplicate_agent(&user, id).await };
    let result = run_detached(&state.clock, work).await;
    let target = |copy: Agent| with_notice(&page(copy.id), "duplicated");
    redirect_after(&state, &caller, form, &page(id), result, target).await
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<AgentId>,
    form: PostedForm,
) -> Response {
    let (services, user) = (state.services.clone(), caller.clone());
    let work = async move { services.agents.delete_agent(&user, id).await };
    let result = run_detached(&state.clock, work).await;
    let target = with_notice(&form.redirect_target("/agents"), "deleted");
    redirect_after(&state, &caller, form, &page(id), result, |()| target).await
}
