//! Forms of connections.

use super::posted::Poster;
use super::{Posted, finish, notice, places, refuse, see_other};
use crate::http::HttpState;
use crate::http::api::test_model;
use crate::http::extract::Id;
use crate::http::problem::Failure;
use crate::http::spawned::spawned;
use app::backend::Rejected;
use app::domain::{ConnectionId, Draft};
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
    Poster(caller): Poster,
    posted: Posted,
) -> Response {
    let (backend, draft, who) = (state.backend.clone(), posted.draft.clone(), caller.clone());
    let work = async move { backend.create_connection(&who, &draft).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(LIST), "saved");
    finish(&state, &caller, posted, &format!("{LIST}/new"), answer, |_| onward).await
}

async fn update(
    State(state): State<HttpState>,
    Poster(caller): Poster,
    Id(id): Id<ConnectionId>,
    posted: Posted,
) -> Response {
    let (backend, draft, who) = (state.backend.clone(), posted.draft.clone(), caller.clone());
    let work = async move { backend.update_connection(&who, id, &draft).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(&page(id)), "saved");
    finish(&state, &caller, posted, &page(id), answer, |_| onward).await
}

/// Calls the provider; what came is kept and shown on the page that asked, as
/// the draft named by `?tested=`.
async fn test(
    State(state): State<HttpState>,
    Poster(caller): Poster,
    Id(id): Id<ConnectionId>,
    posted: Posted,
) -> Response {
    let answer = match test_model(&posted.draft) {
        Ok(model) => {
            let (backend, who) = (state.backend.clone(), caller.clone());
            let work = async move { backend.test_connection(&who, id, model).await };
            spawned(&state.clock, work).await
        }
        Err(error) => Err(error),
    };
    let found = match answer {
        Ok(found) => found,
        Err(error) => return refuse(&state, Some(&caller), posted, &page(id), error).await,
    };
    let kept = Rejected {
        detail: found.message.clone(),
        draft: Draft(serde_json::to_value(&found).unwrap_or_default()),
        ..Rejected::default()
    };
    let back = posted.next.or(posted.back).unwrap_or_else(|| page(id));
    match state.backend.keep_rejected(Some(&caller), &kept).await {
        Ok(draft) => see_other(&places::with(&back, "tested", &draft.to_string())),
        Err(error) => Failure::from(error).into_response(),
    }
}

async fn delete(
    State(state): State<HttpState>,
    Poster(caller): Poster,
    Id(id): Id<ConnectionId>,
    posted: Posted,
) -> Response {
    let (backend, who) = (state.backend.clone(), caller.clone());
    let work = async move { backend.delete_connection(&who, id).await };
    let answer = spawned(&state.clock, work).await;
    let onward = notice(&posted.onward(LIST), "deleted");
    finish(&state, &caller, posted, &page(id), answer, |()| onward).await
}
