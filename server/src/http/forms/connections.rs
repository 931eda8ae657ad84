//! Forms of connections.

use super::{Posted, finish, notice, places, refuse, see_other, without_secrets};
use crate::http::HttpState;
use crate::http::api::test_model;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use crate::http::problem::Failure;
use crate::http::spawned::spawned;
use domain::services::{AppResult, Caller, Rejected};
use domain::{ConnectionId, Draft};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

/// The list of connections.
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
    posted: Posted,
) -> Response {
    let (services, draft, who) = (state.services.clone(), posted.draft.clone(), caller.clone());
    let work = async move { services.connections.create_connection(&who, &draft).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(LIST), "saved");
    finish(&state, &caller, posted, &format!("{LIST}/new"), answer, |_| onward).await
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    posted: Posted,
) -> Response {
    let (services, draft, who) = (state.services.clone(), posted.draft.clone(), caller.clone());
    let work = async move { services.connections.update_connection(&who, id, &draft).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(&page(id)), "saved");
    finish(&state, &caller, posted, &page(id), answer, |_| onward).await
}

/// Calls the provider; what came is kept and shown on the page that asked, as
/// the draft named by `?tested=`. A form that sends its fields along is tested
/// as it stands, and shown again as it stood.
async fn test(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let typed = posted.draft.at("name").map(|_| posted.draft.clone());
    let answer = match (typed.clone(), test_model(&posted.draft)) {
        (Some(typed), _) => {
            let work = async move { services.connections.test_unsaved_connection(&who, id, &typed).await };
            spawned(&state.clock, work).await
        }
        (None, Ok(model)) => {
            let work = async move { services.connections.test_connection(&who, id, model).await };
            spawned(&state.clock, work).await
        }
        (None, Err(error)) => Err(error),
    };
    let found = match answer {
        Ok(found) => found,
        Err(error) => return refuse(&state, Some(&caller), posted, &page(id), error).await,
    };
    let mut shown = Draft(serde_json::to_value(&found).unwrap_or_default());
    shown.0["model"] = posted.text("model").into();
    let kept = Rejected { detail: found.message, draft: shown, ..Rejected::default() };
    let back = posted.next.or(posted.back).unwrap_or_else(|| page(id));
    match keep_test(&state, &caller, &kept, typed).await {
        Ok((tested, None)) => see_other(&places::with(&back, "tested", &tested)),
        Ok((tested, Some(draft))) => {
            see_other(&format!("{}&draft={draft}", places::with(&back, "tested", &tested)))
        }
        Err(error) => Failure::from(error).into_response(),
    }
}

/// Keeps what a test found, and what was typed; the names of both.
async fn keep_test(
    state: &HttpState,
    caller: &Caller,
    found: &Rejected,
    typed: Option<Draft>,
) -> AppResult<(String, Option<String>)> {
    let tested = state.services.drafts.keep_draft(Some(caller), found).await?.to_string();
    let Some(typed) = typed else { return Ok((tested, None)) };
    let typed = Rejected { draft: without_secrets(typed), ..Rejected::default() };
    let draft = state.services.drafts.keep_draft(Some(caller), &typed).await?;
    Ok((tested, Some(draft.to_string())))
}

async fn delete(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<ConnectionId>,
    posted: Posted,
) -> Response {
    let (services, who) = (state.services.clone(), caller.clone());
    let work = async move { services.connections.delete_connection(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(LIST), "deleted");
    finish(&state, &caller, posted, &page(id), answer, |()| onward).await
}
