//! Agent forms.

use super::{PostedForm, redirect_after, redirect_with_saved_form, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, base_revision};
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::http_agent::without_hidden_fields;
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

async fn create(user: SignedIn, form: PostedForm) -> Response {
    const PAGE: &str = "/agents/new";
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, PAGE, &action).await;
    }
    let draft = without_hidden_fields(&form.draft);
    let result = user.services.agents.create_agent(&user.caller, &draft).await;
    let next = form.next.clone();
    let target = |agent: Agent| with_notice(&next.unwrap_or_else(|| page(agent.id)), "saved");
    redirect_after(&user, form, PAGE, result, target).await
}

async fn update(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let page = page(id);
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, &page, &action).await;
    }
    let draft = without_hidden_fields(&form.draft);
    let result = match base_revision(&draft, AgentSpec::parse) {
        Ok(revision) => user.services.agents.update_agent(&user.caller, id, revision, &draft).await,
        Err(error) => Err(error),
    };
    let target = with_notice(&form.redirect_target(&page), "saved");
    redirect_after(&user, form, &page, result, |_| target).await
}

async fn duplicate(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let result = user.services.agents.duplicate_agent(&user.caller, id).await;
    let target = |copy: Agent| with_notice(&page(copy.id), "duplicated");
    redirect_after(&user, form, &page(id), result, target).await
}

async fn delete(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let result = user.services.agents.delete_agent(&user.caller, id).await;
    let target = with_notice(&form.redirect_target("/agents"), "deleted");
    redirect_after(&user, form, &page(id), result, |()| target).await
}
